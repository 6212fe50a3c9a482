"""Hand-written answers, streams, failures and error responses of every chat wire: one JSON file per
wire in tests/wires, named like it.

    answers   whole bodies and the completion they mean
    streams   lines of whole streams and the completion they mean
    failures  lines of streams that fail, the error's kind, and the text heard before
    faults    error responses: status, headers, body, the error's kind and the wait it asks for
    created   what the first request of a job wire is answered with; its streams answer the next
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("wires")
CASES: dict[str, Any] = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(FOLDER.glob("*.json"))
}
WIRES = tuple(CASES)
MEDIA = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


def body(wire: str, case: Any, newline: str = "\n") -> bytes:
    """The bytes of a stream of this wire."""
    return (newline.join(case["lines"]) + newline).encode()
