"""The gate: one process at a time writes, in fair turns.

SQLite's own waiting starves writers (16 of 24,000 gave up after 5 s, two of them lost settles),
so a kernel file lock is taken before every transaction. Whoever has waited longest goes next
(line.py), so neither a process that has just been through nor one with luck can slip in before.

The gate file also keeps the number of the last commit: a database with a smaller number than its
gate has lost transactions.
"""

import os
import random
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .line import Line
from .locks import is_at, open_lock, try_lock, unlock

POLL_S = 0.0005  # of whoever is next; those behind look less often
LEAST_OFTEN = 8
COUNT_BYTES = 20


class GateBusy(Exception):
    """Another process held the gate for the whole waiting time."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"the gate was held for {waited_s:g} s")
        self.waited_s = waited_s


class LockFile:
    """One lock file, opened at first use and again if the file was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd: int | None = None

    def opened(self) -> int:
        if self.fd is None:
            self.fd = open_lock(self.path)
        return self.fd

    def take(self) -> bool:
        fd = self.opened()
        if not try_lock(fd):
            return False
        if is_at(fd, self.path):
            return True
        self.close()
        return self.take()

    def give_back(self) -> None:
        if self.fd is not None:
            unlock(self.fd)

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Gate:
    """Not for two threads at once: each thread that writes has its own."""

    def __init__(self, path: Path) -> None:
        self.lock = LockFile(path)

    @contextmanager
    def held(self, timeout_s: float) -> Generator[None, None, None]:
        """Inside, nobody else writes. Raises GateBusy after `timeout_s`."""
        self.take_turn(timeout_s)
        try:
            yield
        finally:
            self.lock.give_back()

    def take_turn(self, timeout_s: float) -> None:
        line = Line(time.monotonic())
        try:
            while (ahead := line.ahead(self.lock.opened())) or not self.lock.take():
                if time.monotonic() - line.since >= timeout_s:
                    raise GateBusy(timeout_s)
                line.stand(self.lock.opened())
                time.sleep(POLL_S * min(1 + ahead, LEAST_OFTEN) * random.uniform(0.5, 1.5))
        finally:
            line.leave(self.lock.opened())

    def count(self) -> int:
        """The number of the last commit; 0 for a new or unreadable gate file. While held."""
        assert self.lock.fd is not None
        os.lseek(self.lock.fd, 0, os.SEEK_SET)
        text = os.read(self.lock.fd, COUNT_BYTES)
        return int(text) if text.strip().isdigit() else 0

    def record(self, count: int) -> None:
        """Remember the number of the last commit. While held, after COMMIT."""
        assert self.lock.fd is not None
        os.lseek(self.lock.fd, 0, os.SEEK_SET)
        os.write(self.lock.fd, b"%0*d" % (COUNT_BYTES, count))

    def close(self) -> None:
        self.lock.close()
