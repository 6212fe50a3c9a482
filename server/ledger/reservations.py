"""Money held, spent and given back. Each function runs inside the caller's transaction.

A reservation is a row with an owner. It is held until it is settled (what it cost), released
(nothing was billed) or presumed (nobody knows: all of it counts as spent). Closing is idempotent,
and touches the windows the money was reserved in, also after midnight.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..budgets import Window
from ..errors import OverBudget
from ..money import dollars
from . import approval_rows
from .driver import Connection

Closed = Literal["settled", "released", "presumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a window holds. Amounts in nano-dollars."""

    spent_nano: int = 0
    reserved_nano: int = 0

    @property
    def committed_nano(self) -> int:
        return self.spent_nano + self.reserved_nano


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A budget has just reached its warning mark; this is said once per window."""

    budget: str
    committed_nano: int
    limit_nano: int
    resets_at: float | None


def standing(db: Connection, window: Window) -> Standing:
    row = db.execute(
        "SELECT spent_nano, reserved_nano FROM budget_windows"
        " WHERE budget = ? AND window_start = ?",
        (window.budget, window.start),
    ).fetchone()
    return Standing(spent_nano=row[0], reserved_nano=row[1]) if row else Standing()


def standings(db: Connection, windows: Iterable[Window]) -> dict[str, Standing]:
    """Each budget's standing in its window, by budget id."""
    return {window.budget: standing(db, window) for window in windows}


def reserve(
    db: Connection,
    *,
    reservation: str,
    call_id: str,
    attempt: int,
    owner: str,
    amount_nano: int,
    windows: Sequence[Window],
    now: float,
    lease_until: float,
    provider: str = "",
    model: str = "",
    approval: int | None = None,
) -> list[Warned]:
    """Hold `amount_nano` in every window, or in none and raise OverBudget; what is free, never
    less than nothing, needs no room. The caller's transaction locks out every other writer, so
    two processes cannot both take the last cent. The refusal itself is recorded. What the user
    approved exceeds the budgets that ask by this reservation, which is recorded as an overrun."""
    found = [(window, refreshed(db, window, now, owner)) for window in windows]
    over = [
        (window, there)
        for window, there in found
        if amount_nano > 0 and there.committed_nano + amount_nano > window.limit_nano
    ]
    closed = [pair for pair in over if pair[0].at_limit != "ask"]
    if over and (closed or not approved(db, approval, call_id, reservation, amount_nano, now)):
        window, there = (closed or over)[0]
        refuse(db, window, there, call_id=call_id, amount_nano=amount_nano, now=now, by=owner)
    db.execute(
        "INSERT INTO reservations (id, call_id, attempt, owner, provider, model, amount_nano,"
        " state, created, lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, 'held', ?, ?)",
        (reservation, call_id, attempt, owner, provider, model, amount_nano, now, lease_until),
    )
    warned: list[Warned] = []
    for window, there in found:
        hold(db, window, reservation, amount_nano)
        if (window, there) in over:
            by = f"approval {approval}"
            event(db, window.budget, window.start, "overrun", now, by, call_id, amount_nano)
        committed = there.committed_nano + amount_nano
        if committed >= window.warn_at * window.limit_nano and first_warning(db, window, now):
            event(db, window.budget, window.start, "warned", now, owner, call_id, committed)
            warned.append(
                Warned(
                    budget=window.budget,
                    committed_nano=committed,
                    limit_nano=window.limit_nano,
                    resets_at=window.end,
                )
            )
    return warned


def approved(
    db: Connection,
    approval: int | None,
    call_id: str,
    reservation: str,
    amount_nano: int,
    now: float,
) -> bool:
    return approval is not None and approval_rows.use(
        db, approval, call_id=call_id, reservation=reservation, amount_nano=amount_nano, now=now
    )


def refreshed(db: Connection, window: Window, now: float, by: str) -> Standing:
    """The window's row, made if missing, with its limits as configured now."""
    row = db.execute(
        "SELECT spent_nano, reserved_nano, limit_nano, warn_at, at_limit FROM budget_windows"
        " WHERE budget = ? AND window_start = ?",
        (window.budget, window.start),
    ).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO budget_windows (budget, window_start, window_end, scope, period,"
            " limit_nano, warn_at, at_limit) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                window.budget,
                window.start,
                window.end,
                window.scope,
                window.period,
                window.limit_nano,
                window.warn_at,
                window.at_limit,
            ),
        )
        return Standing()
    if row[2:] != (window.limit_nano, window.warn_at, window.at_limit):
        db.execute(
            "UPDATE budget_windows SET limit_nano = :limit, warn_at = :warn, at_limit = :policy,"
            " warned_at = iif(limit_nano = :limit AND warn_at = :warn, warned_at, NULL)"
            " WHERE budget = :budget AND window_start = :start",
            {
                "limit": window.limit_nano,
                "warn": window.warn_at,
                "policy": window.at_limit,
                "budget": window.budget,
                "start": window.start,
            },
        )
        event(db, window.budget, window.start, "changed", now, by, None, window.limit_nano)
    return Standing(spent_nano=row[0], reserved_nano=row[1])


