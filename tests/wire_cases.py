"""Hand-written answers, streams, failures and error responses of every chat wire: one JSON file per
wire in tests/wires, named like it. ROUNDHOUSE_WIRE_CASES may name one more folder of them, for the
wires of an installed package.

    answers   whole bodies and the completion they mean
    streams   lines of whole streams and the completion they mean
    failures  lines of streams that fail, the error's kind, and the text heard before
    faults    error responses: status, headers, body, the error's kind and the wait it asks for
    created   what the first request of a job wire is answered with; its streams answer the next

A line of an AWS event stream is the event's name, `!` before it for an exception, and its data.
"""

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

from roundhouse_mcp.providers.wire import chat_wire

FOLDER = Path(__file__).with_name("wires")
MORE = os.environ.get("ROUNDHOUSE_WIRE_CASES")
FILES = [*FOLDER.glob("*.json"), *(Path(MORE).glob("*.json") if MORE else ())]
CASES: dict[str, Any] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FILES)
}
WIRES = tuple(CASES)
MEDIA = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "eventstream": "application/vnd.amazon.eventstream",
}


def body(wire: str, case: Any, newline: str = "\n") -> bytes:
    """The bytes of a stream of this wire."""
    if chat_wire(wire).FRAMING == "eventstream":
        return b"".join(map(event_frame, case["lines"]))
    return (newline.join(case["lines"]) + newline).encode()


def event_frame(line: str) -> bytes:
    name, _, data = line.partition(" ")
    kind = "exception" if name.startswith("!") else "event"
    headers = {f":{kind}-type": name.removeprefix("!"), ":message-type": kind}
    return frame(headers, data.encode())


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One binary frame: lengths, their checksum, headers, payload, the checksum of it all."""
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value
        for name, value in ((name, value.encode()) for name, value in headers.items())
    )
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    before = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return before + struct.pack(">I", zlib.crc32(before))
