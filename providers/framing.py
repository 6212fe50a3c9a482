"""Cuts a streamed body into events: server-sent events, newline-delimited JSON, AWS event streams.

All are incremental and pure: `feed` takes bytes cut anywhere and returns the events they finish,
`close` returns what the end of the body finishes.
"""

import json
import struct
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol

LINE_CAP = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `name` is the SSE event field, or the type of an AWS event, with `!` before it
    where the frame reports an error; NDJSON has none."""

    data: str
    name: str = ""


class Unframed(ValueError):
    """The body is not made of lines we accept."""


class Framing(Protocol):
    def feed(self, data: bytes) -> list[Event]: ...

    def close(self) -> list[Event]: ...


class Lines:
    """Whole lines from bytes cut anywhere. Raises Unframed for a line over the cap."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` finishes, without their line feeds."""
        self.size += len(data)
        self.parts.append(data)
        if b"\n" not in data:
            self.check(self.size)
            return []
        lines = b"".join(self.parts).split(b"\n")
        tail = lines.pop()
        self.parts, self.size = [tail], len(tail)
        self.check(max(map(len, lines), default=0), self.size)
        if not self.begun:
            self.begun = True
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    def close(self) -> list[bytes]:
        tail = b"".join(self.parts)
        self.parts, self.size = [], 0
        return [tail if self.begun else tail.removeprefix(BOM)] if tail else []

    def check(self, *lengths: int) -> None:
        if max(lengths) > LINE_CAP:
            raise Unframed("a line of the answer is longer than 1 MiB")


class ServerSentEvents:
    """The `text/event-stream` format with LF or CRLF. Comments and unknown fields are skipped; an
    event without its closing blank line still counts at the end of the body."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.name = ""
        self.data: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> list[Event]:
        return self.read(self.lines.feed(data))

    def close(self) -> list[Event]:
        return self.read([*self.lines.close(), b""])

    def read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self.keep(line[6:] if line.startswith(b"data: ") else line[5:])
            elif not line:
                self.finish(events)
            elif line.startswith(b"event:"):
                self.name = line[6:].strip().decode("utf-8", "replace")
            elif line == b"data":
                self.keep(b"")
        return events

    def keep(self, data: bytes) -> None:
        self.data.append(data)
        self.size += len(data)
        if self.size > LINE_CAP:
            raise Unframed("an event of the answer is longer than 1 MiB")

    def finish(self, events: list[Event]) -> None:
        if self.data:
            events.append(Event(b"\n".join(self.data).decode("utf-8", "replace"), self.name))
            self.data, self.size = [], 0
        self.name = ""


class NewlineJson:
    """One JSON document per line; blank lines are skipped."""

    def __init__(self) -> None:
        self.lines = Lines()

    def feed(self, data: bytes) -> list[Event]:
        return self.read(self.lines.feed(data))

    def close(self) -> list[Event]:
        return self.read(self.lines.close())

    def read(self, lines: list[bytes]) -> list[Event]:
        texts = (line.strip().decode("utf-8", "replace") for line in lines)
        return [Event(text) for text in texts if text]


class EventStream:
    """The binary frames of `application/vnd.amazon.eventstream`, read by botocore. Raises Unframed
    for frames whose lengths or checksums are wrong, and without the library."""

    def __init__(self) -> None:
        self.buffer: Any = None
        self.wrong: tuple[type[Exception], ...] = (struct.error,)

    def feed(self, data: bytes) -> list[Event]:
        buffer: Any = self.buffer or self.open()
        try:
            buffer.add_data(data)
            return [aws_event(frame.headers, frame.payload) for frame in buffer]
        except self.wrong as error:
            raise Unframed("a frame of the answer is damaged") from error

    def open(self) -> Any:
        try:
            library: Any = import_module("botocore.eventstream")  # an optional extra
        except ModuleNotFoundError:
            raise Unframed(
                "the answer comes in binary frames; pip install 'roundhouse-mcp[bedrock]'"
            ) from None
        self.buffer, self.wrong = library.EventStreamBuffer(), (library.ParserError, struct.error)
        return self.buffer

    def close(self) -> list[Event]:
        return []


def aws_event(headers: Mapping[str, Any], payload: bytes) -> Event:
    """An error that the service has no type for stands in the headers instead of the payload."""
    match headers.get(":message-type"):
        case "exception":
            name = f"!{headers.get(':exception-type', '')}"
        case "error":
            message = {"message": headers.get(":error-message", "")}
            return Event(json.dumps(message), f"!{headers.get(':error-code', '')}")
        case _:
            name = str(headers.get(":event-type", ""))
    return Event(payload.decode("utf-8", "replace"), name)


FRAMINGS: dict[str, type[ServerSentEvents] | type[NewlineJson] | type[EventStream]] = {
    "sse": ServerSentEvents,
    "ndjson": NewlineJson,
    "eventstream": EventStream,
}
