"""Providers and wires of strangers: one for each way in which code that is not ours can behave.

The model's name says what the provider does.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, cast

import anyio
import anyio.lowlevel

from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.providers.errors import Throttled
from roundhouse_mcp.providers.framing import Event
from roundhouse_mcp.providers.probe import Probe
from roundhouse_mcp.providers.request import Request, request
from roundhouse_mcp.providers.types import Call, Chunk, EmbedCall, Embedding, ToolCallPart, Usage

SECRET = "sk-canary-0123456789"
DONE = Chunk(finish_reason="stop", usage=Usage(input=1, output=1), done=True)


class Hurried(Throttled):
    """A class of a stranger's own."""


class Strange:
    ROW: ClassVar[Mapping[str, Any]] = {
        "title": "Strange",
        "key_required": False,
        "local": True,
        "retention": "keeps nothing, it says",
        "capabilities": ["chat", "streaming", "embeddings", "tools"],
        "default": "answers",
        "embedding_model": "answers",
    }
    closed: ClassVar[list[str]] = []

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, call: Call, *, model: str, key: str | None) -> AsyncIterator[Chunk]:
        return getattr(self, model)()

    async def embed(self, call: EmbedCall, *, model: str, key: str | None) -> Embedding:
        vectors = [(1.0, 2.0) for _ in call.texts]
        match model:
            case "answers":
                return Embedding(vectors=tuple(vectors), usage=Usage(input=1, output=0))
            case "leaves_one_out":
                return Embedding(vectors=tuple(vectors[1:]), usage=Usage())
            case "counts_nothing":
                return Embedding(vectors=((float("nan"),),), usage=Usage())
            case "hangs":
                await anyio.sleep_forever()
            case "is_cancelled_inside":
                raise asyncio.CancelledError
            case "gives_no_embedding":
                return cast("Embedding", [[1.0]])
            case _:
                pass
        raise KeyError(SECRET)

    async def health(self, key: str | None) -> Probe:
        return Probe(reachable=True, models=("answers",))

    async def aclose(self) -> None:
        self.closed.append("provider")

    async def answers(self) -> AsyncIterator[Chunk]:
        yield Chunk(text="Hello")
        yield Chunk(tool_calls=(ToolCallPart(id="1", name="look", arguments="{}"),))
        yield DONE

    async def fails(self) -> AsyncIterator[Chunk]:
        raise ConnectionError(SECRET)
        yield DONE

    async def fails_midway(self) -> AsyncIterator[Chunk]:
        yield Chunk(text="Hel")
        raise KeyError(SECRET)

    async def fails_after_the_end(self) -> AsyncIterator[Chunk]:
        yield Chunk(text="Hello")
        yield DONE
        raise KeyError(SECRET)

    async def throttles(self) -> AsyncIterator[Chunk]:
        raise Hurried("someone else", "slow\ndown", retry_after_s=7.0)
        yield DONE

    async def throttles_midway(self) -> AsyncIterator[Chunk]:
        yield Chunk(text="Hel")
        raise Throttled("strange", "slow down", retry_after_s=float("nan"))

    async def exits(self) -> AsyncIterator[Chunk]:
        sys.exit(SECRET)
        yield DONE

    async def is_cancelled_inside(self) -> AsyncIterator[Chunk]:
        raise asyncio.CancelledError
        yield DONE

    async def stops(self) -> AsyncIterator[Chunk]:
        yield Chunk(text="Hel")

    async def hangs(self) -> AsyncIterator[Chunk]:
        try:
            await anyio.sleep_forever()
            yield DONE
        finally:
            self.closed.append("hangs")

    async def stalls(self) -> AsyncIterator[Chunk]:
        try:
            yield Chunk(text="Hel")
            await anyio.sleep_forever()
        finally:
            self.closed.append("stalls")
            await anyio.lowlevel.checkpoint()
            self.closed.append("stalls no more")

    async def never_waits(self) -> AsyncIterator[Chunk]:
        while True:
            yield Chunk()

    async def never_ends(self) -> AsyncIterator[Chunk]:
        while True:
            yield Chunk(text="word " * 1000)

    async def closes_badly(self) -> AsyncIterator[Chunk]:
        try:
            yield Chunk(text="Hel")
            yield DONE
        finally:
            raise KeyError(SECRET)

    async def closes_never(self) -> AsyncIterator[Chunk]:
        try:
            yield Chunk(text="Hel")
            yield DONE
        finally:
            await anyio.sleep_forever()

    async def yields_inside_a_scope(self) -> AsyncIterator[Chunk]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield Chunk(text="Hel")
            yield DONE
            group.cancel_scope.cancel()

    async def gives_text(self) -> AsyncIterator[Chunk]:
        yield cast("Chunk", "Hello")

    async def gives_bytes(self) -> AsyncIterator[Chunk]:
        yield Chunk(text=cast("str", b"Hello"))

    async def gives_negative_usage(self) -> AsyncIterator[Chunk]:
        yield Chunk(usage=Usage(input=-5))

    async def gives_an_unknown_reason(self) -> AsyncIterator[Chunk]:
        yield Chunk(finish_reason=cast("Any", "tired"))

    def is_no_iterator(self) -> AsyncIterator[Chunk]:
        return cast("AsyncIterator[Chunk]", 5)


class Stillborn(Strange):
    def __init__(self, provider: Provider) -> None:
        raise RuntimeError(SECRET)


class Mute:
    ROW: ClassVar[Mapping[str, Any]] = {"capabilities": ["chat"]}


class Wire:
    """A wire as an object. The model's name says in which function it fails."""

    FRAMING = "ndjson"

    def encode(self, call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
        match model:
            case "fails_to_ask":
                raise ZeroDivisionError(SECRET)
            case "asks_nothing":
                return cast("Request", {"path": "/speak"})
            case "asks_no_json":
                return request(provider, "/speak", {"hear": object()})
            case _:
                return request(provider, "/speak", {"hear": model})

    def decode(self, body: Any, *, provider: str) -> Chunk:
        return Chunk(text=body["text"], done=True)

    def decode_event(self, event: Event, *, provider: str) -> Chunk | None:
        match json.loads(event.data)["word"]:
            case "crash":
                raise ZeroDivisionError(SECRET)
            case "throttle":
                raise Hurried("someone else", "slow down")
            case "nothing":
                return None
            case "bytes":
                return Chunk(text=cast("str", b"Hello"))
            case "end":
                return DONE
            case word:
                return Chunk(text=word)


class Half:
    FRAMING = "ndjson"

    def encode(self) -> None: ...


class Unframed(Wire):
    FRAMING = "smoke signals"


wire = Wire()
half = Half()
unframed = Unframed()
