"""View 4: the providers, as the configuration and the servers see them."""

from .rows import Column, Look, Row
from .view import Contents, View

NOTHING = "\n  Nothing here yet."


class ProvidersView(View):
    NAME = "providers"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return (Column(key="name", title="PROVIDER", width=14, flex=True),)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        return Contents(keys=[], row_at=lambda index: Row(key=""), status="", empty=NOTHING)

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        return []
