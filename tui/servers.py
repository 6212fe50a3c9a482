"""View 6: every server process on this ledger."""

from .rows import Column, Look, Row
from .view import Contents, View

NOTHING = "\n  No server has run yet."


class ServersView(View):
    NAME = "servers"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return (Column(key="name", title="SERVER", width=14, flex=True),)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        return Contents(keys=[], row_at=lambda index: Row(key=""), status="", empty=NOTHING)

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        return []
