"""Processes by number and time of birth: a number alone may belong to another one by now."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
START_FIELD, PARENT_FIELD = 19, 1  # of /proc/PID/stat after the name, which may hold anything
PS = ("ps", "-A", "-o", "pid=,ppid=,rss=")


def since(pid: int) -> str | None:
    """What tells this process from a later one of its number; None where there is none."""
    if sys.platform == "linux":
        found = stat(pid)
        return found[START_FIELD] if found and found[0] != "Z" else None
    said = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or None


def stat(pid: int) -> list[str]:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def kill_group(pid: int, born: str | None) -> bool:
    """Ends the process and its group at once, if it is still the one that was born then. Only for
    processes that lead a group of their own."""
    if born is None or since(pid) != born:
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
        return True
    return False


def tree_memory(pid: int) -> int | None:
    """Bytes of memory the process and all that came of it hold now; None where it is gone, or
    nobody can tell."""
    parents, resident = linux_table() if sys.platform == "linux" else ps_table()
    if pid not in resident:
        return None
    family, news = {pid}, {pid}
    while news:
        news = {child for child, parent in parents.items() if parent in news} - family
        family |= news
    return sum(resident[each] for each in family)


def linux_table() -> tuple[Mapping[int, int], Mapping[int, int]]:
    """Of every process its parent, and its resident bytes."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or not (found := stat(int(entry.name))) or found[0] == "Z":
            continue
        with suppress(OSError, IndexError, ValueError):
            pages = int((entry / "statm").read_text().split()[1])
            parents[int(entry.name)] = int(found[PARENT_FIELD])
            resident[int(entry.name)] = pages * page
    return parents, resident


def ps_table() -> tuple[Mapping[int, int], Mapping[int, int]]:
    said = subprocess.run(PS, capture_output=True, text=True, check=False).stdout
    rows = [tuple(map(int, line.split())) for line in said.splitlines() if line.strip()]
    return {pid: parent for pid, parent, _ in rows}, {pid: kib * 1024 for pid, _, kib in rows}
