"""The frame every view shares: header, status line, banner, table, detail, filter, keys."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Input

from . import banners, breakers, glyphs, spending
from .actions import FRAME, Action, bindings_of, shown_key
from .bar import Bar
from .draw import fit
from .extra import EXTRAS, Extra
from .figures import count_of, dollars, time_of_day
from .lines import Lines
from .rows import Column, Look, Row, fitted
from .store import Store
from .table import Table
from .watching import Watching, watching_of

ROOMY = 72
DETAIL_ROOM = (100, 30)
SHORTER = {f"{glyphs.RUNNING} ": glyphs.RUNNING, f"{glyphs.LOOK} ": glyphs.LOOK} | {
    " servers": " srv",
    " server": " srv",
}
SHORTEST = SHORTER | {" circuits": " circ", " circuit": " circ", " budgets": " bud"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A table's rows, the line above it, and what to say when there are none."""

    keys: Sequence[str]
    row_at: Callable[[int], Row]
    status: str
    empty: str
    rules: frozenset[str] = field(default_factory=frozenset[str])


class View(Screen[None]):
    """A view says its columns, contents, details, and what can be done in it: `do_NAME(key)` does
    the action NAME on the row with that key, "" when there is none. `DETAILS` are the panes of its
    detail, `which` the one that is shown. `READS` names the rows of `extra.EXTRAS` it needs."""

    NAME = ""
    FOLLOWS = False
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    DETAILS: ClassVar[tuple[str, ...]] = ("detail",)
    READS: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BINDINGS = bindings_of(cls.actions())
        super().__init_subclass__(**kwargs)

    @classmethod
    def actions(cls) -> tuple[Action, ...]:
        """Its own, then those of the frame; its own wins a key or a name both have."""
        names = {one.name for one in cls.ACTIONS}
        keys = {key for one in cls.ACTIONS for key in one.key.split(",")}
        shared = (
            one
            for one in FRAME
            if one.name not in names
            and not keys & set(one.key.split(","))
            and (one.name != "follow" or cls.FOLLOWS)
            and (one.name != "pane" or len(cls.DETAILS) > 1)
        )
        return (*cls.ACTIONS, *shared)

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self.which = self.DETAILS[0]

    @abstractmethod
    def columns_for(self, width: int) -> tuple[Column, ...]: ...

    @abstractmethod
    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents: ...

    @abstractmethod
    def detail(self, key: str, look: Look, width: int) -> list[str]: ...

    def head(self, look: Look, width: int, height: int) -> list[str]:
        """Lines above the table, for a screen of this size; none unless a view has some."""
        return []

    def reads(self) -> Mapping[str, Extra]:
        """What else to read while this view is on the screen. A view whose reads depend on what
        was chosen in it gives its own, and tells with `reads_changed`."""
        return {name: EXTRAS[name] for name in sorted(self.READS)}

    def reads_changed(self) -> None:
        if self.is_current:
            self.watching.want(self.reads())

    def may(self, action: Action, key: str) -> str:
        """Why an action cannot be done on this row now, or ""; a view may know more."""
        if action.steers and (refusal := self.watching.refuses_to_act()):
            return refusal
        return "nothing is selected" if action.needs_row and not key else ""

    @property
    def watching(self) -> Watching:
        return watching_of(self)

    @property
    def store(self) -> Store:
        return self.watching.store

    def compose(self) -> ComposeResult:
        ascii_only = self.watching.ascii_only
        yield Bar(id="bar", ascii_only=ascii_only)
        yield Lines(id="line", ascii_only=ascii_only)
        yield Lines(id="banner", ascii_only=ascii_only)
        yield Lines(id="head", ascii_only=ascii_only)
        yield Table(ascii_only=ascii_only)
        yield Lines(id="empty", ascii_only=ascii_only)
        yield Lines(id="pane", ascii_only=ascii_only)
        yield Lines(id="keys", ascii_only=ascii_only)

    def on_mount(self) -> None:
        self.set_class(self.watching.ascii_only, "ascii")
        self.query_one(Table).focus()

    def on_resize(self, event: events.Resize) -> None:
        small = event.size.width < DETAIL_ROOM[0] or event.size.height < DETAIL_ROOM[1]
        self.set_class(small, "small")
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        self.watching.want(self.reads())
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Bring everything on this screen up to date with the store."""
        if not self.is_attached or not self.query("#keys"):
            return
        look, width = self.watching.look(), self.size.width
        columns = fitted(self.columns_for(width), width)
        contents = self.contents(columns, look)
        stale = self._stale(look)
        self.query_one(Bar).show_tabs(self.NAME, self._right(stale, look), width)
        self.query_one("#line", Lines).show([self._status(contents, width)])
        self._show_banner(stale, look)
        self._show_head(look)
        self._show_empty(contents)
        self.query_one(Table).show(columns, contents.keys, contents.row_at, rules=contents.rules)
        self.query_one("#keys", Lines).show([self._keys(width)])
        self.show_detail(look)

    def show_detail(self, look: Look) -> None:
        if not self.has_class("detailed"):
            return
        pane = self.query_one("#pane", Lines)
        key = self.query_one(Table).cursor_key
        width = max(20, pane.size.width or self.size.width - 4)
        pane.show(self.detail(key, look, width) if key else ["nothing selected"])

    def _stale(self, look: Look) -> float | None:
        store = self.store
        looked_at = self.watching.looked_at()
        if store.paused_at is not None or store.seen_at is None:
            return None
        if not banners.is_stale(store.health, looked_at, look.now):
            return None
        return max(0.0, look.now - min(looked_at, store.seen_at))

    def _right(self, stale: float | None, look: Look) -> str:
        store, snapshot = self.store, self.store.snapshot
        alive = store.servers_alive(look.now)
        parts = [banners.header_mark(store.health, alive=alive, stale_s=stale)]
        if store.seen_at is not None:
            parts.append(f"{glyphs.RUNNING} {snapshot.running_count}")
            today = dollars(snapshot.totals.today_nano)
            parts.append(today if self.size.width < DETAIL_ROOM[0] else f"{today} today")
            parts += alarm_words(store, look)
        if self.size.width >= ROOMY:
            parts.append(time_of_day(look.now, look.zone))
        if self.size.width < DETAIL_ROOM[0]:
            words = SHORTER if self.size.width >= ROOMY else SHORTEST
            return " ".join(shortened(part, words) for part in parts)
        return "  ".join(parts)

    def _status(self, contents: Contents, width: int) -> str:
        store = self.store
        said = [f"filter: {self.filter_text or 'none'}"]
        if store.paused_at is not None:
            said.append(f"paused, +{store.missed} new")
        elif self.FOLLOWS:
            said.append("following" if self.query_one(Table).following else "f follows")
        if doing := self.watching.doing():
            return f" {doing}"
        left = f" {' · '.join(said)}"
        room = width - cell_len(left) - 3
        if store.seen_at is None or room < cell_len(contents.status) // 2:
            return left
        return f"{left}  {fit(contents.status, room, 'right')}"

    def _keys(self, width: int) -> str:
        """What fits, the view's own first; in parentheses what cannot be done now."""
        key = self.query_one(Table).cursor_key
        detailed = self.has_class("detailed")
        words = ["esc back", "j/k next"] if detailed else []
        for one in self.actions():
            if one.word and not (detailed and one.name == "detail"):
                word = f"{shown_key(one.key)} {one.word}"
                words.append(f"({word})" if self.may(one, key) else word)
        line = " "
        for word in words:
            if len(line) + len(word) + 2 <= width:
                line += f"{word}  "
        return line

    def _show_head(self, look: Look) -> None:
        head = self.query_one("#head", Lines)
        lines = [] if self.store.seen_at is None else self.head(look, *self.size)
        head.display = bool(lines)
        head.styles.height = max(1, len(lines))
        head.show(lines)

    def _show_banner(self, stale: float | None, look: Look) -> None:
        health = self.store.health
        said = banners.too_small(*self.size) or banners.banner(
            health,
            path=self.watching.home / "ledger.db",
            alive=self.store.servers_alive(look.now),
            stale_s=stale,
            now=look.now,
            zone=look.zone,
        )
        self.set_class(bool(said), "bannered")
        self.query_one("#banner", Lines).show([f" {said}"])

    def _show_empty(self, contents: Contents) -> None:
        self.set_class(not contents.keys, "bare")
        if contents.keys:
            return
        text = contents.empty
        if self.store.seen_at is None:
            path = self.watching.home / "ledger.db"
            text = banners.first_screen(self.store.health, path=path, origin=self.watching.origin)
        elif self.filter_text:
            text = f"\n  Nothing matches `{self.filter_text}` · esc clears"
        self.query_one("#empty", Lines).show(text.splitlines())

    def action_act(self, name: str) -> None:
        """Do one of the actions of this view, or say why not."""
        action = next(one for one in self.actions() if one.name == name)
        key = self.query_one(Table).cursor_key
        if refusal := self.may(action, key):
            self.watching.say(f"{action.title}: {refusal}", "warning")
            return
        getattr(self, f"do_{name}")(key)

    def do_down(self, key: str) -> None:
        self.query_one(Table).move(1)

    def do_up(self, key: str) -> None:
        self.query_one(Table).move(-1)

    def do_page_down(self, key: str) -> None:
        self.query_one(Table).page(1)

    def do_page_up(self, key: str) -> None:
        self.query_one(Table).page(-1)

    def do_first(self, key: str) -> None:
        self.query_one(Table).go_first()

    def do_last(self, key: str) -> None:
        self.query_one(Table).go_last()

    def do_follow(self, key: str) -> None:
        self.query_one(Table).follow()
        self.show()

    def do_pause(self, key: str) -> None:
        self.watching.pause()

    def do_help(self, key: str) -> None:
        self.watching.show_help()

    def do_commands(self, key: str) -> None:
        self.watching.action_command_palette()

    def do_quit(self, key: str) -> None:
        self.watching.exit()

    def do_pane(self, key: str) -> None:
        self.which = self.DETAILS[(self.DETAILS.index(self.which) + 1) % len(self.DETAILS)]
        self._detailed(True)

    def do_detail(self, key: str) -> None:
        self._detailed(not self.has_class("detailed"))

    def do_back(self, key: str) -> None:
        """One step: the filter line, then the detail, then the filter."""
        if self.query(Input):
            self._close_filter("")
        elif self.has_class("detailed"):
            self._detailed(False)
        elif self.filter_text:
            self._filter("")

    def do_copy(self, key: str) -> None:
        self.watching.copy_to_clipboard(key)
        self.watching.say(f"copied {key}")

    def do_filter(self, key: str) -> None:
        if not self.query(Input):
            line = Input(
                self.filter_text,
                placeholder="words, !not, provider:groq",
                id="filter",
                compact=True,
                select_on_focus=False,
            )
            line.cursor_blink = False
            self.mount(line, before="#keys")
            line.focus()

    @on(Input.Changed)
    def filter_typed(self, message: Input.Changed) -> None:
        self._filter(message.value)

    @on(Input.Submitted)
    def filter_entered(self, message: Input.Submitted) -> None:
        self._close_filter(message.value)

    @on(Table.Moved)
    def cursor_moved(self) -> None:
        self.show_detail(self.watching.look())

    @on(Table.Chosen)
    def row_chosen(self) -> None:
        self._detailed(True)

    def _detailed(self, wanted: bool) -> None:
        self.set_class(wanted, "detailed")
        if not wanted:
            self.query_one(Table).focus()
        self.call_after_refresh(self.show)

    def _filter(self, text: str) -> None:
        self.filter_text = text
        self.show()

    def _close_filter(self, text: str) -> None:
        self.query(Input).remove()
        self.query_one(Table).focus()
        self._filter(text)


def shortened(part: str, words: Mapping[str, str]) -> str:
    """The same in fewer cells, for the header of a narrow screen."""
    for long, short in words.items():
        part = part.replace(long, short)
    return part


def alarm_words(store: Store, look: Look) -> list[str]:
    """The worst thing only."""
    opened, held = breakers.alarms(store, look)
    urgent = spending.alarms(store.snapshot, look.now)
    if opened:
        return [f"{glyphs.LOOK} {count_of(opened, 'circuit')}"]
    if urgent:
        return [f"{glyphs.LOOK} {count_of(urgent, 'budget')}"]
    return [f"{glyphs.LOOK} {held} held"] if held else []
