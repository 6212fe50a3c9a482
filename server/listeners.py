"""Which process of this machine listens on a port: its memory is what a model there takes.

Only the processes of the same user can be looked into, and only where the kernel shows them.
"""

import os
import sys
from contextlib import suppress

from .processes import PROC

LISTENING = "0A"
STATE, ADDRESS, INODE = 3, 1, 9  # fields of a line of /proc/net/tcp


def pid_at(port: int) -> int | None:
    """The process that listens there; None where there is none, or nobody can tell."""
    if sys.platform != "linux":
        return None
    sockets = {f"socket:[{inode}]" for inode in inodes(port)}
    if not sockets:
        return None
    pids = sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return next((pid for pid in pids if has_any(pid, sockets)), None)


def inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (PROC / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                at = int(fields[ADDRESS].rpartition(":")[2], 16)
                if fields[STATE] == LISTENING and at == port:
                    found.add(fields[INODE])
    return found


def has_any(pid: int, sockets: set[str]) -> bool:
    with suppress(OSError), os.scandir(PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if os.readlink(entry.path) in sockets:
                    return True
    return False
