"""Calls as the ledger keeps them: in flight while they run, then one row for the call, one per
attempt, one for the decision, and the hourly totals. Each function runs inside the caller's
transaction; finished rows are never updated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal

from ..money import CostKind
from . import servers
from .driver import Connection

Phase = Literal["queue", "connect", "wait", "stream", "retry"]
Status = Literal["ok", "failed", "refused", "cancelled", "timeout", "lost"]
Value = str | float | int | None

FAILURES = frozenset[Status]({"failed", "timeout", "lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InflightRow:
    """A running call. Times are epoch seconds; `attempt` 0 means none was made yet."""

    call_id: str
    tool: str
    server: str
    owner: str
    client: str
    project: str
    phase: Phase
    started: float
    beat: float
    task: str | None = None
    strategy: str | None = None
    privacy: str = "any"
    provider: str | None = None
    model: str | None = None
    attempt: int = 0
    attempt_started: float | None = None
    first_token_at: float | None = None
    input_tokens: int | None = None
    output_tokens: int = 0
    reserved_nano: int = 0
    next_try_at: float | None = None
    trail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running call has come since its row was last written."""

    call_id: str
    phase: Phase
    output_tokens: int = 0
    input_tokens: int | None = None
    first_token_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One request to one provider. `cost_nano` None with kind `unknown` is a price nobody knows;
    `rates` is JSON, `waited_s` the wait before it and `waited_for` its reason."""

    call_id: str
    n: int
    provider: str
    model: str
    started: float
    ended: float
    outcome: str
    first_token_at: float | None = None
    http_status: int | None = None
    error: str | None = None
    provider_request_id: str | None = None
    answered_by: str | None = None
    waited_s: float = 0.0
    waited_for: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    reserved_nano: int | None = None
    cost_nano: int | None = None
    cost_kind: CostKind = "none"
    rates: str | None = None
    price_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call that ended. Tokens and cost are sums over its attempts; `provider` and `model` are
    those that answered, or the last tried."""

    call_id: str
    tool: str
    server: str
    client: str
    project: str
    status: Status
    started: float
    ended: float
    task: str | None = None
    strategy: str | None = None
    privacy: str = "any"
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    error_kind: str | None = None
    error: str | None = None
    attempts: int = 0
    first_token_at: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    cost_nano: int | None = None
    cost_kind: CostKind = "none"
    trail: str = ""
    client_version: str | None = None


def columns(row: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(row))


def insertion(table: str, row: type, *, verb: str = "INSERT") -> str:
    names = columns(row)
    return f"{verb} INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


SHOWN = (
    *("beat", "strategy", "provider", "model", "phase", "attempt", "attempt_started"),
    *("first_token_at", "input_tokens", "output_tokens", "reserved_nano", "next_try_at", "trail"),
)
BEGIN = (
    f"{insertion('inflight', InflightRow)} ON CONFLICT (call_id) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in SHOWN)}"
)
INSERT_CALL = insertion("calls", CallRow, verb="INSERT OR IGNORE")
INSERT_ATTEMPT = insertion("attempts", AttemptRow, verb="INSERT OR IGNORE")
DECIDE = "INSERT OR {verb} INTO decisions (call_id, json) VALUES (?, ?)"
inflight_values = attrgetter(*columns(InflightRow))
call_values = attrgetter(*columns(CallRow))
attempt_values = attrgetter(*columns(AttemptRow))
ADVANCED = frozenset(columns(InflightRow)) - {"call_id"}

LABELS = ("provider", "model", "task", "client", "project")
COUNTED = (
    "calls",
    "errors",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost_nano",
    "presumed_nano",
    "unpriced",
    "presumed",
    "failed_nano",
)
NO_FAILURES = frozenset({"ok", "misfit", "cancelled", "deadline"})  # of attempts


def addition(table: str, *labels: str) -> str:
    names = ("hour", *labels, *COUNTED)
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTED)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT DO UPDATE SET {sums}"
    )


ADD_USAGE = addition("usage_hour", *LABELS)
ADD_MODEL = addition("model_hour", "provider", "model")
ADD_STATUS = addition("status_hour", "status", *LABELS)


def begin(db: Connection, row: InflightRow) -> None:
    """Show a call that waits for its place or begins an attempt, whether shown before or not."""
    db.execute(BEGIN, inflight_values(row))


