"""What those who only watch read from the ledger, and the lease that says somebody watches.

Every class names one row: its fields are the columns selected, so reading stays possible when a
later schema adds columns. Every query fetches all and is bounded; the caller holds one short
transaction around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from . import visits
from .driver import Connection
from .servers import unwatch, watch

LEASE_S = 15.0
GATE_WAIT_S = 0.05
HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """`version` of the tables; a program older than `min_reader` must not read them."""

    version: int
    min_reader: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A call in flight. `trail` is what failed before the current attempt."""

    call_id: str
    tool: str
    server: str
    client: str
    project: str
    task: str | None
    strategy: str | None
    privacy: str
    provider: str | None
    model: str | None
    phase: str
    attempt: int
    started: float
    attempt_started: float | None
    first_token_at: float | None
    beat: float
    input_tokens: int | None
    output_tokens: int
    reserved_nano: int
    next_try_at: float | None
    trail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A call that ended. `id` grows in commit order, so `id > last` misses nothing."""

    id: int
    call_id: str
    tool: str
    server: str
    client: str
    project: str
    task: str | None
    strategy: str | None
    privacy: str
    provider: str | None
    model: str | None
    status: str
    finish_reason: str | None
    error_kind: str | None
    error: str | None
    attempts: int
    started: float
    first_token_at: float | None
    ended: float
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: int
    cost_nano: int | None
    cost_kind: str
    trail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """A budget in the window that is open now."""

    budget: str
    window_start: float
    window_end: float | None
    scope: str
    period: str
    limit_nano: int
    spent_nano: int
    reserved_nano: int
    warn_at: float
    at_limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEvent:
    id: int
    at: float
    budget: str
    kind: str
    call_id: str | None
    amount_nano: int | None
    spent_nano: int
    reserved_nano: int
    limit_nano: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A circuit; the model `*` stands for all models of the provider."""

    provider: str
    model: str
    state: str
    failures: int
    opened_at: float | None
    retry_at: float | None
    open_count: int
    cooldown_until: float | None
    hold_reason: str | None
    hold_until: float | None
    hold_by: str | None
    hold_note: str | None
    probe_owner: str | None
    probe_lease_until: float | None
    threshold: int
    changed_at: float
    last_ok_at: float | None
    last_failure_at: float | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerEvent:
    id: int
    at: float
    provider: str
    model: str
    from_state: str
    to_state: str
    why: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    id: str
    pid: int
    client: str
    project: str
    version: str
    started: float
    beat: float
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Calls, attempts and money per provider, model, task, client and project since a moment."""

    provider: str
    model: str
    task: str
    client: str
    project: str
    calls: int
    errors: int
    attempts: int
    cost_nano: int


T = TypeVar("T")


@cache
def columns(kind: type[object]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))  # pyright: ignore[reportArgumentType]


def select(db: Connection, kind: type[T], rest: str, parameters: Sequence[object] = ()) -> list[T]:
    names = columns(kind)
    found = db.execute(f"SELECT {', '.join(names)} {rest}", parameters).fetchall()
    return [kind(**dict(zip(names, row, strict=True))) for row in found]


def data_version(db: Connection) -> int:
    """Changes with every commit of somebody else; read it outside a transaction."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])


def schema(db: Connection) -> Schema:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == 0:
        return Schema(version=0, min_reader=0)
    row = db.execute("SELECT value FROM meta WHERE key = 'min_reader'").fetchone()
    return Schema(version=version, min_reader=int(row[0]) if row else 0)


def running(db: Connection, limit: int = 200) -> list[Running]:
    return select(db, Running, "FROM inflight ORDER BY started DESC LIMIT ?", (limit,))


def running_count(db: Connection) -> int:
    return int(db.execute("SELECT COUNT(*) FROM inflight").fetchone()[0])


def newest(db: Connection, limit: int) -> list[Finished]:
    """The newest finished calls, oldest first."""
    return select(db, Finished, "FROM calls ORDER BY id DESC LIMIT ?", (limit,))[::-1]


