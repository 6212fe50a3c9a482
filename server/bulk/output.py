"""The answers of a batch: a file that is only ever added to, one JSON object a line.

    {"custom_id": "a", "line": 1, "request": "1f0c…", "answer": {"text": …, "cost_usd": …}}

An answer that is in it is never asked for again. One process at a time writes it; the lock dies
with its holder. A line cut by a crash is taken off.
"""

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import ConfigError
from ..ledger.locks import open_lock, try_lock
from .lines import ID, Line


class Output:
    """`answered` holds the digest of every request that has its answer, by custom_id."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.answered = self.read()

    def read(self) -> dict[str, str]:
        """Raises ConfigError for a file that is something else; it is left as it is."""
        found: dict[str, str] = {}
        whole = 0
        for text in self.file:
            if not text.endswith(b"\n"):
                break  # cut by a crash: only the last line can be
            name, digest = self.record(text, len(found) + 1)
            found[name] = digest
            whole += len(text)
        self.file.seek(whole)
        self.file.truncate()
        return found

    def record(self, text: bytes, number: int) -> tuple[str, str]:
        try:
            said = cast("dict[str, Any]", json.loads(text))
            return str(said[ID]), str(said["request"])
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{self.path} line {number} is no answer of a batch; name another --output."
            ) from None

    def add(self, line: Line, answer: Mapping[str, Any]) -> None:
        """Raises OSError where the disk is full."""
        said = {ID: line.custom_id, "line": line.number, "request": line.digest, "answer": answer}
        self.file.write(json.dumps(said, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self.file.flush()
        self.answered[line.custom_id] = line.digest


@contextmanager
def opened(path: Path) -> Generator[Output]:
    """The file, made if it is missing (for its owner alone), and locked. Raises ConfigError."""
    try:
        descriptor = open_lock(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "r+b") as file:
        if not try_lock(file.fileno()):
            raise ConfigError(f"{path} is being written by another batch; wait for it to end.")
        yield Output(path, file)
