"""The border every outside string crosses before it is shown.

Model names, error texts, client names and file names are written by strangers, and Textual passes
control characters through to the terminal. Here every character that is not printable becomes a
visible stand-in, runs of combining marks are cut, and the length is capped. Cleaning twice changes
nothing.
"""

import json
import unicodedata
from sys import intern
from typing import Any

MAX_LENGTH = 400
MARKS = 2
WORD = 24  # shorter than the identity of a call
NAMED = {"\n": "⏎", "\t": " ", "\x7f": "␡"}
# Printable to Python, yet invisible, or a change to the width of the character before.
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u180b\u180c\u180d\u180f") | {
    chr(code) for span in (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)) for code in span
}


def clean(text: str, limit: int = MAX_LENGTH) -> str:
    """One line of at most `limit` printable characters."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MARKS:
            kept.append(visible(character))
    return "".join(kept)


def visible(character: str) -> str:
    if character in UNSEEN:
        return "\ufffd"
    if character.isprintable():
        return character
    if named := NAMED.get(character):
        return named
    if character < " ":
        return chr(0x2400 + ord(character))
    return " " if unicodedata.category(character) == "Zs" else "\ufffd"


def clean_bytes(text: bytes) -> str:
    """For a database connection's `text_factory`: nothing read through it is unclean. Short words,
    most of which say the same in thousands of rows, are held once."""
    cleaned = clean(text[: MAX_LENGTH * 4].decode("utf-8", "replace"))
    return intern(cleaned) if len(cleaned) <= WORD else cleaned


def clean_json(text: bytes) -> Any:
    """Decoded, with every string in it clean; None if it is no JSON. Escapes inside JSON strings
    only become characters here, so cleaning the text before is not enough."""
    try:
        return scrub(json.loads(text))
    except (ValueError, RecursionError):
        return None


def scrub(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [scrub(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {clean(str(key)): scrub(item) for key, item in value.items()}  # pyright: ignore
    return value