def finished_after(db: Connection, last_id: int, limit: int) -> list[Finished]:
    return select(db, Finished, "FROM calls WHERE id > ? ORDER BY id LIMIT ?", (last_id, limit))


def finished_between(
    db: Connection, first: int, before: int, condition: str, values: Sequence[object], limit: int
) -> list[Finished]:
    """Calls with `first` <= id < `before` that meet the condition, newest first. The condition is
    our own SQL, never outside text."""
    rest = f"FROM calls WHERE id >= ? AND id < ? AND {condition} ORDER BY id DESC LIMIT ?"
    return select(db, Finished, rest, (first, before, *values, limit))


def ended_from(db: Connection, first: int) -> float | None:
    """When the first call from this id on ended."""
    query = "SELECT ended FROM calls WHERE id >= ? ORDER BY id LIMIT 1"
    row = db.execute(query, (first,)).fetchone()
    return row[0] if row else None


def spendings(db: Connection, now: float) -> list[Spending]:
    rest = """FROM budget_windows WHERE window_start <= ?1
              AND (window_end IS NULL OR window_end > ?1) ORDER BY budget LIMIT 500"""
    return select(db, Spending, rest, (now,))


def budget_events(db: Connection, limit: int = 200) -> list[BudgetEvent]:
    return select(db, BudgetEvent, "FROM budget_events ORDER BY id DESC LIMIT ?", (limit,))


def breakers(db: Connection) -> list[Breaker]:
    return select(db, Breaker, "FROM circuits ORDER BY provider, model LIMIT 500")


def breaker_events(db: Connection, limit: int = 500) -> list[BreakerEvent]:
    return select(db, BreakerEvent, "FROM circuit_events ORDER BY id DESC LIMIT ?", (limit,))


def servers(db: Connection) -> list[Server]:
    return select(db, Server, "FROM servers WHERE ended IS NULL ORDER BY started LIMIT 200")


def used_since_hour(db: Connection, since: float) -> list[Used]:
    """From the hourly totals, so the hour `since` falls in counts whole."""
    rest = """FROM (SELECT provider, model, task, client, project, SUM(calls) AS calls,
              SUM(errors) AS errors, SUM(attempts) AS attempts, SUM(cost_nano) AS cost_nano
              FROM usage_hour
              WHERE hour >= ? GROUP BY 1, 2, 3, 4, 5) LIMIT 5000"""
    return select(db, Used, rest, (int(since // HOUR_S),))


def spent_since_hour(db: Connection, since: float) -> int:
    """Nano-dollars, from the hourly totals; quick enough for every look."""
    query = "SELECT ifnull(SUM(cost_nano), 0) FROM model_hour WHERE hour >= ?"
    return int(db.execute(query, (int(since // HOUR_S),)).fetchone()[0])


def used_since(db: Connection, since: float) -> list[Used]:
    """From the calls themselves: exact, for the last minutes only."""
    rest = """FROM (SELECT ifnull(provider, '') AS provider, ifnull(model, '') AS model,
              ifnull(task, '') AS task, client, project, COUNT(*) AS calls,
              SUM(status != 'ok') AS errors, SUM(attempts) AS attempts,
              SUM(ifnull(cost_nano, 0)) AS cost_nano FROM calls
              WHERE ended > ? GROUP BY 1, 2, 3, 4, 5) LIMIT 5000"""
    return select(db, Used, rest, (since,))


def renew_lease(path: Path, gate: Path, *, watcher: str, pid: int, now: float) -> None:
    """Say that somebody watches until `now` + 15 s: servers then write streaming progress.
    Gives up at once (GateBusy, driver.Error) rather than making a writer wait."""
    renew = partial(watch, watcher=watcher, pid=pid, until=now + LEASE_S)
    visits.write(path, gate, renew, wait_s=GATE_WAIT_S)


def drop_lease(path: Path, gate: Path, *, watcher: str, now: float) -> None:
    """Stop watching; leases left by watchers that were killed go too."""
    drop = partial(unwatch, watcher=watcher, now=now)
    visits.write(path, gate, drop, wait_s=GATE_WAIT_S)
