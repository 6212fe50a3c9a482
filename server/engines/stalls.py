"""The files by which the processes of this machine share an engine.

NAME.lock    held by the process that keeps the engine, from before it starts until it is gone:
             whoever takes it may start one, so two never run
NAME.calls   shared by the servers while calls of theirs use the engine; taken alone, nobody does,
             and nobody begins
NAME.stop    written to ask for the end of the engine
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ..ledger.locks import is_at, open_lock, try_lock, unlock

DIRECTORY_MODE = 0o700
GLANCE_S = 0.001


@dataclass(frozen=True, slots=True)
class Stall:
    """Where one engine of this home stands."""

    directory: Path
    name: str

    @classmethod
    def of(cls, home: Path, name: str) -> "Stall":
        return cls(home / "run" / "engines", name)

    @property
    def lock(self) -> Path:
        return self.directory / f"{self.name}.lock"

    @property
    def calls(self) -> Path:
        return self.directory / f"{self.name}.calls"

    @property
    def stop(self) -> Path:
        return self.directory / f"{self.name}.stop"

    def take(self) -> int | None:
        """The descriptor that makes its holder the engine's keeper; None where there is one."""
        return self.locked(self.lock)

    def is_kept(self) -> bool:
        """Does a process keep the engine now?"""
        if not self.lock.exists():
            return False
        fd = open_lock(self.lock)
        try:
            return not try_lock(fd, shared=True)
        finally:
            os.close(fd)

    def join_calls(self) -> int | None:
        """A place among the calls; None while the engine is being ended."""
        return self.locked(self.calls, shared=True)

    def stop_calls(self) -> int | None:
        """Holds new calls off; None where there are calls."""
        return self.locked(self.calls)

    def has_calls(self) -> bool:
        fd = self.stop_calls()
        if fd is None:
            return True
        os.close(fd)
        return False

    def locked(self, path: Path, *, shared: bool = False) -> int | None:
        self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        while True:
            fd = open_lock(path)
            if not try_lock(fd, shared=shared):
                os.close(fd)
                return None
            if is_at(fd, path):
                return fd
            os.close(fd)

    def leave_calls(self, fd: int) -> None:
        """The last of this process's calls is over; the time of the file says so to the keeper."""
        os.utime(fd)
        unlock(fd)
        os.close(fd)

    def used_at(self) -> int:
        """When calls were last over, in nanoseconds of the file system's clock; 0: never."""
        try:
            return self.calls.stat().st_mtime_ns
        except OSError:
            return 0

    def ask_to_stop(self, engine_id: str) -> None:
        self.stop.write_text(engine_id, encoding="utf-8")

    def is_to_stop(self, engine_id: str) -> bool:
        try:
            return self.stop.read_text(encoding="utf-8") == engine_id
        except OSError:
            return False


def alone(fd: int) -> bool:
    """Does nobody else have calls there? The place is kept, but for a moment."""
    only = try_lock(fd)
    while not try_lock(fd, shared=True):  # the keeper looks now and then, for less than this
        time.sleep(GLANCE_S)
    return only
