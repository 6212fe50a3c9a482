"""Limits on spending, and the calendar windows they count in. Pure; the ledger does the counting.

A budget is one scope and one period with a limit; its id is `scope/period`. A window is a budget
at a time: from the first midnight of its period in the user's time zone to the next.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # both are dear to import, and who only wants the forecast needs none
    from zoneinfo import ZoneInfo

    from .settings import AtLimit, BudgetSettings, Period, Reserve

NANO = 1_000_000_000  # as in prices.py, which is dear to import for who only draws
QUARTER_HOUR_S = 900.0
SIX_HOURS_S = 21_600.0
FEWEST_CALLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    id: str
    scope: str
    period: "Period"
    limit_nano: int
    warn_at: float = 0.8
    at_limit: "AtLimit" = "refuse"
    reserve: "Reserve" = "bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A budget from `start` to `end` (epoch seconds; `end` None: for ever)."""

    budget: str
    scope: str
    period: "Period"
    start: float
    end: float | None
    limit_nano: int
    warn_at: float = 0.8
    at_limit: "AtLimit" = "refuse"
    reserve: "Reserve" = "bound"


def from_settings(settings: "Iterable[BudgetSettings]") -> tuple[Budget, ...]:
    """One budget per id; of two with the same scope and period the smaller limit counts."""
    budgets: dict[str, Budget] = {}
    for each in settings:
        budget = Budget(
            id=f"{each.scope}/{each.period}",
            scope=each.scope,
            period=each.period,
            limit_nano=int(each.limit_usd * NANO),
            warn_at=each.warn_at,
            at_limit=each.at_limit,
            reserve=each.reserve,
        )
        known = budgets.get(budget.id)
        if known is None or budget.limit_nano < known.limit_nano:
            budgets[budget.id] = budget
    return tuple(budgets.values())


def first_day(period: "Period", day: date) -> date:
    match period:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day


def next_first_day(period: "Period", first: date) -> date:
    match period:
        case "week":
            return first + timedelta(days=7)
        case "month":
            return (first + timedelta(days=32)).replace(day=1)
        case _:
            return first + timedelta(days=1)


def midnight(day: date, zone: "ZoneInfo") -> float:
    """The first instant of the day. Where clocks skip midnight it is the instant they skip."""
    return datetime(day.year, day.month, day.day, tzinfo=zone, fold=0).timestamp()


def window(period: "Period", at: float, timezone: str) -> tuple[float, float | None]:
    """Start and end of the window `at` falls in. Weeks begin on Monday."""
    from zoneinfo import ZoneInfo

    if period == "total":
        return 0.0, None
    zone = ZoneInfo(timezone)
    moment = datetime.fromtimestamp(math.floor(at), UTC)  # fractions round up to the next day
    first = first_day(period, moment.astimezone(zone).date())
    return midnight(first, zone), midnight(next_first_day(period, first), zone)


def counts(
    scope: str, *, provider: str, model: str, task: str | None, client: str, project: str
) -> bool:
    """Whether a call belongs to the scope. `model:` takes `name` and `provider/name`."""
    kind, _, name = scope.partition(":")
    match kind:
        case "global":
            return True
        case "provider":
            return name == provider
        case "model":
            return name in (model, f"{provider}/{model}")
        case "task":
            return name == task
        case "client":
            return name == client
        case _:
            return name == project


def applicable(
    budgets: Iterable[Budget],
    *,
    provider: str,
    model: str,
    task: str | None,
    client: str,
    project: str,
    at: float,
    timezone: str = "UTC",
) -> tuple[Window, ...]:
    """The windows a call at this moment counts in, all of which must have room for it."""
    return tuple(
        open_window(budget, at, timezone)
        for budget in budgets
        if counts(
            budget.scope,
            provider=provider,
            model=model,
            task=task,
            client=client,
            project=project,
        )
    )


def open_window(budget: Budget, at: float, timezone: str) -> Window:
    """The budget in the window that is open at a time."""
    start, end = window(budget.period, at, timezone)
    return Window(
        budget=budget.id,
        scope=budget.scope,
        period=budget.period,
        start=start,
        end=end,
        limit_nano=budget.limit_nano,
        warn_at=budget.warn_at,
        at_limit=budget.at_limit,
        reserve=budget.reserve,
    )


# Forecast: how fast the money goes, and when it will be gone.


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What was spent lately: in the last quarter hour and the last six hours."""

    quarter_nano: int
    quarter_calls: int
    six_hours_nano: int
    six_hours_calls: int


@dataclass(frozen=True, slots=True)
class Burn:
    """Nano-dollars per hour, and the span it was measured over."""

    nano_per_hour: float
    measured: Literal["15m", "6h", "window"]


def burn(recent: Recent, *, spent_nano: int, start: float, now: float) -> Burn:
    """The last quarter hour; with fewer than three calls in it the last six hours; with fewer
    than three there the mean of the window."""
    if recent.quarter_calls >= FEWEST_CALLS:
        return Burn(recent.quarter_nano * 3600 / QUARTER_HOUR_S, "15m")
    if recent.six_hours_calls >= FEWEST_CALLS:
        return Burn(recent.six_hours_nano * 3600 / SIX_HOURS_S, "6h")
    return Burn(spent_nano * 3600 / max(now - start, 1.0), "window")


def pace(
    *, spent_nano: int, limit_nano: int, start: float, end: float | None, now: float
) -> float | None:
    """Used share over elapsed share: 1 is exactly on track. None without an end or a limit."""
    if end is None or not limit_nano or now <= start:
        return None
    return (spent_nano / limit_nano) / ((now - start) / (end - start))


def runs_out(
    *, committed_nano: int, limit_nano: int, nano_per_hour: float, end: float | None, now: float
) -> float | None:
    """When the limit is reached at this rate, spent and reserved money together; None if not
    before the window ends."""
    left = limit_nano - committed_nano
    if left <= 0:
        return now
    if nano_per_hour <= 0:
        return None
    at = now + left / nano_per_hour * 3600
    return at if end is None or at < end else None
