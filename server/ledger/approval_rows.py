"""Questions to the user whether a call may exceed its budgets, or a project use a provider, and
what came of them.

A question is `waiting` until it is `approved` or `denied`. An answer is good for ten minutes, and
what was approved for one call. What tells requests apart is wiped as soon as it is of no more use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from . import first_uses
from .driver import Connection

VALID_S = 600.0
FIRST_USE = "first_use"  # stands for a budget's id in questions about a provider
State = Literal["waiting", "approved", "denied"]
COLUMNS = (
    "id, call_id, budget, client, project, provider, model, amount_nano, fingerprint, asked_at,"
    " waits_until, expires, state, answered_at, by, used_by, reservations"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`budget` is the tightest of those that lack room, or FIRST_USE; `waits_until` is when the
    call gives up."""

    call_id: str
    budget: str
    client: str
    project: str
    provider: str
    model: str
    amount_nano: int
    fingerprint: str
    asked_at: float
    waits_until: float

    @property
    def is_first_use(self) -> bool:
        return self.budget == FIRST_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Question):
    """`used_by` is the call that used it, by the ids in `reservations`."""

    id: int
    expires: float
    state: State
    answered_at: float | None = None
    by: str | None = None
    used_by: str | None = None
    reservations: str = ""

    def is_open(self, now: float) -> bool:
        return self.state == "waiting" and now < self.expires

    def covers(self, call_id: str, now: float) -> bool:
        fresh = self.used_by is None and now < self.expires
        return self.state == "approved" and (fresh or self.used_by == call_id)


def found(db: Connection, where: str, *parameters: object) -> list[Approval]:
    cursor = db.execute(f"SELECT {COLUMNS} FROM approvals WHERE {where} ORDER BY id", parameters)
    names = [each[0] for each in cursor.description]
    return [Approval(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def find(db: Connection, number: int) -> Approval | None:
    return next(iter(found(db, "id = ?", number)), None)


def waiting(db: Connection, now: float) -> list[Approval]:
    """The questions that can be answered, oldest first."""
    return found(db, "state = 'waiting' AND expires > ?", now)


def ask(db: Connection, question: Question) -> Approval:
    """What was answered to this request lately, a denial too, so that nobody is asked again and
    again; else its question. One that nobody waits for any more gives way to a new one."""
    now = question.asked_at
    old = "expires < ? AND fingerprint <> ''"
    db.execute(f"UPDATE approvals SET fingerprint = '' WHERE {old}", (now,))
    same = "fingerprint = ? AND client = ? AND project = ? AND expires > ? AND used_by IS NULL"
    key = (question.fingerprint, question.client, question.project, now)
    for known in found(db, same, *key):
        if known.state == "denied":
            return known
        if known.state == "approved" and question.amount_nano <= known.amount_nano:
            return known
        if known.state == "waiting" and known.waits_until <= now:
            db.execute("DELETE FROM approvals WHERE id = ?", (known.id,))
    (number,) = db.execute(
        "INSERT INTO approvals (call_id, budget, client, project, provider, model, amount_nano,"
        " fingerprint, asked_at, waits_until, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING id",
        (
            question.call_id,
            question.budget,
            question.client,
            question.project,
            question.provider,
            question.model,
            question.amount_nano,
            question.fingerprint,
            now,
            question.waits_until,
            question.waits_until + VALID_S,
        ),
    ).fetchone()
    (made,) = found(db, "id = ?", number)
    return made


def answer(db: Connection, number: int, *, approved: bool, by: str, now: float) -> Approval | None:
    """The question as it is answered; None where there is none that waits for an answer."""
    known = find(db, number)
    if known is None or not known.is_open(now):
        return None
    state = "approved" if approved else "denied"
    db.execute(
        "UPDATE approvals SET state = ?, answered_at = ?, by = ?, expires = ? WHERE id = ?",
        (state, now, by, now + VALID_S, number),
    )
    if known.is_first_use:
        first_uses.decide(db, known.project, known.provider, allowed=approved, by=by, now=now)
    return find(db, number)


def gave_up(db: Connection, number: int, now: float) -> None:
    """Nobody waits for the answer any more; one that comes yet is good when it is asked again."""
    db.execute(
        "UPDATE approvals SET waits_until = ?, expires = ?"
        " WHERE id = ? AND state = 'waiting' AND waits_until > ?",
        (now, now + VALID_S, number, now),
    )


def use(
    db: Connection, number: int, *, call_id: str, reservation: str, amount_nano: int, now: float
) -> bool:
    """Takes what was approved for this reservation. False where it does not cover it: an approval
    is good for one call, and all that call holds and has spent under it is no more than was
    approved."""
    known = find(db, number)
    if known is None or not known.covers(call_id, now):
        return False
    before = known.reservations.split()
    if committed(db, before) + amount_nano > known.amount_nano:
        return False
    db.execute(
        "UPDATE approvals SET used_by = ?, reservations = ?, fingerprint = '' WHERE id = ?",
        (call_id, " ".join((*before, reservation)), number),
    )
    return True


def committed(db: Connection, reservations: Sequence[str]) -> int:
    rows = (
        db.execute(
            "SELECT iif(state = 'held', amount_nano, cost_nano) FROM reservations WHERE id = ?",
            (each,),
        ).fetchone()
        for each in reservations
    )
    return sum(row[0] for row in rows if row)
