"""CPU per `complete` over stdio with a local upstream, beside raw httpx2 and litellm.Router.

    uv run python bench/overhead.py [--calls 300] [--litellm PYTHON]

One upstream process streams the same 20-word answer to all. Raw is one pooled httpx2 client reading
the stream to its end; ours is the server process of `roundhouse serve` (from /proc), driven by the
SDK's client over stdio, ledger on disk, budget applied; litellm.Router runs under the interpreter
given with --litellm (its own environment) and streams the same answer. The three are interleaved
in rounds; figures are milliseconds of CPU per call, medians over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import httpx2
from mcp import Client, StdioServerParameters

UPSTREAM = """
import asyncio, json
WORDS = [f"word{n} " for n in range(20)]
def line(body):
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, **body}).encode() + b"\\n\\n"
EVENTS = [line({"choices": [{"index": 0, "delta": {"content": w}, "finish_reason": None}]}) for w in WORDS]
EVENTS += [line({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})]
EVENTS += [line({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}})]
EVENTS += [b"data: [DONE]\\n\\n"]
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n"
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = [int(l.split(b":")[1]) for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length:")]
            await reader.readexactly(size[0] if size else 0)
            writer.write(HEAD)
            for event in EVENTS:
                writer.write(b"%x\\r\\n%s\\r\\n" % (len(event), event))
            writer.write(b"0\\r\\n\\r\\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
LITELLM = """
import asyncio, os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
url, calls, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = {"model": "openai/m", "api_base": url, "api_key": "k"}
router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": params}])
async def call():
    stream = await router.acompletion(model="m", messages=[{"role": "user", "content": "hello"}], stream=True)
    text = ""
    async for chunk in stream:
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    assert text.count("word") == 20
async def main():
    for _ in range(20):
        await call()
    print("ready", flush=True)
    for _ in range(rounds):
        sys.stdin.readline()
        begun = time.process_time()
        for _ in range(calls):
            await call()
        print((time.process_time() - begun) / calls * 1000, flush=True)
asyncio.run(main())
"""
CONFIG = """
[providers.local]
like = "openai"
base_url = "{url}"
auth = "none"
models = ["m"]
[prices."local/m"]
input = "1.00"
output = "2.00"
[[budgets]]
scope = "global"
period = "day"
limit_usd = "1000"
"""
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100,
    "stream": True,
}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def child_of(parent: int) -> int:
    """The pid of the server, which is our only child whose parent we are and runs serve."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                stat = (entry / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat[1]) == parent and b"serve" in command:
                return int(entry.name)
    raise RuntimeError("the server process was not found")


async def raw_ms(client: httpx2.AsyncClient, url: str, calls: int) -> float:
    begun = time.process_time()
    for _ in range(calls):
        async with client.stream("POST", f"{url}/chat/completions", json=BODY) as response:
            async for _line in response.aiter_lines():
                pass
    return (time.process_time() - begun) / calls * 1000


async def ours_ms(client: Client, pid: int, calls: int) -> float:
    begun = cpu_s(pid)
    for _ in range(calls):
        result = await client.call_tool("complete", {"prompt": "hello", "model": "local/m"})
        assert not result.is_error, result.content
    return (cpu_s(pid) - begun) / calls * 1000


async def measure(url: str, home: Path, calls: int, rounds: int, litellm: str | None) -> None:
    (home / "config.toml").write_text(CONFIG.format(url=url), encoding="utf-8")
    (home / "config.toml").chmod(0o600)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve"],
        env={**os.environ, "ROUNDHOUSE_HOME": str(home)},
    )
    other = None
    if litellm:
        other = subprocess.Popen(
            [litellm, "-c", LITELLM, url, str(calls), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert other.stdout
        other.stdout.readline()
    taken: dict[str, list[float]] = {"raw httpx2": [], "roundhouse": [], "litellm.Router": []}
    async with httpx2.AsyncClient() as raw, Client(server) as client:
        pid = child_of(os.getpid())
        await raw_ms(raw, url, 20)
        await ours_ms(client, pid, 20)
        for _ in range(rounds):
            taken["raw httpx2"].append(await raw_ms(raw, url, calls))
            taken["roundhouse"].append(await ours_ms(client, pid, calls))
            if other is not None:
                assert other.stdin
                assert other.stdout
                other.stdin.write("\n")
                other.stdin.flush()
                taken["litellm.Router"].append(float(other.stdout.readline()))
    if other is not None:
        other.communicate(timeout=30)
    medians = {name: statistics.median(v) for name, v in taken.items() if v}
    for name, value in medians.items():
        sys.stdout.write(f"{name}: {value:.2f} ms CPU per call\n")
    over = medians["roundhouse"] - medians["raw httpx2"]
    sys.stdout.write(f"over raw: {over:.2f} ms\n")
    if "litellm.Router" in medians:
        share = medians["roundhouse"] / medians["litellm.Router"]
        sys.stdout.write(f"of litellm.Router: {share:.2f}\n")
    sys.stdout.write(json.dumps({k: [round(x, 2) for x in v] for k, v in taken.items()}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", metavar="PYTHON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        upstream = subprocess.Popen(
            [sys.executable, "-c", UPSTREAM], stdout=subprocess.PIPE, text=True
        )
        try:
            assert upstream.stdout
            url = f"http://127.0.0.1:{upstream.stdout.readline().strip()}/v1"
            anyio.run(measure, url, Path(home), given.calls, given.rounds, given.litellm)
        finally:
            upstream.terminate()
            upstream.wait()


if __name__ == "__main__":
    main()
