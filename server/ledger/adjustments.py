"""Corrections of what an attempt cost, made when its bill is known. The attempt's row stays as it
was written; a row of `adjustments` says what changed, and budgets and hourly totals follow. Each
function runs inside the caller's transaction."""

from dataclasses import dataclass
from typing import Any

from ..errors import BadRequest, NotFound
from .driver import Connection
from .records import LABELS, NO_FAILURES

ATTEMPT = (
    "SELECT a.n, a.provider, a.model, a.outcome, a.cost_nano, a.cost_kind, c.ended, c.status,"
    " ifnull(c.provider, ''), ifnull(c.model, ''), ifnull(c.task, ''), c.client, c.project"
    " FROM attempts a JOIN calls c USING (call_id) WHERE call_id = ? ORDER BY a.n"
)
WINDOWS = (
    "UPDATE budget_windows SET spent_nano = max(0, spent_nano + ?) WHERE (budget, window_start) IN"
    " (SELECT budget, window_start FROM reservation_windows WHERE reservation = ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The true cost of an attempt; `attempt` None means the call's only one."""

    call_id: str
    attempt: int | None
    cost_nano: int
    why: str
    by: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What an attempt was thought to cost, and what that changed in budgets (`windows` of them).
    `before_nano` None: its price was not known."""

    attempt: int
    before_nano: int | None
    delta_nano: int
    windows: int


def correct(db: Connection, correction: Correction) -> Corrected:
    """Books the true cost. Raises NotFound for a call that has not ended or has no such attempt,
    BadRequest where it has several and none was named."""
    found = attempt_of(db, correction)
    n, kind, cost = found[0], found[5], found[4]
    count, earlier = db.execute(
        "SELECT count(*), ifnull(sum(delta_nano), 0) FROM adjustments"
        " WHERE call_id = ? AND attempt = ?",
        (correction.call_id, n),
    ).fetchone()
    delta = correction.cost_nano - (cost or 0) - earlier
    before = None if cost is None and not count else (cost or 0) + earlier
    if before == correction.cost_nano:
        return Corrected(attempt=n, before_nano=before, delta_nano=0, windows=0)
    db.execute(
        "INSERT INTO adjustments (at, call_id, attempt, delta_nano, why, by)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (correction.now, correction.call_id, n, delta, correction.why, correction.by),
    )
    add_up(db, found, delta, first=not count, presumed=kind == "presumed")
    windows = follow(db, correction, n, delta)
    return Corrected(attempt=n, before_nano=before, delta_nano=delta, windows=windows)


def attempt_of(db: Connection, correction: Correction) -> tuple[Any, ...]:
    rows = db.execute(ATTEMPT, (correction.call_id,)).fetchall()
    if not rows:
        raise NotFound(
            f"call {correction.call_id} has no attempts, or has not ended yet",
            next_step="roundhouse why explains it.",
        )
    if correction.attempt is None and len(rows) > 1:
        numbers = ", ".join(f"{row[0]} ({row[1]}/{row[2]})" for row in rows)
        raise BadRequest(
            f"call {correction.call_id} has several attempts",
            next_step=f"Name one with --attempt: {numbers}.",
        )
    for row in rows:
        if correction.attempt in (None, row[0]):
            return row
    raise NotFound(
        f"call {correction.call_id} has no attempt {correction.attempt}",
        next_step=f"It has {len(rows)}.",
    )


def add_up(
    db: Connection, found: tuple[Any, ...], delta: int, *, first: bool, presumed: bool
) -> None:
    """The hourly totals follow; with its first correction a cost is neither presumed nor unknown
    any more."""
    _, provider, model, outcome, cost, kind, ended, status, *answered = found
    changes = {
        "cost_nano": delta,
        "presumed_nano": -(cost or 0) if first and presumed else 0,
        "presumed": -int(first and presumed),
        "unpriced": -int(first and kind == "unknown"),
        "failed_nano": 0 if outcome in NO_FAILURES else delta,
    }
    sums = ", ".join(f"{name} = {name} + ?" for name in changes)
    same = " AND ".join(f"{name} = ?" for name in ("hour", *LABELS))
    hour, labels = int(ended // 3600), answered[2:]
    db.execute(
        f"UPDATE usage_hour SET {sums} WHERE {same}",
        (*changes.values(), hour, provider, model, *labels),
    )
    db.execute(
        f"UPDATE model_hour SET {sums} WHERE hour = ? AND provider = ? AND model = ?",
        (*changes.values(), hour, provider, model),
    )
    db.execute(
        f"UPDATE status_hour SET {sums} WHERE {same} AND status = ?",
        (*changes.values(), hour, *answered, status),
    )


def follow(db: Connection, correction: Correction, n: int, delta: int) -> int:
    """The windows the money was reserved in have spent what it really was. How many they are."""
    row = db.execute(
        "UPDATE reservations SET cost_nano = ?, state = iif(state = 'released', 'settled', state)"
        " WHERE call_id = ? AND attempt = ? AND state != 'held' RETURNING id",
        (correction.cost_nano, correction.call_id, n),
    ).fetchone()
    return db.execute(WINDOWS, (delta, row[0])).rowcount if row is not None else 0
