"""The budgets as the configuration has them, laid over what the ledger has counted.

The ledger knows a budget from its first call on, with the limit of its last one; the file says
what holds from the next call on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..server import budgets, config
from ..server.budgets import Budget
from ..server.errors import ConfigError
from ..server.home import Home
from ..server.ledger.watch import Spending
from .clean import clean

REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`known` is false until the file was read. With a `problem` nothing is known of it."""

    known: bool = False
    budgets: tuple[Budget, ...] = ()
    timezone: str = "UTC"
    problem: str = ""

    def find(self, budget: str) -> Budget | None:
        """The budget a row of the table is about, under its own name."""
        return next((each for each in self.budgets if clean(each.id) == budget), None)


def load(home: Path, environ: Mapping[str, str]) -> Limits:
    """Takes some ten milliseconds, and more the first time."""
    try:
        settings = config.load(Home(home), environ).settings
    except ConfigError as error:
        return Limits(known=True, problem=clean(str(error)))
    return Limits(
        known=True, budgets=budgets.from_settings(settings.budgets), timezone=settings.timezone
    )


def merged(spendings: Iterable[Spending], limits: Limits, now: float) -> list[Spending]:
    """Every budget there is: those nothing was spent of yet, too, and those that were taken out
    of the file but have an open window."""
    counted = {one.budget: one for one in spendings}
    if not limits.known or limits.problem:
        return list(counted.values())
    found = {
        clean(budget.id): current(budget, counted.get(clean(budget.id)), limits.timezone, now)
        for budget in limits.budgets
    }
    gone = [replace(one, at_limit=REMOVED) for name, one in counted.items() if name not in found]
    return [*found.values(), *gone]


def current(budget: Budget, counted: Spending | None, timezone: str, now: float) -> Spending:
    window = budgets.open_window(budget, now, timezone)
    same = counted is not None and counted.window_start == window.start
    return Spending(
        budget=clean(budget.id),
        window_start=window.start,
        window_end=window.end,
        scope=clean(budget.scope),
        period=budget.period,
        limit_nano=budget.limit_nano,
        spent_nano=counted.spent_nano if counted and same else 0,
        reserved_nano=counted.reserved_nano if counted and same else 0,
        warn_at=budget.warn_at,
        at_limit=budget.at_limit,
    )
