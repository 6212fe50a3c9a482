"""The budgets of the file laid over what the ledger has counted in their windows."""

from collections.abc import Iterable
from dataclasses import replace

from ..server import budgets
from ..server.budgets import Budget
from ..server.ledger.watch import Spending
from .clean import clean
from .configured import Configured

REMOVED = "removed"


def merged(spendings: Iterable[Spending], said: Configured, now: float) -> list[Spending]:
    """Every budget there is: also those nothing was spent of yet, and those that were taken out
    of the file but have an open window."""
    counted = {one.budget: one for one in spendings}
    if said.problem:
        return list(counted.values())
    found = {
        clean(budget.id): current(budget, counted.get(clean(budget.id)), said.timezone, now)
        for budget in said.budgets
    }
    gone = [replace(one, at_limit=REMOVED) for name, one in counted.items() if name not in found]
    return [*found.values(), *gone]


def current(budget: Budget, counted: Spending | None, timezone: str, now: float) -> Spending:
    """The budget as the file has it, with what its open window has counted."""
    window = budgets.open_window(budget, now, timezone)
    if counted is not None and counted.window_start != window.start:
        counted = None
    return Spending(
        budget=clean(budget.id),
        window_start=window.start,
        window_end=window.end,
        scope=clean(budget.scope),
        period=budget.period,
        limit_nano=budget.limit_nano,
        spent_nano=counted.spent_nano if counted else 0,
        reserved_nano=counted.reserved_nano if counted else 0,
        warn_at=budget.warn_at,
        at_limit=budget.at_limit,
    )
