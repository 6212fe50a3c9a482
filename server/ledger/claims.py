"""What the budgets' and circuits' views read beside the small tables: who holds money, which
processes there are, which calls asked to exceed a budget, and what the last days cost.

Every query is bounded and fetches all; the caller holds one short transaction around them.
"""

from dataclasses import dataclass

from . import approval_rows
from .approval_rows import Approval
from .driver import Connection
from .watch import HOUR_S, select

DAY_H = 24
DAYS = 7
QUESTIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Money a running attempt holds in one budget's window; `owner` is the process it runs in."""

    budget: str
    window_start: float
    call_id: str
    attempt: int
    owner: str
    provider: str
    model: str
    amount_nano: int
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server, running or not. It beats every five seconds; events name it by `id` or `owner`."""

    id: str
    owner: str
    pid: int
    client: str
    project: str
    beat: float
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """24 hours counted back from now: `ago` 0 are the last ones."""

    ago: int
    calls: int
    cost_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What the calls of one kind cost in one hour; `hour` counts hours since the epoch."""

    hour: int
    provider: str
    model: str
    task: str
    client: str
    project: str
    cost_nano: int


def held(db: Connection, limit: int = 500) -> list[Claim]:
    """The oldest first: those of the dead are among them."""
    rest = """FROM reservations JOIN reservation_windows ON reservation = reservations.id
              WHERE state = 'held' ORDER BY created, call_id, attempt LIMIT ?"""
    return select(db, Claim, rest, (limit,))


def processes(db: Connection, limit: int = 500) -> list[Process]:
    return select(db, Process, "FROM servers ORDER BY started DESC LIMIT ?", (limit,))


def questions(db: Connection) -> list[Approval]:
    """The newest questions, oldest first, whatever became of them."""
    newest = f"id > (SELECT ifnull(max(id), 0) - {QUESTIONS} FROM approvals)"
    return approval_rows.found(db, newest)


def asking(db: Connection, now: float) -> int:
    """How many calls wait for the user's word at this moment."""
    query = "SELECT count(*) FROM approvals WHERE state = 'waiting' AND waits_until > ?"
    return int(db.execute(query, (now,)).fetchone()[0])


def days(db: Connection, now: float) -> list[Day]:
    """Those of the last seven in which a call ended."""
    hour = int(now // HOUR_S)
    rest = """FROM (SELECT (? - hour) / ? AS ago, SUM(calls) AS calls, SUM(cost_nano) AS cost_nano
              FROM usage_hour WHERE hour > ? AND hour <= ? GROUP BY 1) ORDER BY ago"""
    return select(db, Day, rest, (hour, DAY_H, hour - DAYS * DAY_H, hour))


def hours(db: Connection, now: float, limit: int = 5000) -> list[Hour]:
    """Of the last 24 hours, this one included, those that cost something."""
    hour = int(now // HOUR_S)
    rest = "FROM usage_hour WHERE hour > ? AND hour <= ? AND cost_nano > 0 LIMIT ?"
    return select(db, Hour, rest, (hour - DAY_H, hour, limit))
