"""The scripted provider: answers like a Chat Completions and Embeddings service, in process.

A row whose base_url has the scheme `mock` is served from here, through the same client, wires and
limits as every other row. The script is the URL's query:

    mock://NAME?text=Hello&delay_ms=20&status=503&times=2&retry_after_s=3&cut_after=5&hang=1

`text` is the answer (default: an echo of the last user message); `delay_ms` waits before every
word; `status` fails the first `times` requests (default: all of them) and then answers;
`retry_after_s` goes out with such failures; `cut_after` breaks the stream after that many words;
`hang` never answers; `tool` names a tool to call with `arguments` (JSON text); `model` is the name
it claims to have answered with. `loaded` names a model in memory, which can be listed and unloaded
as Ollama's are.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import anyio
import httpx2

DIMENSIONS = 64
LOADED_BYTES = 5_200_000_000
NUMBERS = frozenset({"delay_ms", "status", "times", "retry_after_s", "cut_after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What one mock host does, read from its URL's query."""

    text: str | None = None
    delay_ms: int = 0
    status: int = 200
    times: int | None = None
    retry_after_s: int | None = None
    cut_after: int | None = None
    hang: bool = False
    tool: str | None = None
    arguments: str = "{}"
    model: str | None = None
    loaded: str | None = None


def script(query: Mapping[str, str]) -> Script:
    """Raises ValueError, saying why, for a parameter no script has and a number that is none."""
    known = {field.name for field in fields(Script)}
    if unknown := next((name for name in query if name not in known), None):
        raise ValueError(
            f"no mock has a parameter {unknown[:40]!r}; known: {', '.join(sorted(known))}"
        )
    given: dict[str, Any] = {
        name: number(name, said) if name in NUMBERS else said for name, said in query.items()
    }
    given["hang"] = bool(given.get("hang"))
    return Script(**given)


def number(name: str, said: str) -> int:
    try:
        return int(said)
    except ValueError:
        raise ValueError(f"{name} is a number, {said[:40]!r} is none") from None


def words(text: str) -> list[str]:
    """The text cut after each space, so that the pieces joined are the text."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


def tokens(text: str) -> int:
    return max(1, len(text) // 4)


def vector(text: str) -> list[float]:
    """A unit vector from the words of `text`: texts that share words point the same way."""
    sums = [0.0] * DIMENSIONS
    for word in text.lower().split():
        digest = hashlib.sha256(word.strip(".,;:!?").encode()).digest()
        sums[digest[0] % DIMENSIONS] += 1.0
    length = math.sqrt(sum(x * x for x in sums)) or 1.0
    return [x / length for x in sums]


def last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return " ".join(str(part["text"]) for part in content if part.get("type") == "text")


def usage(prompt: str, answer: str) -> dict[str, int]:
    read, written = tokens(prompt), tokens(answer)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def event(model: str, **body: Any) -> bytes:
    data = {"id": "mock", "object": "chat.completion.chunk", "created": 0, "model": model, **body}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def choice(delta: Mapping[str, Any], finish: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


class Answer(httpx2.AsyncByteStream):
    """One streamed chat answer, word by word."""

    def __init__(self, script: Script, body: Mapping[str, Any]) -> None:
        self.script = script
        self.model = script.model or str(body["model"])
        self.prompt = json.dumps(body["messages"])
        self.text = script.text
        if self.text is None:
            self.text = f"You said: {last_user_text(body['messages'])}"
        self.pieces = words(self.text)[: int(body.get("max_tokens") or 1_000_000)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.script.tool:
            function = {"name": self.script.tool, "arguments": self.script.arguments}
            call = {"index": 0, "id": "mock_call_1", "type": "function", "function": function}
            yield event(self.model, choices=choice({"tool_calls": [call]}))
            yield event(self.model, choices=choice({}, "tool_calls"))
        else:
            async for piece in self.spoken():
                yield piece
            cut = self.pieces != words(self.text or "")
            yield event(self.model, choices=choice({}, "length" if cut else "stop"))
        yield event(self.model, choices=[], usage=usage(self.prompt, "".join(self.pieces)))
        yield b"data: [DONE]\n\n"

    async def spoken(self) -> AsyncIterator[bytes]:
        for n, piece in enumerate(self.pieces):
            if n == self.script.cut_after:
                raise httpx2.ReadError("the scripted stream was cut")
            if self.script.delay_ms:
                await anyio.sleep(self.script.delay_ms / 1000)
            yield event(self.model, choices=choice({"content": piece}))


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    texts: list[str] = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    return {
        "object": "list",
        "model": body["model"],
        "data": [
            {"object": "embedding", "index": n, "embedding": vector(text)}
            for n, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": sum(map(tokens, texts)), "total_tokens": 0},
    }


def failure(script: Script) -> httpx2.Response:
    headers = {} if script.retry_after_s is None else {"retry-after": str(script.retry_after_s)}
    message = f"the mock was told to answer {script.status}"
    error = {"message": message, "type": "mock_error", "code": None}
    return httpx2.Response(script.status, headers=headers, json={"error": error})


class MockTransport(httpx2.AsyncBaseTransport):
    """Serves every URL of the scheme `mock`; counts requests per host for `times`, and remembers
    on which hosts the model was unloaded."""

    def __init__(self) -> None:
        self.seen = Counter[str]()
        self.unloaded = set[str]()

    def memory(self, play: Script, request: httpx2.Request) -> httpx2.Response:
        """The questions about a loaded model, as Ollama answers them."""
        host = request.url.host
        if request.url.path.endswith("/api/generate"):
            self.unloaded.add(host)
            return httpx2.Response(200, json={"done": True, "done_reason": "unload"})
        here = play.loaded is not None and host not in self.unloaded
        models = [{"name": play.loaded, "size": LOADED_BYTES}] if here else []
        return httpx2.Response(200, json={"models": models})

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        play = script(dict(request.url.params))
        path = request.url.path
        if path.endswith("/models"):
            return httpx2.Response(200, json={"object": "list", "data": [{"id": "echo"}]})
        if "/api/" in path:
            return self.memory(play, request)
        self.seen[request.url.host] += 1
        if play.hang:
            await anyio.sleep_forever()
        failing = play.times is None or self.seen[request.url.host] <= play.times
        if play.status >= 400 and failing:
            return failure(play)
        body = json.loads(await request.aread())
        if path.endswith("/embeddings"):
            return httpx2.Response(200, json=embeddings(body))
        headers = {"content-type": "text/event-stream", "x-request-id": "mock-request"}
        return httpx2.Response(200, headers=headers, stream=Answer(play, body))
