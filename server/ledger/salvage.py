"""A damaged ledger: put aside whole, and what can be read of it written into a new one.

Everything happens while holding the gate. Nothing is deleted: the old file keeps its name with
`-damaged-` and the time in it, its -wal and -shm with it. Servers that have it open notice before
their next write, and go on with the new one.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..money import dollars
from . import searching, soundness
from .driver import Connection, Error, connect, connect_read_only
from .gate import Gate
from .migrations import migrate, statements
from .schema import V2

Row = tuple[object, ...]

BESIDE = ("", "-wal", "-shm")
SKIPPED = frozenset({"meta", "watchers"})  # made anew
MONEY = frozenset({"reservations", "reservation_windows"})
ROWS = frozenset({"calls", "attempts"})
REBUILT_USAGE = (
    f"INSERT INTO usage_hour ({soundness.LABELS}, {soundness.COUNTED}, {soundness.MONEY})"
    f" SELECT {soundness.LABELS}, "
    + ", ".join(f"sum({name})" for name in f"{soundness.COUNTED}, {soundness.MONEY}".split(", "))
    + f" FROM ({soundness.USAGE}) GROUP BY {soundness.LABELS}"
)
HELD = """
UPDATE budget_windows SET
    reserved_nano = (SELECT ifnull(sum(amount_nano), 0) FROM reservations
        JOIN reservation_windows AS counted ON counted.reservation = reservations.id
        WHERE state = 'held' AND counted.budget = budget_windows.budget
        AND counted.window_start = budget_windows.window_start)
"""
MISSING = """
SELECT budget, window_start, max(0, spent_nano - ifnull((SELECT sum(cost_nano) FROM reservations
    JOIN reservation_windows AS counted ON counted.reservation = reservations.id
    WHERE state IN ('settled', 'presumed') AND counted.budget = budget_windows.budget
    AND counted.window_start = budget_windows.window_start), 0))
FROM budget_windows
"""
SPENT = """
UPDATE budget_windows SET
    spent_nano = (SELECT ifnull(sum(cost_nano), 0) FROM reservations
        JOIN reservation_windows AS counted ON counted.reservation = reservations.id
        WHERE state IN ('settled', 'presumed') AND counted.budget = budget_windows.budget
        AND counted.window_start = budget_windows.window_start)
"""
HEADLESS = """
SELECT DISTINCT budget, window_start FROM reservation_windows WHERE NOT EXISTS (
    SELECT 1 FROM budget_windows WHERE budget_windows.budget = reservation_windows.budget
    AND budget_windows.window_start = reservation_windows.window_start)
