"""One short write by a program that only visits: it opens the ledger, changes it and leaves."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from .driver import Connection, connect
from .gate import Gate

T = TypeVar("T")


def write(path: Path, gate: Path, change: Callable[[Connection], T], *, wait_s: float) -> T:
    """The result of `change`, after COMMIT. Makes no file. Waits at most `wait_s` for each door;
    raises GateBusy, driver.Error and OSError, and then nothing was written."""
    path.stat()
    door = Gate(gate)
    with closing(door), door.held(wait_s), closing(connect(path, busy_s=wait_s)) as db:
        db.execute("BEGIN IMMEDIATE")
        result = change(db)
        db.execute("COMMIT")
        return result
