"""How much of an answer fits into what a client shows its model.

Some clients cut a long result in the middle, and their model cannot know how to get the rest. They
get a page, and are told how to read on. The sizes are seen by tests/realclients.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

SHOWN_BYTES: Mapping[str, int] = {  # start of a client's name -> bytes of JSON, with room to spare
    "codex": 10_000,  # cuts at 12,000 where it does not know the model, far later where it does
    "gemini-cli": 36_000,  # shows the first 8,000 and the last 32,000
}


@dataclass(frozen=True, slots=True)
class Room:
    """For one page of text: characters the user allows, bytes the client shows; None: all."""

    chars: int | None = None
    bytes: int | None = None

    @property
    def why(self) -> str:
        return "limits.max_result_chars" if self.bytes is None else "more would be cut"

    def fitting(self, text: str) -> int:
        """How many characters of `text` fit."""
        most = len(text) if self.chars is None else min(len(text), self.chars)
        if self.bytes is None or size(text[: self.bytes + 1]) <= self.bytes:
            return most
        return bisect_right(range(self.bytes), self.bytes, key=lambda n: size(text[:n])) - 1


def room(allowed: int | None, client: str) -> Room:
    """What the user set wins. `client` is what the program calls itself, in the normal form."""
    if allowed is not None:
        return Room(chars=allowed)
    return Room(bytes=next((n for name, n in SHOWN_BYTES.items() if client.startswith(name)), None))


def size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))