def refuse(
    db: Connection,
    window: Window,
    there: Standing,
    *,
    call_id: str,
    amount_nano: int,
    now: float,
    by: str,
) -> None:
    free = max(0, window.limit_nano - there.committed_nano)
    event(db, window.budget, window.start, "refused", now, by, call_id, amount_nano)
    raise OverBudget(
        f"Budget {window.budget} has {dollars(free)} of {dollars(window.limit_nano)} free;"
        f" this call may cost {dollars(amount_nano)}.",
        next_step="Lower max_tokens, name a cheaper or local model, or raise the limit.",
        budget=window.budget,
        needed_nano=amount_nano,
        free_nano=free,
        resets_at=window.end,
    )


def hold(db: Connection, window: Window, reservation: str, amount_nano: int) -> None:
    db.execute(
        "UPDATE budget_windows SET reserved_nano = reserved_nano + ?"
        " WHERE budget = ? AND window_start = ?",
        (amount_nano, window.budget, window.start),
    )
    db.execute(
        "INSERT INTO reservation_windows (reservation, budget, window_start) VALUES (?, ?, ?)",
        (reservation, window.budget, window.start),
    )


def first_warning(db: Connection, window: Window, now: float) -> bool:
    marked = db.execute(
        "UPDATE budget_windows SET warned_at = ?"
        " WHERE budget = ? AND window_start = ? AND warned_at IS NULL",
        (now, window.budget, window.start),
    )
    return marked.rowcount == 1


def settle(db: Connection, reservation: str, cost_nano: int, now: float) -> bool:
    """Spend what the attempt cost, more than was held if so. False: it was closed already."""
    return close(db, reservation, "settled", cost_nano, now) is not None


def release(db: Connection, reservation: str, now: float) -> bool:
    """Give all of it back: certainly nothing was billed. False: it was closed already."""
    return close(db, reservation, "released", 0, now) is not None


def presume(db: Connection, reservation: str, now: float, *, by: str = "") -> int | None:
    """Count all of it as spent, since nobody knows. The amount; None: it was closed already."""
    return close(db, reservation, "presumed", None, now, by=by)


def close(
    db: Connection,
    reservation: str,
    state: Closed,
    cost_nano: int | None,
    now: float,
    *,
    by: str = "",
) -> int | None:
    """The cost, or None if it was not held any more. A cost of None is all that was reserved."""
    row = db.execute(
        "UPDATE reservations SET state = ?, cost_nano = ifnull(?, amount_nano), closed = ?"
        " WHERE id = ? AND state = 'held' RETURNING amount_nano, cost_nano, call_id, owner",
        (state, cost_nano, now, reservation),
    ).fetchone()
    if row is None:
        return None
    amount, cost, call_id, owner = row
    db.execute(
        "UPDATE budget_windows SET reserved_nano = reserved_nano - ?, spent_nano = spent_nano + ?"
        " WHERE (budget, window_start) IN"
        " (SELECT budget, window_start FROM reservation_windows WHERE reservation = ?)",
        (amount, cost, reservation),
    )
    kind = "overrun" if cost > amount else "presumed" if state == "presumed" else None
    if kind is not None:
        windows = db.execute(
            "SELECT budget, window_start FROM reservation_windows WHERE reservation = ?",
            (reservation,),
        ).fetchall()
        for budget, start in windows:
            event(db, budget, start, kind, now, by or owner, call_id, cost)
    return cost


def event(
    db: Connection,
    budget: str,
    start: float,
    kind: str,
    now: float,
    by: str,
    call_id: str | None,
    amount_nano: int,
) -> None:
    """What happened to a budget, with its standing after it."""
    db.execute(
        "INSERT INTO budget_events (at, budget, window_start, kind, call_id, amount_nano,"
        " spent_nano, reserved_nano, limit_nano, by)"
        " SELECT ?, budget, window_start, ?, ?, ?, spent_nano, reserved_nano, limit_nano, ?"
        " FROM budget_windows WHERE budget = ? AND window_start = ?",
        (now, kind, call_id, amount_nano, by, budget, start),
    )
