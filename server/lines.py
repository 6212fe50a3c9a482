"""Where each key of a TOML text stands, for messages: the parser does not say."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

Path = tuple[str | int, ...]

TABLE = re.compile(r"\s*\[(\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
PAIR = re.compile(rf"\s*((?:{PART.pattern})(?:\s*\.\s*(?:{PART.pattern}))*)\s*=")


def dotted(text: str) -> Path:
    return tuple(part.strip("\"'") for part in PART.findall(text))


def lines(text: str) -> dict[Path, int]:
    """Line numbers by key path; array tables count from 0. Keys inside inline tables are missing:
    `line_of` falls back to the line the table begins on."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := TABLE.match(line):
            table = dotted(header[2])
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, number)
        elif pair := PAIR.match(line):
            found.setdefault((*table, *dotted(pair[1])), number)
    return found


def line_of(path: Path, found: Mapping[Path, int]) -> int | None:
    """The line of the key, or of the nearest table around it."""
    for end in range(len(path), 0, -1):
        if path[:end] in found:
            return found[path[:end]]
    return None


def shown(path: Path) -> str:
    """`budgets[0].limit_usd`, `prices."my-vllm/qwen3".input`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = PART.fullmatch(part)
            text += f"{'.' if text else ''}{part if plain else chr(34) + part + chr(34)}"
    return text


def leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no table and no list of tables, with its path."""
    if isinstance(value, Mapping) and value:
        for key, inner in cast("Mapping[str, Any]", value).items():
            yield from leaves(inner, (*at, key))
    elif isinstance(value, list | tuple) and are_tables(cast("Sequence[Any]", value)):
        for n, inner in enumerate(cast("Sequence[Any]", value)):
            yield from leaves(inner, (*at, n))
    else:
        yield at, value


def are_tables(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Mapping) for value in values)
