"""What a server says while it works: short lines on stderr, and JSON lines in a file of its own.

    HOME/logs/20261121-155422-4711.jsonl        started then, process 4711
    HOME/logs/20261121-155422-4711.old.jsonl    what was in it before it grew too long

Keys and what people wrote are taken out before a record gets here (redact.py). Both are written by
threads of their own: a client that does not read stderr, a full disk or a directory that cannot be
written to holds up no call. The file waits for the first answer; until then nothing is opened.
"""

import errno
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .redact import OURS, RedactingFilter, Redactor

logger = logging.getLogger(__name__)

MOST_BYTES = 1 << 20  # of a file, and of the one before it
MOST_FILES = 20  # of all servers together
MOST_WAITING = 1000  # records; those that come then are dropped
END_S = 0.1
SUFFIX = ".jsonl"
OLD = ".old" + SUFFIX

Write = Callable[[logging.LogRecord], None]


class Background(logging.Handler):
    """Hands records to a thread, which starts with `begin`; what comes before waits."""

    def __init__(self, write: Write, level: int, redactor: Redactor) -> None:
        super().__init__(level)
        self.write = write
        self.redaction = RedactingFilter(redactor)
        self.addFilter(self.redaction)
        self.waiting: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self.thread = threading.Thread(target=self.run, name="roundhouse-log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        if self.waiting.qsize() < MOST_WAITING:
            self.waiting.put(record)

    def begin(self) -> None:
        self.thread.start()

    def run(self) -> None:
        while (record := self.waiting.get()) is not None:
            with suppress(OSError, ValueError):  # ValueError: a closed stderr
                self.write(record)

    def end(self) -> None:
        """Waits for what is still to be written, for a moment."""
        self.waiting.put(None)
        if self.thread.is_alive():
            self.thread.join(END_S)


class LogFile:
    """One process's file: of a bounded size, for its owner only. What cannot be written is counted
    and complained of once; the next record tries again."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self.most_bytes = most_bytes
        self.descriptor: int | None = None
        self.size = 0
        self.lost = 0

    def write(self, record: logging.LogRecord) -> None:
        line = json_line(record)
        try:
            self.append(line)
        except OSError as error:
            self.close()
            self.lost += 1
            if self.lost == 1:
                reason = error.strerror or type(error).__name__
                logger.warning("%s cannot be written (%s); logs go to stderr", self.path, reason)
            return
        if self.lost:
            lost, self.lost = self.lost, 0
            logger.warning("%s can be written again; %d lines are missing", self.path, lost)

    def append(self, line: bytes) -> None:
        if self.descriptor is None or not self.path.exists():  # another process may have pruned it
            self.open()
        elif self.size + len(line) > self.most_bytes:
            self.close()
            self.path.replace(old(self.path))
            self.open()
        assert self.descriptor is not None
        if os.write(self.descriptor, line) < len(line):
            os.ftruncate(self.descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(line)

    def open(self) -> None:
        self.close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.descriptor = os.open(self.path, flags, 0o600)
        self.size = os.fstat(self.descriptor).st_size
        prune(self.path)

    def close(self) -> None:
        if self.descriptor is not None:
            with suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = None


def old(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(SUFFIX) + OLD)


def prune(mine: Path) -> None:
    """Leaves the files written to last, and this one."""

    def written(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    others = [path for path in mine.parent.glob(f"*{SUFFIX}") if path != mine]
    for path in sorted(others, key=written, reverse=True)[MOST_FILES - 1 :]:
        with suppress(OSError):
            path.unlink()


def json_line(record: logging.LogRecord) -> bytes:
    """One record, redacted already: when, how bad, from where, what, and what its message is made
    of where it says so (`extra={"fields": …}`)."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    said: dict[str, Any] = {
        "at": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name.removeprefix(f"{OURS}."),
        "message": record.getMessage(),
        **getattr(record, "fields", {}),
    }
    if record.exc_text:
        said["error"] = record.exc_text
    return json.dumps(said, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"


def say(record: logging.LogRecord) -> None:
    """One line for whoever looks at what the client shows of stderr."""
    error = f" ({record.exc_text})" if record.exc_text else ""
    sys.stderr.write(f"roundhouse: {' '.join(record.getMessage().split())}{error}\n")
    sys.stderr.flush()


class Logs:
    """The logging of one server process. `on_stderr` comes first, before there are settings."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.path: Path | None = None
        self.stderr = Background(say, logging.INFO if verbose else logging.WARNING, Redactor())
        self.file: Background | None = None

    def on_stderr(self) -> None:
        """From now on. Other people's libraries are asked for warnings only, and never to explain
        what goes wrong inside logging: that would repeat what was logged."""
        logging.raiseExceptions = False
        logging.getLogger().addHandler(self.stderr)
        logging.getLogger(OURS).setLevel(self.stderr.level)
        self.stderr.begin()

    def redact(self, redactor: Redactor) -> None:
        """The keys are known."""
        self.stderr.redaction.redactor = redactor

    def keep(self, directory: Path, level: str, redactor: Redactor) -> Path:
        """Remembers what is to go into a file there, once `begin` says so."""
        wanted = logging.DEBUG if self.verbose else logging.getLevelNamesMapping()[level.upper()]
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.path = directory / f"{stamp}-{os.getpid()}{SUFFIX}"
        self.file = Background(LogFile(self.path).write, wanted, redactor)
        logging.getLogger().addHandler(self.file)
        logging.getLogger(OURS).setLevel(min(self.stderr.level, wanted))
        return self.path

    def begin(self) -> None:
        """Opens the file, in its thread."""
        if self.file is not None:
            self.file.begin()

    def end(self) -> None:
        """Writes what is left; what comes now is said to nobody."""
        for handler in filter(None, (self.stderr, self.file)):
            handler.end()
