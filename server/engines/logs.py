"""What an engine prints: redacted, bounded, kept in one file and one older one."""

import os
import re
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..redact import Redactor

MOST_BYTES = 1 << 20
LINE_BYTES = 2000
KEPT_LINES = 200
SAID = 300
TROUBLE = re.compile(
    r"error|fatal|failed|failure|couldn't|cannot|can't|unable|not found|no such|refused|denied|"
    r"invalid|exception|out of memory|already in use",
    re.IGNORECASE,
)
RAISED = re.compile(r"^[A-Za-z_.]*(Error|Exception|Interrupt|Exit)\b")
STAMP = re.compile(r"^[\d.:,\- ]+[EWID]? +")


class Log:
    """Written by one thread at a time; `note` is for lines of our own."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.redactor = redactor
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.lock = threading.Lock()

    def note(self, line: str) -> None:
        text = self.redactor.text(line.rstrip()) + "\n"
        with self.lock, suppress(OSError):  # of a full disk, or a home that was removed
            if self.path.exists() and self.path.stat().st_size > MOST_BYTES:
                self.path.replace(self.path.with_suffix(".log.1"))
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8", errors="replace") as file:
                file.write(text)

    def follow(self, pipe: BinaryIO) -> threading.Thread:
        """Takes down what comes out of the pipe until it is closed."""
        thread = threading.Thread(target=self.take_down, args=(pipe,), daemon=True)
        thread.start()
        return thread

    def take_down(self, pipe: BinaryIO) -> None:
        while line := pipe.readline(LINE_BYTES):
            text = line.decode("utf-8", "replace")
            self.lines.append(text.strip())
            self.note(text)

    def complaint(self) -> str:
        """The line that says what went wrong, as far as one can be told: what was raised, else the
        first that sounds like trouble, else the last. "" where there is none."""
        lines = [clean(line) for line in self.lines]
        raised = [line for line in lines if RAISED.match(line)]
        found = raised[-1:] or [line for line in lines if TROUBLE.search(line)] or lines[-1:]
        return self.redactor.text(found[0])[:SAID].rstrip(".") if found else ""


def clean(line: str) -> str:
    """Without the clock in front, and in characters a terminal can be trusted with."""
    return STAMP.sub("", "".join(c if c.isprintable() else " " for c in line)).strip()
