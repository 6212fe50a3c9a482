"""The terminal interface: one feed, one store, a screen per view."""

import os
import time
from collections.abc import Callable, Iterable
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from .bar import TABS
from .budgets import BudgetsView
from .circuits import CircuitsView
from .feed import Feed
from .figures import midnight
from .help import HelpScreen
from .live import LiveView
from .messages import LedgerRead
from .reader import Batch, Reader
from .rows import Look
from .store import Store
from .theme import DARK, LIGHT
from .view import View

TICK_S = 0.5


class WatchApp(App[None]):
    TITLE = "Roundhouse"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        "live": LiveView,
        "budgets": BudgetsView,
        "circuits": CircuitsView,
    }
    DEFAULT_MODE = "live"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"switch_mode('{name}')", title, show=False)
            for name, key, title, _ in TABS
        ),
        Binding("space", "pause", "Pause", show=False),
        Binding("colon", "command_palette", "Commands", show=False),
        Binding("question_mark", "help", "Help", show=False),
        Binding("q", "quit", "Quit", show=False),
    ]

    def __init__(
        self,
        home: Path,
        *,
        ascii_only: bool = False,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.home = home
        self.ascii_only = ascii_only
        self.clock = clock
        self.zone = zone
        self.origin = "ROUNDHOUSE_HOME" if "ROUNDHOUSE_HOME" in os.environ else "the default place"
        self.animation_level = "none"
        self.store = Store()
        reader = Reader(home, clock=clock, day_began=partial(midnight, zone=zone))
        self.feed = Feed(reader, self._tell)
        self._ticks = 0

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.feed.start()
        self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        self.feed.close()

    def look(self) -> Look:
        paused_at = self.store.paused_at
        return Look(self.clock() if paused_at is None else paused_at, self.zone)

    def looked_at(self) -> float:
        return self.feed.looked_at

    def watch_call(self, call_id: str | None) -> None:
        self.feed.select(call_id)

    @on(LedgerRead)
    def ledger_read(self, message: LedgerRead) -> None:
        self.store.apply(message.batch)
        self._show()

    @on(events.AppBlur)
    def look_seldom(self) -> None:
        self.feed.blurred = True

    @on(events.AppFocus)
    def look_often(self) -> None:
        self.feed.blurred = False

    def action_pause(self) -> None:
        if self.store.paused_at is None:
            self.store.pause(self.clock())
        else:
            self.store.resume()
        self._show()

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for name, key, title, _ in TABS:
            yield SystemCommand(f"Go to {title}", f"key {key}", partial(self.switch_mode, name))
        yield SystemCommand("Pause or go on", "key space", self.action_pause)
        yield SystemCommand("Help", "key ?", self.action_help)
        yield SystemCommand("Theme", "Choose colours", self.search_themes)
        yield SystemCommand("Quit", "key q", self.exit)

    def _tell(self, batch: Batch) -> None:
        self.post_message(LedgerRead(batch))

    def _tick(self) -> None:
        """Twice a second while calls run, else once: their times go on, and so does the clock."""
        self._ticks += 1
        if self._ticks % 2 == 0 or self.store.snapshot.running:
            self._show()

    def _show(self) -> None:
        if isinstance(self.screen, View):
            self.screen.show()


def run(home: Path, *, ascii: bool = False, mouse: bool = True) -> None:  # noqa: A002
    """Watch the ledger of this home until the user quits."""
    WatchApp(home, ascii_only=ascii).run(mouse=mouse)
