// The TypeScript SDK's client at our server: a call, progress, a cancelled call, a question to the
// user. One line of JSON each. Usage: node client.mjs ERA URL TOKEN, or node client.mjs ERA COMMAND…
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [era, where, ...more] = process.argv.slice(2);
const modern = era === "modern" ? { versionNegotiation: { mode: { pin: "2026-07-28" } } } : {};
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const client = new Client(
  { name: "typescript", version: "1" },
  { capabilities: { elicitation: { form: {} } }, ...modern },
);
client.setRequestHandler("elicitation/create", async (request) => {
  say({ asked: request.params.message });
  return { action: "accept", content: { allow: true } };
});

const transport = where.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(where), {
      requestInit: { headers: { authorization: `Bearer ${more[0]}` } },
    })
  : new StdioClientTransport({ command: where, args: more, env: { ...process.env } });
await client.connect(transport);
say({ tools: (await client.listTools()).tools.map((tool) => tool.name) });

const call = (given, options) => client.callTool({ name: "complete", arguments: given }, options);

const plain = await call({ prompt: "Hi", model: "one/m" });
say({ text: plain.structuredContent.text });

let heard = 0;
const slow = await call({ prompt: "Hi", model: "slow/m" }, { onprogress: () => (heard += 1) });
say({ text: slow.structuredContent.text, heard });

const stop = new AbortController();
const cancelled = call(
  { prompt: "Hi", model: "endless/m" },
  { signal: stop.signal, onprogress: () => stop.abort() },
);
say({ cancelled: await cancelled.then(() => false, () => true) });

const dear = await call({ prompt: "Hi", model: "dear/m", max_tokens: 1000 });
say({ text: dear.structuredContent?.text ?? JSON.stringify(dear.content) });
await client.close();
process.exit(0);
