"""View 2: every budget in its open window, most urgent first."""

from . import spending
from .rows import Column, Look, Row
from .sieve import sieve
from .view import Contents, View

NO_BUDGETS = """
  No budget has been used yet: nothing is limited, or nothing was called.

  A budget is four lines of ~/.roundhouse/config.toml:

    [[budgets]]
    scope = "global"
    period = "day"
    limit_usd = "10.00"
"""


class BudgetsView(View):
    NAME = "budgets"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return spending.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        keep = sieve(self.filter_text)
        seen = [
            (one, forecast)
            for one, forecast in spending.by_urgency(self.store.snapshot, look.now)
            if keep(spending.fields_of(one))
        ]

        def row_at(index: int) -> Row:
            one, forecast = seen[index]
            return spending.spending_row(one, forecast, columns, look)

        return Contents(
            keys=[one.budget for one, _ in seen],
            row_at=row_at,
            status=spending.summary(seen),
            empty=NO_BUDGETS,
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        snapshot = self.store.snapshot
        for one in snapshot.spendings:
            if one.budget == key:
                return spending.detail_lines(one, snapshot, look)
        return ["this budget has no open window"]
