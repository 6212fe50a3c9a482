"""Which search runs for the filter of the moment, and what it has found so far."""

from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path

from .calls import fields_of
from .figures import time_of_day
from .reader import RING
from .search import Found, Search
from .store import Store


class Searches:
    """At most one search runs: the one for the newest text. Nothing is searched while memory
    holds all there is."""

    def __init__(self, path: Path, store: Store, emit: Callable[[Found], None]) -> None:
        self.path, self.store, self.emit = path, store, emit
        self.text = ""
        self.found: Found | None = None
        self.running: Search | None = None

    def begin(self, text: str) -> None:
        """The filter changed: what was found for another text is void."""
        self.stop()
        self.text, self.found, self.store.older = text, None, ()

    def start(self, now: float) -> None:
        if not self.text.strip() or len(self.store.finished) < RING:
            return
        self.running = Search(
            self.path,
            self.text,
            before=self.store.finished[-1].id,
            now=now,
            fields_of=fields_of,
            emit=self.emit,
        )
        self.running.start()

    def stop(self) -> None:
        running, self.running = self.running, None
        if running is not None:
            running.stop()

    def take(self, found: Found) -> None:
        if self.running is not None and found.text == self.text:
            self.found, self.store.older = found, found.calls

    def words(self, zone: tzinfo | None) -> list[str]:
        """How far back was looked."""
        if self.running is None:
            return []
        if self.found is None or self.found.back_to is None:
            return ["searching older calls"]
        at = time_of_day(self.found.back_to, zone)
        return [f"searched back to {at}" if self.found.done else f"searching, back to {at}"]
