"""Looking after the ledger by hand: check it, make it smaller, read all of its rows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from . import soundness
from .driver import Connection, connect, connect_read_only
from .failures import STORE_FAILURES, unavailable
from .gate import COUNT_BYTES, Gate
from .records import AttemptRow, CallRow, columns

Exported = Literal["calls", "attempts"]
CHUNK = 1_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# table -> (columns, what its rows are ordered by)
EXPORTS: dict[Exported, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "calls": (columns(CallRow), ("call_id",)),
    "attempts": (columns(AttemptRow), ("call_id", "n")),
}


def check(path: Path, gate_path: Path) -> list[str]:
    """What is wrong with the ledger, one line each; nothing, if all is well. Writers go on
    meanwhile. Raises nothing that a damaged file could cause."""
    recorded = recorded_commits(gate_path)  # before the file: so that it can only be behind
    try:
        with closing(connect_read_only(path, busy_s=5.0)) as db:
            db.execute("BEGIN")
            found = soundness.problems(db)
            return found or behind(db, recorded)
    except STORE_FAILURES as error:
        return [unavailable(error, path).message.rstrip(".")]
    except (ValueError, TypeError, OverflowError) as error:  # a damaged cell of another type
        return [f"the file is damaged: {error}"]


def recorded_commits(gate_path: Path) -> int:
    """The number of the last commit, as the gate file keeps it; 0 where there is none."""
    try:
        text = gate_path.read_bytes()[:COUNT_BYTES]
    except OSError:
        return 0
    return int(text) if text.strip().isdigit() else 0


def behind(db: Connection, recorded: int) -> list[str]:
    (count,) = db.execute("SELECT value FROM meta WHERE key = 'commits'").fetchone()
    lost = recorded - int(count)
    return [f"the last {lost} transactions are missing: an older file was put back"] * (lost > 0)


def vacuum(path: Path, gate_path: Path, *, timeout_s: float) -> tuple[int, int]:
    """Gives unused space back; the bytes before and after. Nobody writes meanwhile. Raises
    GateBusy, driver.Error, OSError."""
    gate = Gate(gate_path)
    with closing(gate), gate.held(timeout_s), closing(connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = path.stat().st_size
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, path.stat().st_size


def rows(path: Path, table: Exported) -> Iterator[tuple[object, ...]]:
    """Every row, oldest first, in short transactions, so that checkpoints are not held up."""
    listed, keys = EXPORTS[table]
    names, order = ", ".join(listed), ", ".join(keys)
    marks = ", ".join("?" * len(keys))
    query = (
        f"SELECT {names} FROM {table} WHERE ({order}) > ({marks}) ORDER BY {order} LIMIT {CHUNK}"
    )
    where = [listed.index(key) for key in keys]
    last: tuple[object, ...] = ("", -1)[: len(keys)]
    with closing(connect_read_only(path, busy_s=5.0)) as db:
        while found := db.execute(query, last).fetchall():
            yield from found
            last = tuple(found[-1][index] for index in where)


def as_json(listed: Sequence[str], row: Sequence[object]) -> str:
    return json.dumps(dict(zip(listed, row, strict=True)), ensure_ascii=False)


def cell(value: object) -> object:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