def advance(db: Connection, call_id: str, **changes: Value) -> None:
    """Write what changed of a running call."""
    unknown = changes.keys() - ADVANCED
    if unknown:
        raise ValueError(f"inflight has no column {', '.join(sorted(unknown))}")
    assignments = ", ".join(f"{name} = ?" for name in changes)
    db.execute(f"UPDATE inflight SET {assignments} WHERE call_id = ?", (*changes.values(), call_id))


def beat_many(db: Connection, running: Iterable[Progress], now: float) -> None:
    """Progress of all running calls of a server at once."""
    db.executemany(
        "UPDATE inflight SET beat = ?, phase = ?, output_tokens = ?,"
        " input_tokens = ifnull(?, input_tokens), first_token_at = ifnull(?, first_token_at)"
        " WHERE call_id = ?",
        [
            (now, p.phase, p.output_tokens, p.input_tokens, p.first_token_at, p.call_id)
            for p in running
        ],
    )


def decide(db: Connection, decisions: Iterable[tuple[str, str]]) -> None:
    """Decisions, as JSON, of calls that still run; the last word comes with a call's end."""
    db.executemany(DECIDE.format(verb="IGNORE"), decisions)


def add_attempt(db: Connection, attempt: AttemptRow) -> bool:
    """Write an attempt as it ends, so that it survives its call. False: it is there already."""
    return db.execute(INSERT_ATTEMPT, attempt_values(attempt)).rowcount == 1


def finish(
    db: Connection,
    call: CallRow,
    attempts: Sequence[AttemptRow],
    decision_json: str | None = None,
) -> bool:
    """Write the call with all its attempts (those written before may be among them), add it to
    the hourly totals, and take it out of flight. False, and nothing changes, if it ended before."""
    if db.execute(INSERT_CALL, call_values(call)).rowcount == 0:
        return False
    for attempt in attempts:
        add_attempt(db, attempt)
    if decision_json is not None:
        db.execute(DECIDE.format(verb="REPLACE"), (call.call_id, decision_json))
    add_usage(db, call, attempts)
    presumed = (each.cost_nano or 0 for each in attempts if each.cost_kind == "presumed")
    servers.count_call(
        db,
        call.server,
        ended=call.ended,
        cost_nano=call.cost_nano or 0,
        presumed_nano=sum(presumed),
        lost=call.status == "lost",
    )
    db.execute("DELETE FROM inflight WHERE call_id = ?", (call.call_id,))
    return True


def add_usage(db: Connection, call: CallRow, attempts: Sequence[AttemptRow]) -> None:
    """Calls and errors count for the provider that answered; attempts, tokens and money for the
    one they went to."""
    hour = int(call.ended // 3600)
    labels = (call.task or "", call.client, call.project)
    answered = (call.provider or "", call.model or "")
    of_call = (1, int(call.status in FAILURES), *(0,) * 9)
    each = [counted(attempt) for attempt in attempts]
    rows = [(hour, *answered, *labels, *of_call)] + [
        (hour, attempt.provider, attempt.model, *labels, *counts)
        for attempt, counts in zip(attempts, each, strict=True)
    ]
    db.executemany(ADD_USAGE, rows)
    db.executemany(ADD_MODEL, [(*row[:3], *row[6:]) for row in rows])
    whole = map(sum, zip(of_call, *each, strict=True))
    db.execute(ADD_STATUS, (hour, call.status, *answered, *labels, *whole))


def counted(attempt: AttemptRow) -> tuple[int, ...]:
    """What an attempt adds to the totals, in the order of COUNTED."""
    nano, presumed = attempt.cost_nano or 0, attempt.cost_kind == "presumed"
    return (
        0,
        0,
        1,
        attempt.input_tokens or 0,
        attempt.output_tokens or 0,
        attempt.cached_tokens or 0,
        nano,
        nano if presumed else 0,
        int(attempt.cost_kind == "unknown"),
        int(presumed),
        0 if attempt.outcome in NO_FAILURES else nano,
    )


def draw(db: Connection, counter: str) -> int:
    """The counter's next number, 0 first; each is drawn once over all processes."""
    (value,) = db.execute(
        "INSERT INTO counters (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
        (counter,),
    ).fetchone()
    return int(value) - 1


def counters(db: Connection) -> dict[str, int]:
    """What each counter would draw next; one that is missing would draw 0."""
    return dict(db.execute("SELECT name, value FROM counters").fetchall())
