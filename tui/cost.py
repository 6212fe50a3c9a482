"""View 5: what was spent, on what, by whom."""

from .rows import Column, Look, Row
from .view import Contents, View

NOTHING = "\n  Nothing was spent yet."


class CostView(View):
    NAME = "cost"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return (Column(key="name", title="COST", width=14, flex=True),)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        return Contents(keys=[], row_at=lambda index: Row(key=""), status="", empty=NOTHING)

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        return []
