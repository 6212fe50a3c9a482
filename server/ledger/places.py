"""Where a ledger may lie: its locks and its shared memory work among processes of one machine, so
not on file systems that several machines see."""

import os
import re
import sys
from pathlib import Path

from ..errors import LedgerUnavailable

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        *("9p", "afs", "afpfs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf"),
        *("virtiofs", "vmhgfs", "webdav"),
    }
)
# Other `fuse.*` reach over a network, or to the machine around this one.
LOCAL_FUSE = frozenset(
    {"fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs", "fuse.mergerfs", "fuse.lxcfs"}
)
ESCAPE = re.compile(r"\\([0-7]{3})")
REMOTE_DRIVE = 4


def refuse_network(path: Path) -> None:
    """Raises LedgerUnavailable for a ledger on a network file system."""
    kind = network_kind(path)
    if kind is not None:
        raise LedgerUnavailable(
            f"The ledger {path} is on a network file system ({kind}), where several machines "
            "could spend the same money.",
            next_step="Set ROUNDHOUSE_HOME to a directory of this machine's own disk; the "
            "default is ~/.roundhouse.",
        )


def network_kind(path: Path) -> str | None:
    """The network file system `path` is on; None where there is none, or nobody can tell."""
    if sys.platform == "win32":
        return windows_kind(path)
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_at(os.path.realpath(path), mounts)
    return kind if is_network(kind) else None


def is_network(kind: str) -> bool:
    return kind in NETWORK or (kind.startswith("fuse.") and kind not in LOCAL_FUSE)


def kind_at(path: str, mounts: str) -> str:
    """The file system of the longest mount above `path`, as /proc/self/mountinfo has it; of two
    on one directory the later hides the other."""
    longest, found = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if len(fields) < 5 or not kinds[0]:
            continue
        point = ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        below = path == point or path.startswith(point.rstrip("/") + "/")
        if below and len(point) >= longest:
            longest, found = len(point), kinds[0]
    return found


def windows_kind(path: Path) -> str | None:
    if sys.platform != "win32":
        return None
    import ctypes

    drive = path.absolute().drive
    if drive.startswith("\\\\") and not drive.startswith("\\\\?\\"):
        return "a network share"
    kind = ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\")
    return "a network drive" if kind == REMOTE_DRIVE else None
