"""Hand-written answers, streams, failures and error responses of every chat wire: one JSON file per
wire in tests/wires, named like it. ROUNDHOUSE_WIRE_CASES may name one more folder of them, for the
wires of an installed package.

    answers   whole bodies and the completion they mean
    streams   lines of whole streams and the completion they mean
    failures  lines of streams that fail, the error's kind, and the text heard before
    faults    error responses: status, headers, body, the error's kind and the wait it asks for
"""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("wires")
MORE = os.environ.get("ROUNDHOUSE_WIRE_CASES")
FILES = [*FOLDER.glob("*.json"), *(Path(MORE).glob("*.json") if MORE else ())]
CASES: dict[str, Any] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FILES)
}
WIRES = tuple(CASES)
MEDIA = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


def body(wire: str, case: Any, newline: str = "\n") -> bytes:
    """The bytes of a stream of this wire."""
    return (newline.join(case["lines"]) + newline).encode()
