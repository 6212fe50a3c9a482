"""What a wire is, and where wires are found by name.

A wire is a module of pure functions. A chat wire has FRAMING, `encode`, `decode` (a whole answer as
one chunk) and `decode_event` (one event of a stream; stateless). An embedding wire has `encode` and
`decode`. Both raise the UpstreamError that an error inside an answer means; a body that is not what
the protocol promises may raise ValueError, LookupError, TypeError or AttributeError.

A job wire is a chat wire of a service that answers in several requests: the first one only begins
the work. `job` reads from its answer how to go on (jobs.py does), `decode` reads the work at any
stage, its text as far as it is, and `decode_event` the stream of it.

Ours are files of `wires`; other packages bring more by their entry points (plugins.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, Protocol, TypeVar, cast, runtime_checkable

from . import foreign
from .catalog import Provider
from .errors import Faulted, UpstreamError
from .framing import FRAMINGS, Event
from .plugins import builtin, load, missing
from .request import Request
from .types import Call, Chunk, EmbedCall, Embedding

WIRES = f"{__package__}.wires"
T = TypeVar("T")


class ChatWire(Protocol):
    @property
    def FRAMING(self) -> Literal["sse", "ndjson", "eventstream"]: ...

    def encode(
        self, call: Call, *, model: str, provider: Provider, stream: bool = True
    ) -> Request: ...

    def decode(self, body: Any, *, provider: str) -> Chunk: ...

    def decode_event(self, event: Event, *, provider: str) -> Chunk | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that was begun: how to look at it, hear it (where it can be heard) and stop it. `over`:
    it has ended, well or badly, and there is nothing to stop."""

    id: str
    look: Request
    stop: Request
    hear: Request | None = None
    over: bool = False


@runtime_checkable
class JobWire(ChatWire, Protocol):
    def job(self, body: Any, *, provider: Provider) -> Job: ...


class EmbedWire(Protocol):
    def encode(self, call: EmbedCall, *, model: str, provider: Provider) -> Request: ...

    def decode(self, body: Any, *, provider: str) -> Embedding: ...


@lru_cache
def chat_wire(name: str) -> ChatWire:
    """Raises LookupError when there is no wire of that name."""
    own = shipped(name)
    if own is not None:
        return cast("ChatWire", own)
    return ForeignChat(name, load("wire", name, chat_flaw))


@lru_cache
def embed_wire(name: str) -> EmbedWire:
    """Raises LookupError when there is no wire of that name."""
    own = shipped(name)
    if own is not None:
        return cast("EmbedWire", own)
    return ForeignEmbed(name, load("wire", name, embed_flaw))


def shipped(name: str) -> object | None:
    """Our own wire of that name, which no package replaces."""
    return import_module(f"{WIRES}.{name}") if name in builtin("wire") else None


def chat_flaw(found: Any) -> str:
    """What keeps an object from being a chat wire; nothing, if it is one."""
    framing = getattr(found, "FRAMING", None)
    if framing not in FRAMINGS:
        return f"its FRAMING is not one of {', '.join(sorted(FRAMINGS))}"
    return missing(found, ("encode", "decode", "decode_event"))


def embed_flaw(found: Any) -> str:
    return missing(found, ("encode", "decode"))


class ForeignChat:
    """A chat wire from another package, failing only as our own do."""

    def __init__(self, name: str, wire: ChatWire) -> None:
        self.FRAMING = wire.FRAMING
        self.wire = wire
        self.what = f"the wire {name}"

    def encode(self, call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
        return written(
            self.what,
            provider.name,
            lambda: self.wire.encode(call, model=model, provider=provider, stream=stream),
        )

    def decode(self, body: Any, *, provider: str) -> Chunk:
        decode = self.wire.decode
        return read(self.what, provider, lambda: foreign.chunk(decode(body, provider=provider)))

    def decode_event(self, event: Event, *, provider: str) -> Chunk | None:
        def decoded() -> Chunk | None:
            found = self.wire.decode_event(event, provider=provider)
            return None if found is None else foreign.chunk(found)

        return read(self.what, provider, decoded)


class ForeignEmbed:
    """An embedding wire from another package, failing only as our own do."""

    def __init__(self, name: str, wire: EmbedWire) -> None:
        self.wire = wire
        self.what = f"the wire {name}"

    def encode(self, call: EmbedCall, *, model: str, provider: Provider) -> Request:
        return written(
            self.what,
            provider.name,
            lambda: self.wire.encode(call, model=model, provider=provider),
        )

    def decode(self, body: Any, *, provider: str) -> Embedding:
        decode = self.wire.decode
        return read(self.what, provider, lambda: foreign.embedding(decode(body, provider=provider)))


def written(what: str, provider: str, encode: Callable[[], Request]) -> Request:
    """Raises Faulted where a foreign wire makes no request; nothing was sent then."""
    try:
        return foreign.request(encode())
    except UpstreamError as error:
        raise foreign.own(error, provider) from None
    except foreign.ANYTHING as error:
        foreign.note(error, provider, what)
        raise Faulted(
            provider, f"{what} made no request ({type(error).__name__}); nothing was sent"
        ) from None


def read(what: str, provider: str, decode: Callable[[], T]) -> T:
    """Raises Garbled where a foreign wire does not understand an answer."""
    try:
        return decode()
    except foreign.ANYTHING as error:
        raise foreign.meaning(error, provider, what) from None
