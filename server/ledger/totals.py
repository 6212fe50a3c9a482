"""Read queries behind reports: totals, groups, budgets, latency. Each fetches all it needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from . import alarm_rows
from .alarm_rows import Alarm
from .driver import Connection
from .records import COUNTED

# The hourly rollups answer for whole hours; every group is a column of theirs, so that no report
# scans the calls. Only `status` is of the whole calls; everything else is of the attempts.
GROUPS = {
    "provider": "provider",
    "model": "model",
    "task": "task",
    "client": "client",
    "project": "project",
    "status": "status",
    "day": "day_of(hour)",
    "hour": "strftime('%Y-%m-%dT%H:00Z', hour * 3600, 'unixepoch')",
}
BY_MODEL = frozenset({"provider", "model", "day", "hour"})  # what the smallest rollup knows
SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTED)
LATEST = 2_000  # attempts are enough to say how long a model takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole hours since the epoch: from `first` up to but without `last`."""

    first: int
    last: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """`adjusted_nano` is what corrections made by hand (`adjustments` of them) changed in the sums;
    `by_model` are the sums of each provider's models; `alarms` is what happened to the file."""

    total: dict[str, Any]
    groups: list[dict[str, Any]]
    more: int
    windows: list[dict[str, Any]]
    adjustments: int
    adjusted_nano: int
    by_model: list[dict[str, Any]]
    alarms: list[Alarm]


def rows(db: Connection, query: str, values: Sequence[object]) -> list[dict[str, Any]]:
    cursor = db.execute(query, tuple(values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def totals(
    db: Connection,
    span: Span,
    group_by: Sequence[str],
    limit: int,
    now: float,
    *,
    timezone: str = "UTC",
    by_model: bool = False,
) -> Totals:
    """Sums over a span, the groups by cost, and every budget window that is open at `now`. Days
    begin as the time zone says."""
    groups = grouped(db, span, group_by, timezone=timezone)
    count, delta = db.execute(
        "SELECT count(*), ifnull(sum(delta_nano), 0) FROM adjustments"
        " JOIN calls USING (call_id) WHERE calls.ended >= ? AND calls.ended < ?",
        (span.first * 3600, span.last * 3600),
    ).fetchone()
    return Totals(
        total={name: sum(group[name] for group in groups) for name in COUNTED},
        groups=groups[:limit],
        more=max(0, len(groups) - limit),
        windows=open_windows(db, now),
        adjustments=count,
        adjusted_nano=delta,
        by_model=grouped(db, span, ["provider", "model"]) if by_model else [],
        alarms=alarm_rows.recent(db, now),
    )


def grouped(
    db: Connection,
    span: Span,
    group_by: Sequence[str],
    where: Sequence[tuple[str, str]] = (),
    *,
    timezone: str | None = None,
) -> list[dict[str, Any]]:
    """Sums of the groups, the dearest first, of those rows alone whose labels are as in `where`.
    The time zone is needed once per connection for groups by day."""
    if timezone is not None:
        db.create_function("day_of", 1, day_of(timezone), deterministic=True)
    columns = ", ".join(f"{GROUPS[name]} AS {name}" for name in group_by)
    keys = ", ".join(str(n) for n in range(1, len(group_by) + 1))
    named = {*group_by, *(label for label, _ in where)}
    table = "model_hour" if BY_MODEL.issuperset(named) else "usage_hour"
    table = "status_hour" if "status" in named else table
    only = "".join(f" AND {GROUPS[label]} = ?" for label, _ in where)
    return rows(
        db,
        f"SELECT {columns}, {SUMS} FROM {table} WHERE hour >= ? AND hour < ?{only}"
        f" GROUP BY {keys} ORDER BY cost_nano DESC, calls DESC",
        (span.first, span.last, *(value for _, value in where)),
    )


def day_of(timezone: str) -> Callable[[int], str]:
    """The day an hour since the epoch begins in, by the clocks of a time zone."""
    zone = ZoneInfo(timezone)

    @cache
    def day(hour: int) -> str:
        return datetime.fromtimestamp(hour * 3600, zone).date().isoformat()

    return day


def open_windows(db: Connection, now: float) -> list[dict[str, Any]]:
    return rows(
        db,
        "SELECT budget, scope, period, window_start, window_end, limit_nano, spent_nano, "
        "reserved_nano, warn_at, at_limit FROM budget_windows "
        "WHERE window_start <= ? AND (window_end IS NULL OR window_end > ?) ORDER BY budget",
        (now, now),
    )


def health(db: Connection, since: float) -> list[dict[str, Any]]:
    """Per provider since a time: attempts, failures, last success, and the durations in ms."""
    found = rows(
        db,
        "SELECT provider, count(*) AS attempts, "
        "sum(outcome NOT IN ('ok', 'misfit', 'cancelled')) AS failed, "
        "max(CASE WHEN outcome IN ('ok', 'misfit') THEN ended END) AS last_ok FROM attempts "
        "WHERE started >= ? GROUP BY provider",
        (since,),
    )
    for row in found:
        row["durations_ms"] = durations(db, row["provider"], since)
    return found


def durations(db: Connection, provider: str, since: float) -> list[int]:
    found = db.execute(
        "SELECT CAST((ended - started) * 1000 AS INTEGER) FROM attempts "
        "WHERE provider = ? AND started >= ? AND outcome = 'ok' ORDER BY 1",
        (provider, since),
    ).fetchall()
    return [row[0] for row in found]


def medians(db: Connection, since: float) -> dict[tuple[str, str], int]:
    """How long answers took, in ms: the median per provider and model since a time."""
    found = db.execute(
        "SELECT provider, model, CAST((ended - started) * 1000 AS INTEGER) FROM attempts "
        "WHERE started >= ? AND outcome = 'ok' ORDER BY started DESC LIMIT ?",
        (since, LATEST),
    ).fetchall()
    taken: dict[tuple[str, str], list[int]] = {}
    for provider, model, ms in found:
        taken.setdefault((provider, model), []).append(ms)
    return {key: sorted(times)[len(times) // 2] for key, times in taken.items()}
