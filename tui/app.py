"""The terminal interface: one feed, one store, a screen per view."""

import gc
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.timer import Timer

from .actions import Action
from .bar import TABS
from .clean import clean
from .extra import Extra
from .feed import Feed
from .figures import midnight
from .filter_line import FilterLine, KeysPassed
from .keymap import keymap
from .messages import Acted, Copied, LedgerRead, Searched
from .options import POLLS, Options, load
from .reader import Batch, Reader
from .rows import Look
from .search import Found
from .searches import Searches
from .sheet import Sheet
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


def view_class(mode: str) -> type[View]:
    module, name = VIEWS[mode]
    return getattr(import_module(f"..{module}", __name__), name)


def made(mode: str) -> Screen[Any]:
    return view_class(mode)()


def commands() -> type[Provider]:
    from .palette import Commands  # not before it is needed: the first screen is awaited

    return Commands


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
    COMMANDS = {commands}  # noqa: RUF012

    def __init__(
        self,
        home: Path,
        *,
        ascii_only: bool = False,
        read_only: bool = False,
        options: Options | None = None,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.home = home
        options = options or Options()
        self.options = options
        self.problems = list(options.problems)
        self._dress()
        self.ascii_only = ascii_only or options.ascii
        self.read_only = self.started_read_only = read_only or options.read_only
        self.clock = clock
        self.zone = zone
        self.origin = "ROUNDHOUSE_HOME" if "ROUNDHOUSE_HOME" in os.environ else "the default place"
        self.animation_level = "none"
        self.store = Store()
        reader = Reader(home, clock=clock, day_began=partial(midnight, zone=zone), hasty=True)
        self.feed = Feed(reader, self._tell)
        self._shown_at = 0.0
        self._acts: dict[int, str] = {}
        self._acted = 0
        self._said = ("", 0.0)
        self.columns = dict(options.columns)
        self.filters = options.filters
        self.keymap: Mapping[str, str] = {}
        self.settle: Callable[[], None] = lambda: None
        self._search_timer: Timer | None = None
        self.searches = Searches(home / "ledger.db", self.store, self._tell_found)

    def on_mount(self) -> None:
        self._bind()
        self.feed.look_s = POLLS[self.options.poll]
        self.feed.start()
        self.set_interval(TICK_S, self._tick)

    def _dress(self) -> None:
        """In its colours from the start: the style sheet is parsed for them once."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.set_reactive(App.theme, self._wanted_theme())  # pyright: ignore[reportUnknownMemberType]
        self.stylesheet = Sheet(self.get_css_variables())

    def _wanted_theme(self) -> str:
        wanted = self.options.theme or DARK.name
        if wanted in self.available_themes:
            return wanted
        near = get_close_matches(wanted, list(self.available_themes), n=1) or [DARK.name]
        self.problems.append(clean(f"[tui] theme: {wanted!r} is not known; nearest: {near[0]}"))
        return DARK.name

    def _bind(self) -> None:
        """The user's own keys. Every view is looked at for what a key may collide with."""
        if not self.options.keys:
            return
        tabs = [Action(name=name, key=key, title=title) for name, key, title, _ in TABS]
        views = {name: (*view_class(name).actions(), *tabs) for name in VIEWS}
        found = keymap(self.options.keys, views)
        self.keymap = found.keys
        self.problems += map(clean, found.problems)
        self.set_keymap(dict(found.keys))

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
        self.notify(clean(text), severity=severity, markup=False)
        self.tell(text)

    def tell(self, text: str) -> None:
        """The status line, for a moment."""
        self._said = (clean(text), time.monotonic() + SAID_S)
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
        if outcome.state == "done":  # the line says it; a notification would hide numbers
            self.tell(f"done: {outcome.said}")
        else:
            self.say(f"{message.what}: {outcome.state}: {outcome.said}", SAID[outcome.state])
        if message.then is not None:
            message.then(outcome)

    def complaint(self) -> str:
        """What the banner says when nothing graver is to be said."""
        if self.problems:
            more = f" · and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
            return f"! {self.problems[0]}{more}"
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

    async def on_event(self, event: events.Event) -> None:
        """A key that was on its way to the table when the filter line opened belongs to it."""
        if isinstance(event, events.Key) and event.is_forwarded:
            line = self.screen.focused
            if isinstance(line, FilterLine) and not line.has_had(event):
                line.heard_before(event)
                return
        await super().on_event(event)

    @on(KeysPassed)
    def keys_passed(self) -> None:
        for line in self.screen.query(FilterLine):
            line.begin()

    @on(LedgerRead)
    def ledger_read(self, message: LedgerRead) -> None:
        self.store.apply(message.batch)
        self._show()
        if self.store.changes == 1:
            self.call_after_refresh(self.settle)

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

    def action_command_palette(self) -> None:
        from .palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def go(self, mode: str, key: str = "", *, filter_text: str = "") -> None:
        """Show a view, "" for the one that is shown, with the cursor on a row or a filter."""
        if mode:
            self.switch_mode(mode)

        def arrive() -> None:
            view = self.screen
            if not isinstance(view, View):
                return
            if filter_text:
                view.filter(filter_text)
            if key:
                view.select(key)

        self.call_after_refresh(arrive)

    def themes(self) -> Iterable[str]:
        return self.available_themes

    def wear(self, theme: str) -> None:
        self.theme = theme

    def poll(self, every: str) -> None:
        self.feed.look_s = POLLS[every]
        self.say(f"looking every {every}")

    def switch_read_only(self) -> None:
        if self.read_only and self.started_read_only:
            self.say("started read-only: it stays so until you start it again", "warning")
            return
        self.read_only = not self.read_only
        self.say(READ_ONLY if self.read_only else "actions are on")

    def _tell_found(self, found: Found) -> None:
        self.post_message(Searched(found))

    def _tell(self, batch: Batch) -> None:
        self.post_message(LedgerRead(batch))

    def _tick(self) -> None:
        """Twice a second while calls run, else once: their times go on, and so does the clock.
        Not when the feed has just brought something."""
        every = 1 if self.store.snapshot.running else 2
        if time.monotonic() - self._shown_at > (every - 0.5) * TICK_S:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
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
    options = load(home / "config.toml", os.environ)
    app = WatchApp(home, ascii_only=ascii, read_only=read_only, options=options)
    app.settle = settle
    app.run(mouse=mouse and options.mouse)


def settle() -> None:
    """What the imports made stays; the command line switched collection off for them."""
    gc.freeze()
    gc.enable()
