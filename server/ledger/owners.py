"""Who holds reservations, and whether they still live.

An owner lives exactly as long as it holds its lock file; the kernel drops the lock however the
process ends. Process ids are reused and clocks step, so neither decides.
"""

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .locks import is_at, open_lock, try_lock

DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    id: str
    path: Path
    fd: int

    @classmethod
    def claim(cls, run_dir: Path, owner: str | None = None) -> "Owner":
        """A new living owner. Others may look at or sweep the file between its creation and our
        lock, hence the check that it is still there."""
        owner = owner or uuid.uuid4().hex
        run_dir.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        path = lock_path(run_dir, owner)
        while True:
            fd = open_lock(path)
            if try_lock(fd) and is_at(fd, path):
                return cls(id=owner, path=path, fd=fd)
            os.close(fd)

    def release(self) -> None:
        """From here on this owner is dead; what it still holds will be presumed spent."""
        os.close(self.fd)
        self.path.unlink(missing_ok=True)

    def is_seen(self) -> bool:
        """Whether others still find the lock: its directory may have been removed."""
        return is_at(self.fd, self.path)


def lock_path(run_dir: Path, owner: str) -> Path:
    return run_dir / f"{owner}.lock"


def alive(run_dir: Path, owner: str) -> bool:
    """Whether the owner's process still runs. The look is a shared lock, so that two who look do
    not take each other for the owner."""
    try:
        fd = os.open(lock_path(run_dir, owner), os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def sweep(run_dir: Path) -> None:
    """Remove the lock files nobody holds. A missing file means dead as well."""
    for path in run_dir.glob("*.lock"):
        try:
            fd = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            continue
        try:
            if try_lock(fd) and is_at(fd, path):
                with suppress(PermissionError):  # Windows: not while it is open
                    path.unlink(missing_ok=True)
        finally:
            os.close(fd)
