"""What screens and widgets may ask of the app that shows them."""

from datetime import tzinfo
from pathlib import Path
from typing import Protocol, cast

from textual.widget import Widget

from .rows import Look
from .store import Store


class Watching(Protocol):
    """What a view needs of the app."""

    store: Store
    home: Path
    origin: str
    zone: tzinfo | None
    ascii_only: bool

    def look(self) -> Look: ...
    def looked_at(self) -> float: ...
    def watch_call(self, call_id: str | None) -> None: ...
    def switch_mode(self, mode: str) -> object: ...
    def copy_to_clipboard(self, text: str) -> None: ...


def watching_of(widget: Widget) -> Watching:
    """The app of a widget, as what it is to us."""
    return cast("Watching", widget.app)  # pyright: ignore[reportUnknownMemberType]
