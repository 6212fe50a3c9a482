"""The frame every view shares: header, status line, banner, table, detail, filter, keys."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from . import banners, breakers, glyphs, spending
from .bar import Bar
from .draw import fit
from .figures import count_of, dollars, time_of_day
from .lines import Lines
from .rows import Column, Look, Row, fitted
from .store import Store
from .table import Table
from .watching import Watching, watching_of

ROOMY = 72
DETAIL_ROOM = (100, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A table's rows, the line above it, and what to say when there are none."""

    keys: Sequence[str]
    row_at: Callable[[int], Row]
    status: str
    empty: str
    rules: frozenset[str] = field(default_factory=frozenset[str])


class View(Screen[None]):
    NAME = ""
    FOLLOWS = False
    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("g,home", "first", "First", show=False),
        Binding("G,end", "last", "Last", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("enter", "detail", "Detail", show=False),
        Binding("escape", "back", "Back", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("f", "follow", "Follow", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""

    @abstractmethod
    def columns_for(self, width: int) -> tuple[Column, ...]: ...

    @abstractmethod
    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents: ...

    @abstractmethod
    def detail(self, key: str, look: Look, width: int) -> list[str]: ...

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
        self.query_one("#keys", Lines).show([self._keys(width)])
        self._show_banner(stale, look)
        self._show_empty(contents)
        self.query_one(Table).show(columns, contents.keys, contents.row_at, rules=contents.rules)
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
            parts.append(today if self.size.width < ROOMY else f"{today} today")
            parts += alarm_words(store, look)
        if self.size.width >= ROOMY:
            parts.append(time_of_day(look.now, look.zone))
        return "  ".join(parts)

    def _status(self, contents: Contents, width: int) -> str:
        store = self.store
        said = [f"filter: {self.filter_text or 'none'}"]
        if store.paused_at is not None:
            said.append(f"paused, +{store.missed} new")
        elif self.FOLLOWS:
            said.append("following" if self.query_one(Table).following else "f follows")
        left = f" {' · '.join(said)}"
        room = width - cell_len(left) - 3
        if store.seen_at is None or room < cell_len(contents.status) // 2:
            return left
        return f"{left}  {fit(contents.status, room, 'right')}"

    def _keys(self, width: int) -> str:
        """What fits, the most useful first."""
        first = "esc back  j/k next" if self.has_class("detailed") else "enter detail"
        more = ["f follow"] if self.FOLLOWS else []
        keys = [first, "/ filter", "? help", "q quit", "space pause", ": commands", "y copy", *more]
        line = " "
        for key in keys:
            if len(line) + len(key) + 2 <= width:
                line += f"{key}  "
        return line

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

    def action_move(self, by: int) -> None:
        self.query_one(Table).move(by)

    def action_page(self, by: int) -> None:
        self.query_one(Table).page(by)

    def action_first(self) -> None:
        self.query_one(Table).go_first()

    def action_last(self) -> None:
        self.query_one(Table).go_last()

    def action_follow(self) -> None:
        self.query_one(Table).follow()
        self.show()

    def action_detail(self) -> None:
        self._detailed(not self.has_class("detailed"))

    def action_back(self) -> None:
        """One step: the filter line, then the detail, then the filter."""
        if self.query(Input):
            self._close_filter("")
        elif self.has_class("detailed"):
            self._detailed(False)
        elif self.filter_text:
            self._filter("")

    def action_copy(self) -> None:
        if key := self.query_one(Table).cursor_key:
            self.watching.copy_to_clipboard(key)
            self.notify(f"copied {key}", markup=False, timeout=2)

    def action_filter(self) -> None:
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


def alarm_words(store: Store, look: Look) -> list[str]:
    """The worst thing only."""
    opened, held = breakers.alarms(store, look)
    urgent = spending.alarms(store.snapshot, look.now)
    if opened:
        return [f"{glyphs.LOOK} {count_of(opened, 'circuit')}"]
    if urgent:
        return [f"{glyphs.LOOK} {count_of(urgent, 'budget')}"]
    return [f"{glyphs.LOOK} {held} held"] if held else []
