"""The terminal interface: one feed, one store, a screen per view."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer

from .acting import Acted
from .bar import TABS
from .clean import clean
from .extra import Extra
from .feed import Feed
from .figures import midnight
from .messages import Copied, LedgerRead, Searched
from .reader import Batch, Reader
from .rows import Look
from .search import Found
from .searches import Searches
from .store import Store
from .theme import DARK, LIGHT
from .view import View
from .watching import Severity

TICK_S = 0.5
TYPING_S = 0.15
SAID_S = 6.0
VIEWS = {  # mode -> (module, class); a view is imported when it is first shown
    "live": ("live", "LiveView"),
    "budgets": ("budgets", "BudgetsView"),
    "circuits": ("circuits", "CircuitsView"),
    "providers": ("providers", "ProvidersView"),
    "cost": ("cost", "CostView"),
    "servers": ("servers", "ServersView"),
}
READ_ONLY = "actions are off: read-only"
READ_ONLY_BANNER = "i read-only: actions are off"
SAID: dict[str, Severity] = {"done": "information", "failed": "error", "no answer": "warning"}


def made(mode: str) -> Screen[Any]:
    module, name = VIEWS[mode]
    return getattr(import_module(f"..{module}", __name__), name)()


class WatchApp(App[None]):
    TITLE = "Roundhouse"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: partial(made, mode) for mode in VIEWS
    }
    DEFAULT_MODE = "live"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"switch_mode('{name}')", title, show=False, id=name)
        for name, key, title, _ in TABS
    ]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        home: Path,
        *,
        ascii_only: bool = False,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.home = home
        self.ascii_only = ascii_only
        self.read_only = read_only
        self.clock = clock
        self.zone = zone
        self.origin = "ROUNDHOUSE_HOME" if "ROUNDHOUSE_HOME" in os.environ else "the default place"
        self.animation_level = "none"
        self.store = Store()
        reader = Reader(home, clock=clock, day_began=partial(midnight, zone=zone))
        self.feed = Feed(reader, self._tell)
        self._ticks = 0
        self._acts: dict[int, str] = {}
        self._acted = 0
        self._said = ("", 0.0)
        self.columns: dict[str, tuple[str, ...]] = {}
        self.keymap: Mapping[str, str] = {}
        self._search_timer: Timer | None = None
        self.searches = Searches(home / "ledger.db", self.store, self._tell_found)

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.feed.start()
        self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        self.searches.stop()
        self.feed.close()

    def look(self) -> Look:
        paused_at = self.store.paused_at
        return Look(self.clock() if paused_at is None else paused_at, self.zone)

    def looked_at(self) -> float:
        return self.feed.looked_at

    def watch_call(self, call_id: str | None) -> None:
        self.feed.select(call_id)

    def want(self, extras: Mapping[str, Extra]) -> None:
        self.feed.want(extras)

    def say(self, text: str, severity: Severity = "information") -> None:
        """A notification, and the status line for a moment. The text is never markup."""
        text = clean(text)
        self._said = (text, time.monotonic() + SAID_S)
        self.notify(text, severity=severity, markup=False)
        self._show()

    def refuses_to_act(self) -> str:
        """Why nothing may be changed from here, or ""."""
        if self.read_only:
            return READ_ONLY
        state = self.store.health.state
        if state == "newer":
            return "actions are off: the ledger is of a newer version"
        if state in ("older", "missing", "not_database"):
            return "actions are off: there is no ledger a server of this version uses"
        return ""

    def begin_act(self, what: str) -> int:
        self._acted += 1
        self._acts[self._acted] = what
        self._show()
        return self._acted

    def doing(self) -> str:
        """What was asked and is not answered yet, else what was said last."""
        if self._acts:
            return f"{next(reversed(self._acts.values()))}: asked, no answer yet"
        said, until = self._said
        return said if time.monotonic() < until else ""

    @on(Acted)
    def act_ended(self, message: Acted) -> None:
        self._acts.pop(message.number, None)
        outcome = message.outcome
        self.say(f"{message.what}: {outcome.state}: {outcome.said}", SAID[outcome.state])
        if message.then is not None:
            message.then(outcome)

    def complaint(self) -> str:
        """What the banner says when nothing graver is to be said."""
        return READ_ONLY_BANNER if self.read_only else ""

    def search(self, text: str) -> None:
        """Look for older calls too, once the typing pauses."""
        self.searches.begin(text)
        if self._search_timer is not None:
            self._search_timer.stop()
        self._search_timer = self.set_timer(TYPING_S, lambda: self.searches.start(self.look().now))

    def search_words(self) -> list[str]:
        return self.searches.words(self.zone)

    @on(Searched)
    def found_older(self, message: Searched) -> None:
        self.searches.take(message.found)
        self._show()

    @on(Copied)
    def was_copied(self, message: Copied) -> None:
        self.say(message.said)

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

    def pause(self) -> None:
        if self.store.paused_at is None:
            self.store.pause(self.clock())
        else:
            self.store.resume()
        self._show()

    def show_help(self) -> None:
        from .help import HelpScreen

        self.push_screen(HelpScreen())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for name, key, title, _ in TABS:
            yield SystemCommand(f"Go to {title}", f"key {key}", partial(self.switch_mode, name))
        yield SystemCommand("Pause or go on", "key space", self.pause)
        yield SystemCommand("Help", "key ?", self.show_help)
        yield SystemCommand("Theme", "Choose colours", self.search_themes)
        yield SystemCommand("Quit", "key q", self.exit)

    def _tell_found(self, found: Found) -> None:
        self.post_message(Searched(found))

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


def run(
    home: Path,
    *,
    ascii: bool = False,  # noqa: A002
    mouse: bool = True,
    read_only: bool = False,
) -> None:
    """Watch the ledger of this home until the user quits."""
    WatchApp(home, ascii_only=ascii, read_only=read_only).run(mouse=mouse)
