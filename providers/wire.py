"""What a wire is, and where wires are found by name.

A wire is a module of pure functions. A chat wire has FRAMING, `encode`, `decode` (a whole answer as
one chunk) and `decode_event` (one event of a stream; stateless). An embedding wire has `encode` and
`decode`. Both raise the UpstreamError that an error inside an answer means; a body that is not what
the protocol promises may raise ValueError, LookupError, TypeError or AttributeError.

A job wire is a chat wire of a service that answers in several requests: the first one only begins
the work. `job` reads from its answer how to go on (jobs.py does), `decode` reads the work at any
stage, its text as far as it is, and `decode_event` the stream of it.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, Protocol, cast, runtime_checkable

from .catalog import Provider
from .framing import Event
from .request import Request
from .types import Call, Chunk, EmbedCall, Embedding

WIRES = f"{__package__}.wires"


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
    return cast("ChatWire", found(name))


@lru_cache
def embed_wire(name: str) -> EmbedWire:
    """Raises LookupError when there is no wire of that name."""
    return cast("EmbedWire", found(name))


def found(name: str) -> object:
    if not name.isidentifier():
        raise LookupError(f"there is no wire named {name}")
    try:
        return import_module(f"{WIRES}.{name}")
    except ModuleNotFoundError as error:
        raise LookupError(f"there is no wire named {name}") from error
