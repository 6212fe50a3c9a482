"""File locks that die with their holder, also when it is killed."""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Whether the lock was got; never waits. Windows knows no shared locks: all exclude."""
        os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(fd: int) -> None:
        os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Whether the lock was got; never waits."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


LOCKED_BYTE = 1 << 30  # beyond any content: a locked byte cannot be read on Windows
MODE = 0o600


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, made if missing, not inherited by child processes."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), MODE)


def is_at(fd: int, path: Path) -> bool:
    """Whether `path` still names the file `fd` has open."""
    mine = os.fstat(fd)
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev)
