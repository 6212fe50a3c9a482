"""What a machine can do to a ledger: no room, no permission, damage."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION_3 = 0x20080522
OVERRIDES = 0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


@contextmanager
def as_any_user() -> Generator[None]:
    """Permissions of files count for this thread, and those it starts, also if it is root's."""
    if not hasattr(os, "geteuid"):
        pytest.skip("no permission bits here")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may write everywhere")
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    before = sets[0]
    sets[0] = before & ~OVERRIDES
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0


@contextmanager
def small_disk(path: Path, size: str = "1m") -> Generator[None]:
    """`path` on a disk of its own; skipped where none can be mounted."""
    path.mkdir(parents=True, exist_ok=True)
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None or os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    options = f"size={size},mode=700"
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def overwrite(path: Path, at: float, length: int = 5000) -> None:
    """Garbage at a part of the file's length."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        file.write(b"\xa5" * length)