"""
RESTORED = "ledger repair"
SEARCHED = frozenset(searching.SOUGHT)
BY_PAGE = "found page by page"
MADE_ANEW = "rows were found page by page, circuits and holds begin anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How much of a table was read. `error` is why not all of it was; None: all of it was."""

    name: str
    rows: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """`quarantined` are the files the old ledger has now; `notes` what a person should know."""

    quarantined: tuple[Path, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def repair(path: Path, gate_path: Path, *, now: float, timeout_s: float) -> Salvage:
    """Raises GateBusy, OSError, driver.Error; before the old files are put aside, nothing has
    changed, and after that the new ledger is there in one step."""
    gate = Gate(gate_path)
    with closing(gate), gate.held(timeout_s):
        fresh = path.with_name(f"{path.name}-new")
        for suffix in BESIDE:
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
        moved = put_aside(path, now)
        damaged = moved[0]
        with closing(connect(fresh)) as new:
            migrate(new)
            tables, notes = salvaged(damaged, new, now)
            count = gate.count() + 1
            new.execute("UPDATE meta SET value = ? WHERE key = 'commits'", (str(count),))
            gate.record(count)
        os.replace(fresh, path)
    return Salvage(quarantined=tuple(moved), tables=tables, notes=notes)


def put_aside(path: Path, now: float) -> list[Path]:
    """The -wal first: whoever opens the file in between finds a whole, older state."""
    stem = f"{path.stem}-damaged-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}"
    name, n = f"{stem}{path.suffix}", 1
    while path.with_name(name).exists():
        n += 1
        name = f"{stem}-{n}{path.suffix}"
    moved = [path.with_name(name + suffix) for suffix in BESIDE]
    for suffix, target in reversed(list(zip(BESIDE, moved, strict=True))):
        with suppress(FileNotFoundError):
            os.rename(path.with_name(path.name + suffix), target)
    return [target for target in moved if target.exists()] or [moved[0]]


def salvaged(
    damaged: Path, new: Connection, now: float
) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Every table of ours in one transaction, then the counters. What SQLite cannot find is
    searched for on the pages."""
    found, notes = read(damaged, new)
    if not found or not whole(found, SEARCHED):
        found, notes = searched(damaged, new, found, notes)
    if found:
        notes += [*spending(new, now, whole=whole(found, MONEY)), *totals(new, now, found)]
    new.execute("COMMIT")
    return tuple(table for table in found if table.rows or table.error), tuple(notes)


def read(damaged: Path, new: Connection) -> tuple[list[Table], list[str]]:
    """What SQLite reads of each table; nothing, and why, where it does not open the file."""
    new.execute("BEGIN IMMEDIATE")
    try:
        with closing(connect_read_only(damaged)) as old:
            # Damaged text is text with marks in it, not the end of the reading.
            old.text_factory = forgiving
            old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return [copied(old, new, name) for name in names(new)], []
    except (Error, OSError, ValueError) as error:
        if new.in_transaction:
            new.execute("ROLLBACK")
        new.execute("BEGIN IMMEDIATE")
        return [], [f"nothing could be read: {one_line(error)}"]


def searched(
    damaged: Path, new: Connection, found: list[Table], notes: list[str]
) -> tuple[list[Table], list[str]]:
    """The same with the rows that were found page by page."""
    try:
        more = searching.search(damaged, new)
    except OSError as error:
        return found, [*notes, f"its pages could not be read: {one_line(error)}"]
    if not any(more.values()):
        return found, notes
    if found:
        return [replace(one, rows=one.rows + more.get(one.name, 0)) for one in found], notes
    tables = [Table(name=name, rows=n, error=BY_PAGE) for name, n in more.items() if n]
    return tables, [f"{notes[0].replace('nothing', 'no schema')}; {MADE_ANEW}"]


def forgiving(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def names(db: Connection) -> list[str]:
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return sorted({name for (name,) in db.execute(query).fetchall()} - SKIPPED)


def copied(old: Connection, new: Connection, table: str) -> Table:
    """All rows of a table that can be read and that the new one takes."""
    try:
        there = columns(old, table)
    except (Error, ValueError) as error:  # names of columns can be damaged text, too
        return Table(name=table, rows=0, error=one_line(error))
    taken = [name for name in columns(new, table) if name in there]
    if not taken:
        return Table(name=table, rows=0, error="it is not there")
    listed = ", ".join(taken)
    insert = f"INSERT OR IGNORE INTO {table} ({listed}) VALUES ({', '.join('?' * len(taken))})"
    errors: list[str] = []
    before = new.total_changes
    for row in readable(old, table, listed, keys(new, table), errors):
        try:
            new.execute(insert, row)
        except (Error, OverflowError, ValueError) as error:
            errors.append(one_line(error))
    return Table(name=table, rows=new.total_changes - before, error=errors[0] if errors else None)


def readable(
    db: Connection, table: str, listed: str, ordered: Sequence[str], errors: list[str]
) -> Iterator[Row]:
    """From the beginning as far as it goes; where that is not the end, from the end backwards."""
    yield from until_error(db, f"SELECT {listed} FROM {table}", errors)
    if errors:
        backwards = ", ".join(f"{name} DESC" for name in ordered)
        yield from until_error(db, f"SELECT {listed} FROM {table} ORDER BY {backwards}", errors)


def until_error(db: Connection, query: str, errors: list[str]) -> Iterator[Row]:
    try:
        yield from db.execute(query)
    except (Error, ValueError) as error:
        errors.append(one_line(error))


def columns(db: Connection, table: str) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def keys(db: Connection, table: str) -> list[str]:
    query = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
    return [name for (name,) in db.execute(query, (table,))]


def whole(tables: Iterable[Table], names: frozenset[str]) -> bool:
    return not any(table.error for table in tables if table.name in names)


def spending(new: Connection, now: float, *, whole: bool) -> Iterator[str]:
    """Windows that say what their reservations say. Where reservations were lost, what a window
    had spent stays spent: a reservation made here counts for them."""
    new.execute(
        "DELETE FROM reservation_windows WHERE reservation NOT IN (SELECT id FROM reservations)"
    )
    for budget, start in new.execute(HEADLESS).fetchall():
        yield f"budget {budget} was lost; what it spent is counted from its reservations"
        new.execute(
            "INSERT INTO budget_windows (budget, window_start, window_end, scope, period,"
            " limit_nano) VALUES (?, ?, NULL, ?, ?, 0)",
            (budget, start, *budget.rpartition("/")[::2]),
        )
    new.execute(HELD)
    for budget, start, missing in [] if whole else new.execute(MISSING).fetchall():
        if missing:
            yield f"budget {budget} keeps {dollars(missing)} as spent whose rows were lost"
            keep_spent(new, budget, start, missing, now)
    new.execute(SPENT)


def totals(new: Connection, now: float, found: Sequence[Table]) -> Iterator[str]:
    """Hourly totals from the rows; where rows were lost, as they were, and not compared again."""
    unread = not any(table.name == "usage_hour" for table in found)
    if unread or whole(found, ROWS) or not whole(found, frozenset({"usage_hour"})):
        new.execute("DELETE FROM usage_hour")
        new.execute(REBUILT_USAGE)
        for statement in statements(V2) if unread else ():
            if statement.startswith("INSERT INTO"):
                new.execute(statement)
        return
    new.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
        (soundness.COMPARED_FROM, str(int(now // 3600) + 1)),
    )
    yield "the hourly totals are kept as they were: they count calls that were lost"


def keep_spent(db: Connection, budget: str, start: float, amount: int, now: float) -> None:
    name = f"{RESTORED} {now:.0f} {budget} {start:.0f}"
    db.execute(
        "INSERT INTO reservations (id, call_id, attempt, owner, amount_nano, state, cost_nano,"
        " created, lease_until, closed) VALUES (?, ?, 0, ?, ?, 'presumed', ?, ?, ?, ?)",
        (name, name, RESTORED, amount, amount, now, now, now),
    )
    db.execute(
        "INSERT INTO reservation_windows (reservation, budget, window_start) VALUES (?, ?, ?)",
        (name, budget, start),
    )


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def lost(tables: Iterable[Table]) -> list[Table]:
    """The tables of which not everything could be read."""
    return [table for table in tables if table.error is not None]
