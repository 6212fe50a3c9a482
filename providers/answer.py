"""A streamed answer: from the bytes of one response to chunks."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self, TypeVar

from . import errors
from .body import Reader
from .catalog import Provider
from .framing import FRAMINGS, Event, Framing, Unframed
from .json_text import TooDeep, loads
from .types import Chunk, EmbedCall, Embedding
from .wire import ChatWire

GRACE_S = 0.25
LONGEST_NAME = 40
JSON_STARTS = tuple(bytes([byte]) for byte in b'{["-0123456789ntf')
T = TypeVar("T")


class Answer:
    """A streamed answer: iterate over its chunks. Raises the UpstreamError it ends in; one that
    ends before the provider called it finished is Interrupted."""

    def __init__(self, provider: Provider, wire: ChatWire, reader: Reader) -> None:
        self.provider = provider.name
        self.wire = wire
        self.reader = reader
        self.status = reader.response.status_code
        self.request_id = reader.request_id
        self.run_out_s = reader.run_out_s
        self.framing: Framing | None = None
        self.head = b""
        self.ready: deque[Chunk] = deque()
        self.failure: errors.UpstreamError | None = None
        self.ended = False
        self.heard = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while not self.ready:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                await self.reader.drain(GRACE_S)
                raise StopAsyncIteration
            try:
                await self.hear()
            except errors.UpstreamError as error:
                self.fail(error)
        return self.ready.popleft()

    async def hear(self) -> None:
        data = await self.reader.read()
        if self.framing is None:
            self.begin(data)
        elif data:
            self.take(self.framing, data)
        else:
            self.finish(self.framing)

    def begin(self, data: bytes) -> None:
        """Decides by the first bytes what the body is: a stream, or the whole answer as JSON."""
        self.head += data
        first = self.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        as_json = self.reader.media_type == "application/json"
        if first in JSON_STARTS and (as_json or (self.wire.FRAMING != "ndjson" and first in b"{[")):
            if not data:
                self.keep(self.decoded(lambda: self.whole(self.head)))
                self.reader.progress.complete = self.ended = True
        elif first == b"<" or (not first and not data):
            what = "HTML" if first else "empty"
            raise errors.Garbled(self.provider, f"the answer is {what}", status=self.status)
        elif first:
            self.framing = FRAMINGS[self.wire.FRAMING]()
            self.take(self.framing, self.head)
            if not data:
                self.finish(self.framing)

    def whole(self, body: bytes) -> Chunk:
        return self.wire.decode(loads(body.decode("utf-8-sig", "replace")), provider=self.provider)

    def take(self, framing: Framing, data: bytes) -> None:
        self.decoded(lambda: self.events(framing.feed(data)))

    def finish(self, framing: Framing) -> None:
        """The body is over; was the answer? Half an event at its end says that it was not."""
        with suppress(errors.Garbled):
            self.decoded(lambda: self.events(framing.close()))
        self.ended = True
        if not self.reader.progress.complete:
            raise errors.Interrupted(
                self.provider, "the answer ended before it was complete", status=self.status
            )

    def events(self, events: Sequence[Event]) -> None:
        for event in events:
            try:
                chunk = self.wire.decode_event(event, provider=self.provider)
            except errors.UpstreamError as error:
                if error.heard is not None:
                    self.ready.append(error.heard)
                raise
            if chunk is None:
                continue
            if chunk.done:
                self.reader.progress.complete = True
            if chunk.ended and self.reader.progress.complete:
                self.ended = True
            self.keep(chunk)
            self.heard = True

    def keep(self, chunk: Chunk) -> None:
        """Some services name a request only in the body."""
        self.request_id = self.request_id or chunk.request_id
        self.ready.append(chunk)

    def decoded(self, read: Callable[[], T]) -> T:
        return decoded(self.provider, read, request_id=self.request_id)

    def fail(self, error: errors.UpstreamError) -> None:
        """After the answer was called finished, how the connection ends does not matter."""
        if self.reader.progress.complete and isinstance(error, errors.Interrupted):
            self.ended = True
            return
        error.request_id = error.request_id or self.request_id
        if self.heard and error.billing == "none":
            error.billing = "observed"
        self.failure = error


def read_json(provider: str, body: bytes, known_as: str | None) -> Any:
    """The decoded body. Raises Garbled for an empty one and for what is not JSON."""
    if not body.strip():
        raise errors.Garbled(provider, "the answer is empty", request_id=known_as)
    return decoded(
        provider, lambda: loads(body.decode("utf-8-sig", "replace")), request_id=known_as
    )


def decoded(provider: str, read: Callable[[], T], *, request_id: str | None) -> T:
    """What `read` makes of a stranger's body. Raises Garbled where it is not what the wire
    promises."""
    try:
        return read()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise errors.Garbled(provider, misread(error), request_id=request_id) from error


def misread(error: Exception) -> str:
    """What is wrong with an answer, in words. A KeyError names what the wire looked for."""
    match error:
        case Unframed() | TooDeep():
            return str(error)
        case KeyError(args=[str(name)]):
            return f"the answer is not understood: it has no {name[:LONGEST_NAME]!r}"
        case IndexError():
            return "the answer is not understood: a list in it is empty"
        case _:
            known = type(error).__name__ == "JSONDecodeError"
            return f"the answer is {'not valid JSON' if known else 'not understood'}"


def checked(provider: str, call: EmbedCall, found: Embedding, known_as: str | None) -> Embedding:
    """The embedding, if it has what was asked for."""
    if len(found.vectors) != len(call.texts):
        raise errors.Garbled(
            provider,
            f"{len(call.texts)} texts were sent and {len(found.vectors)} vectors came back",
            request_id=known_as,
        )
    sizes = {len(vector) for vector in found.vectors}
    if call.dimensions is not None and sizes != {call.dimensions}:
        raise errors.Refused(
            provider,
            f"the model does not make vectors of {call.dimensions} dimensions",
            request_id=known_as,
        )
    if len(sizes) != 1 or 0 in sizes:
        raise errors.Garbled(provider, "the vectors differ in length", request_id=known_as)
    return replace(found, request_id=known_as)
