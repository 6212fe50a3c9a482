"""What happened lately that a user may want to be told of, and what was told."""

import statistics
from dataclasses import dataclass

from .driver import Connection

HOUR_S = 3600
WEEK_H = 168


@dataclass(frozen=True, slots=True)
class Marks:
    """The last events that were looked at."""

    budget: int = 0
    circuit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEvent:
    budget: str
    kind: str
    at: float
    window_start: float
    window_end: float | None
    spent_nano: int
    reserved_nano: int
    limit_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    provider: str
    model: str
    at: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What this hour cost, and what a busy hour of the last seven days usually does."""

    hour: int
    spent_nano: int
    usual_nano: int
    busy_hours: int


def marks(db: Connection) -> Marks:
    (budget,) = db.execute("SELECT ifnull(max(id), 0) FROM budget_events").fetchone()
    (circuit,) = db.execute("SELECT ifnull(max(id), 0) FROM circuit_events").fetchone()
    return Marks(budget, circuit)


def budget_events(
    db: Connection, after: Marks, until: Marks, by: tuple[str, str]
) -> list[BudgetEvent]:
    """Warnings and refusals that this process met."""
    rows = db.execute(
        "SELECT e.budget, e.kind, e.at, e.window_start, w.window_end, e.spent_nano,"
        " e.reserved_nano, e.limit_nano FROM budget_events e LEFT JOIN budget_windows w"
        " ON w.budget = e.budget AND w.window_start = e.window_start"
        " WHERE e.id > ? AND e.id <= ? AND e.kind IN ('warned', 'refused') AND e.by IN (?, ?)"
        " ORDER BY e.id",
        (after.budget, until.budget, *by),
    ).fetchall()
    return [
        BudgetEvent(
            budget=row[0],
            kind=row[1],
            at=row[2],
            window_start=row[3],
            window_end=row[4],
            spent_nano=row[5],
            reserved_nano=row[6],
            limit_nano=row[7],
        )
        for row in rows
    ]


def trips(db: Connection, after: Marks, until: Marks, by: tuple[str, str]) -> list[Trip]:
    """Circuits that this process found closed and opened."""
    rows = db.execute(
        "SELECT provider, model, at, why FROM circuit_events WHERE id > ? AND id <= ?"
        " AND from_state = 'closed' AND to_state = 'open' AND by IN (?, ?) ORDER BY id",
        (after.circuit, until.circuit, *by),
    ).fetchall()
    return [Trip(provider=row[0], model=row[1], at=row[2], why=row[3]) for row in rows]


def hour(db: Connection, now: float) -> Hour:
    this = int(now // HOUR_S)
    rows = db.execute(
        "SELECT hour, sum(cost_nano) FROM usage_hour WHERE hour > ? AND hour <= ? GROUP BY hour",
        (this - WEEK_H, this),
    ).fetchall()
    spent = dict(rows)
    now_nano = spent.pop(this, 0)
    busy = [cost for cost in spent.values() if cost > 0]
    usual = int(statistics.median(busy)) if busy else 0
    return Hour(hour=this, spent_nano=now_nano, usual_nano=usual, busy_hours=len(busy))


def claim(db: Connection, key: str, now: float) -> bool:
    """Whether nobody has told this yet: one process of all tells it."""
    made = db.execute("INSERT OR IGNORE INTO alerts (key, at) VALUES (?, ?)", (key, now))
    return made.rowcount == 1
