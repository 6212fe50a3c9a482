"""What was spent, read from the hourly rollups: for whole hours, by labels, by day."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ..server.ledger import totals
from ..server.ledger.driver import Connection
from ..server.ledger.records import COUNTED
from ..server.ledger.totals import Span

HOUR_S = 3600
LATEST = 2_000  # attempts looked through for a price
Period = Literal["today", "7 days", "14 days", "30 days", "month", "all"]
PERIODS: tuple[Period, ...] = ("14 days", "30 days", "month", "all", "today", "7 days")
DAYS = {"today": 1, "7 days": 7, "14 days": 14, "30 days": 30}
Measure = Literal["$", "calls", "tokens", "errors"]
MEASURES: tuple[Measure, ...] = ("$", "calls", "tokens", "errors")
BY: tuple[tuple[str, ...], ...] = (  # what the rows can be, and what lies behind each
    ("provider", "model"),
    ("provider",),
    ("task",),
    ("client",),
    ("project",),
    ("status",),
    ("day",),
    ("hour",),
)
BEHIND: dict[tuple[str, ...], tuple[str, ...]] = {  # what a row is looked at by when it is opened
    ("provider", "model"): ("task",),
    ("provider",): ("model",),
    ("model",): ("task",),
    ("day",): ("hour",),
}

Sums = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to see. `where` are labels the rows must have."""

    period: Period = PERIODS[0]
    by: tuple[str, ...] = BY[0]
    where: tuple[tuple[str, str], ...] = ()

    @property
    def is_light(self) -> bool:
        """Does the small rollup know all of it?"""
        return totals.BY_MODEL.issuperset((*self.by, *(label for label, _ in self.where)))

    def opened(self, row: Sums) -> "Question":
        """What a row is made of."""
        labels = tuple((label, str(row[label])) for label in self.by)
        behind = BEHIND.get(self.by, BY[0])
        return replace(self, by=behind, where=(*self.where, *labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What the calls that cost nothing, as local ones, would have cost at a model's rates."""

    model: str
    nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """`rows` are sums with their labels, the dearest first; `days` the same by day. `month` is
    what this month cost so far, `month_goes` the share of it that is over."""

    question: Question
    total: Sums = field(default_factory=dict[str, Any])
    rows: Sequence[Sums] = ()
    days: Mapping[str, Sequence[Sums]] = field(default_factory=dict[str, Sequence[Sums]])
    today: str = ""
    today_nano: int = 0
    month_nano: int = 0
    month_goes: float = 0.0
    month_ends: str = ""
    elsewhere: Elsewhere | None = None


def timezone_of(home: Path) -> str:
    """The user's own, as the servers take it; UTC where the file does not say or is wrong."""
    try:
        named = tomllib.loads((home / "config.toml").read_text(encoding="utf-8"))["timezone"]
        return ZoneInfo(named).key
    except (OSError, ValueError, KeyError, TypeError):
        return "UTC"


def span_of(period: Period, now: float, timezone: str) -> Span:
    """The same hours as `roundhouse cost` counts."""
    last = int(now // HOUR_S) + 1
    if period == "all":
        return Span(first=0, last=last, words=period)
    today = datetime.fromtimestamp(now, ZoneInfo(timezone)).date()
    day = today.replace(day=1) if period == "month" else today - timedelta(days=DAYS[period] - 1)
    return Span(first=hour_of(day, timezone), last=last, words=period)


def hour_of(day: date, timezone: str) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone))
    return int(midnight.timestamp() // HOUR_S)


def look_up(question: Question, home: Path, db: Connection, now: float) -> Costs:
    """In the feed's thread. Three queries of the rollups, none of the calls."""
    timezone = timezone_of(home)
    span = span_of(question.period, now, timezone)
    by = list(dict.fromkeys(("day", *question.by)))
    fine = totals.grouped(db, span, by, question.where, timezone=timezone)
    days: dict[str, list[Sums]] = {}
    for row in fine:
        days.setdefault(row["day"], []).append(row)
    month = span_of("month", now, timezone)
    spent = totals.grouped(db, month, ["provider"], question.where)
    local = datetime.fromtimestamp(now, ZoneInfo(timezone))
    first = local.date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    whole = (hour_of(following, timezone) - month.first) * HOUR_S
    today = local.date().isoformat()
    return Costs(
        question=question,
        total=added(fine),
        rows=merged(fine, question.by),
        days=dict(sorted(days.items())),
        today=today,
        today_nano=sum(row["cost_nano"] for row in days.get(today, ())),
        month_nano=sum(row["cost_nano"] for row in spent),
        month_goes=(now - month.first * HOUR_S) / whole,
        month_ends=f"{following - timedelta(days=1):%b %d}",
        elsewhere=elsewhere(db, span, question),
    )


def added(rows: Sequence[Sums]) -> Sums:
    return {name: sum(row[name] for row in rows) for name in COUNTED}


def merged(rows: Sequence[Sums], by: Sequence[str]) -> list[Sums]:
    groups: dict[tuple[str, ...], list[Sums]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[label]) for label in by), []).append(row)
    found = [dict(zip(by, key, strict=True)) | added(one) for key, one in groups.items()]
    return sorted(found, key=lambda row: (-row["cost_nano"], -row["calls"]))


def elsewhere(db: Connection, span: Span, question: Question) -> Elsewhere | None:
    """At the rates of the model most was spent on, as its last attempt was priced."""
    used = totals.grouped(db, span, ["provider", "model"], question.where)
    free = [row for row in used if not row["cost_nano"] and not row["unpriced"]]
    read, wrote = (sum(row[name] for row in free) for name in ("input_tokens", "output_tokens"))
    if not used or not used[0]["cost_nano"] or not read + wrote:
        return None
    dearest = used[0]
    found = db.execute(
        "SELECT CAST(rates AS BLOB) FROM (SELECT * FROM attempts ORDER BY started DESC LIMIT ?)"
        " WHERE provider = ? AND model = ? AND rates IS NOT NULL LIMIT 1",
        (LATEST, dearest["provider"], dearest["model"]),
    ).fetchone()
    try:
        rates: dict[str, int] = json.loads(found[0]) if found else {}
        nano = -(-(read * rates["input"] + wrote * rates["output"]) // 1_000_000)
        nano += rates["per_request"] * sum(row["attempts"] for row in free)
    except (ValueError, KeyError, TypeError):
        return None
    return Elsewhere(model=f"{dearest['provider']}/{dearest['model']}", nano=nano)


def measured(row: Sums, measure: Measure) -> float:
    """Dollars, calls, tokens or errors."""
    match measure:
        case "$":
            return row["cost_nano"] / 1e9
        case "calls":
            return float(row["calls"])
        case "tokens":
            return float(row["input_tokens"] + row["output_tokens"])
        case "errors":
            return float(row["errors"])
