"""The requests of a batch: a file of JSON objects, one a line. Pure, but for reading the file."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigError

ID = "custom_id"
LONGEST_ID = 200
NOT_HERE = ("call_id", "offset")  # a batch reads its own answers on
Complain = Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request: the arguments of `complete`. `number` counts from 1; `digest` is the same for
    the same arguments."""

    number: int
    custom_id: str
    arguments: Mapping[str, Any]

    @property
    def digest(self) -> str:
        said = json.dumps(self.arguments, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that cannot be asked, and why."""

    number: int
    why: str


class Bad(Exception):
    """Why a line is none."""


def read(path: Path, complain: Complain) -> tuple[list[Line], list[Problem]]:
    """The requests of a file and its bad lines; empty lines are passed over. `complain` says what
    is wrong with a request's arguments. Raises ConfigError for a file that cannot be read."""
    lines: dict[str, Line] = {}
    problems: list[Problem] = []
    for number, text in numbered(path):
        try:
            line = understood(number, text, complain)
            if line.custom_id in lines:
                first = lines[line.custom_id].number
                raise Bad(f"its {ID} {line.custom_id!r} is that of line {first}")
            lines[line.custom_id] = line
        except Bad as bad:
            problems.append(Problem(number, str(bad)))
    return list(lines.values()), problems


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, text
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def understood(number: int, text: bytes, complain: Complain) -> Line:
    """Raises Bad. No sentence quotes the request."""
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError):
        raise Bad("it is not JSON") from None
    if not isinstance(said, dict):
        raise Bad("it is no JSON object") from None
    arguments = cast("dict[str, Any]", said)
    name = arguments.pop(ID, f"line-{number}")
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_ID):
        raise Bad(f"its {ID} is no text of 1 to {LONGEST_ID} printable characters")
    if other := next((each for each in NOT_HERE if each in arguments), None):
        raise Bad(f"{other} has no place in a batch")
    if why := complain(arguments):
        raise Bad(why)
    return Line(number=number, custom_id=name, arguments=arguments)
