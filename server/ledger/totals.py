"""Read queries behind reports: totals, groups, budgets, latency. Each fetches all it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .driver import Connection

# The hourly rollup answers for whole hours and for everything but hours of the running one being
# cut; every group is a column of it, so that no report scans the calls.
GROUPS = {
    "provider": "provider",
    "model": "model",
    "task": "task",
    "client": "client",
    "project": "project",
    "day": "date(hour * 3600, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H:00Z', hour * 3600, 'unixepoch')",
}
SUMS = (
    "coalesce(sum(calls), 0) AS calls, coalesce(sum(errors), 0) AS errors, "
    "coalesce(sum(attempts), 0) AS attempts, coalesce(sum(input_tokens), 0) AS input_tokens, "
    "coalesce(sum(output_tokens), 0) AS output_tokens, "
    "coalesce(sum(cached_tokens), 0) AS cached_tokens, coalesce(sum(cost_nano), 0) AS cost_nano, "
    "coalesce(sum(presumed_nano), 0) AS presumed_nano, coalesce(sum(unpriced), 0) AS unpriced"
)
LATEST = 2_000  # attempts are enough to say how long a model takes
SPAN = "FROM usage_hour WHERE hour >= ? AND hour < ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole hours since the epoch: from `first` up to but without `last`."""

    first: int
    last: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    total: dict[str, Any]
    groups: list[dict[str, Any]]
    more: int
    windows: list[dict[str, Any]]


def rows(db: Connection, query: str, values: Sequence[object]) -> list[dict[str, Any]]:
    cursor = db.execute(query, tuple(values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def totals(db: Connection, span: Span, group_by: Sequence[str], limit: int, now: float) -> Totals:
    """Sums over a span, the groups by cost, and every budget window that is open at `now`."""
    columns = ", ".join(f"{GROUPS[name]} AS {name}" for name in group_by)
    keys = ", ".join(str(n) for n in range(1, len(group_by) + 1))
    bounds = (span.first, span.last)
    grouped = rows(
        db,
        f"SELECT {columns}, {SUMS} {SPAN} GROUP BY {keys} ORDER BY cost_nano DESC, calls DESC",
        bounds,
    )
    return Totals(
        total=rows(db, f"SELECT {SUMS} {SPAN}", bounds)[0],
        groups=grouped[:limit],
        more=max(0, len(grouped) - limit),
        windows=open_windows(db, now),
    )


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
