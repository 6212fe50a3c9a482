"""JSON from strangers: bounded in depth, never raising what a caller does not expect."""

import json
import re

DEPTH_CAP = 64
TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.S)


class TooDeep(ValueError):
    """Nested deeper than any provider's answer has reason to be."""


def loads(text: str) -> object:
    """The decoded document. Raises ValueError for no JSON and for JSON nested too deep."""
    if text.count("{") + text.count("[") > DEPTH_CAP and depth(text) > DEPTH_CAP:
        raise TooDeep("the JSON is nested deeper than 64 levels")
    return json.loads(text)


def parsed(text: str) -> object:
    """The decoded document, or None when it is none."""
    try:
        return loads(text)
    except ValueError:
        return None


def depth(text: str) -> int:
    deepest = level = 0
    for match in TOKENS.finditer(text):
        if match[0] in "[{":
            level += 1
            deepest = max(deepest, level)
        elif match[0] in "]}":
            level -= 1
    return deepest
