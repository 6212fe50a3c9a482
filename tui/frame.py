"""The frame every view shares, drawn: header, status line, banner, table, detail, footer."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from . import banners, glyphs, header
from .actions import FRAME, Action, bindings_of, footer
from .bar import Bar
from .contents import Arranger, Contents, chosen
from .draw import fit
from .extra import EXTRAS, Extra
from .lines import Lines
from .rows import Column, Look, fitted
from .sieve import Sieve, nearest, sieve
from .store import Store
from .table import Table
from .watching import Watching, watching_of

TOLD_S = 1.0  # all rows are counted for it
DETAIL_ROOM = (100, 30)
EVERY_COLUMN = 10_000  # a width at which a view shows all it has


class Frame(Screen[None]):
    """A view says its columns, contents and details. `DETAILS` are the panes of its detail,
    `which` the one that is shown. `READS` names the rows of `extra.EXTRAS` it needs."""

    NAME = ""
    FOLLOWS = False
    SEARCHES = False  # its rows go back further than what is in memory
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
        self.arranger = Arranger()
        self.shown: tuple[tuple[Column, ...], Contents | None] = ((), None)
        self.which = self.DETAILS[0]
        self._told = ("", 0.0, "")  # for which filter, when, and what

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
        narrow, short = event.size.width < DETAIL_ROOM[0], event.size.height < DETAIL_ROOM[1]
        self.set_class(narrow, "-narrow")
        self.set_class(short, "-short")
        self.set_class(narrow or short, "small")
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        self.watching.want(self.reads())
        self.call_after_refresh(self.show)

    def columns(self, width: int) -> tuple[Column, ...]:
        """Those its user chose, else those the view picks, filling the width."""
        wanted = self.watching.columns.get(self.NAME)
        every = self.columns_for(EVERY_COLUMN) if wanted is not None else ()
        return fitted(chosen(self.columns_for(width), every, wanted, width), width)

    @property
    def cursor_key(self) -> str:
        """The key of the row under the cursor, "" when there is none."""
        return self.query_one(Table).cursor_key

    def select(self, key: str) -> None:
        """Put the cursor on this row, if it is there."""
        self.show()
        self.query_one(Table).select(key)

    def kept(self, look: Look) -> Sieve:
        return sieve(self.filter_text, look.now)

    def show(self) -> None:
        """Bring everything on this screen up to date with the store."""
        if not self.is_attached or not self.query("#keys"):
            return
        look, width = self.watching.look(), self.size.width
        columns = self.columns(width)
        contents = self.arranger.arranged(self.contents(columns, look), columns, self.filter_text)
        self.shown = columns, contents
        stale = header.stale_s(self.store, self.watching.looked_at(), look)
        right = header.right_end(self.store, stale, look, width)
        self.query_one(Bar).show_tabs(self.NAME, right, width)
        self.query_one("#line", Lines).show([self._status(contents, look, width)])
        self._show_banner(stale, look)
        self._show_head(look)
        self._show_empty(contents, look)
        self.query_one(Table).show(
            columns,
            contents.keys,
            contents.row_at,
            rules=contents.rules,
            sorting=self.arranger.sorting,
        )
        self.query_one("#keys", Lines).show([self._keys(width)])
        self.show_detail(look)

    def show_detail(self, look: Look) -> None:
        if not self.has_class("detailed"):
            return
        pane = self.query_one("#pane", Lines)
        key = self.query_one(Table).cursor_key
        width = max(20, pane.size.width or self.size.width - 4)
        pane.show(self.detail(key, look, width) if key else ["nothing selected"])

    def _status(self, contents: Contents, look: Look, width: int) -> str:
        if doing := self.watching.doing():
            return f" {doing}"
        left = f" {' · '.join(self._said(look))}"
        room = width - cell_len(left) - 3
        if self.store.seen_at is None or room < cell_len(contents.status) // 2:
            return left
        return f"{left}  {fit(contents.status, room, 'right')}"

    def _said(self, look: Look) -> list[str]:
        """How this view is being looked at, the gravest first."""
        said = [f"filter: {self.filter_text or 'none'}", *self.kept(look).problems]
        if self.SEARCHES and self.filter_text:
            said += self.watching.search_words()
        if self.arranger.sorting is not None:
            said.append(f"sorted by {self._sorted_title()}")
        if self.store.paused_at is not None:
            said.append(f"paused, +{self.store.missed} new")
        elif self.FOLLOWS:
            said.append("following" if self.query_one(Table).following else "f follows")
        return said

    def _sorted_title(self) -> str:
        sorting = self.arranger.sorting
        assert sorting is not None
        columns = self.columns_for(EVERY_COLUMN)
        title = next((c.title for c in columns if c.key == sorting.column), sorting.column)
        return f"{title.split(glyphs.CAME_FROM)[0].strip()} {'↓' if sorting.reverse else '↑'}"

    def _keys(self, width: int) -> str:
        key = self.query_one(Table).cursor_key
        actions = [(one, self.may(one, key)) for one in self.actions()]
        return footer(actions, self.watching.keymap, width, detailed=self.has_class("detailed"))

    def _show_head(self, look: Look) -> None:
        head = self.query_one("#head", Lines)
        lines = [] if self.store.seen_at is None else self.head(look, *self.size)
        head.display = bool(lines)
        head.styles.height = max(1, len(lines))
        head.show(lines)

    def _show_banner(self, stale: float | None, look: Look) -> None:
        said = banners.too_small(*self.size) or banners.banner(
            self.store.health,
            path=self.watching.home / "ledger.db",
            alive=self.store.servers_alive(look.now),
            stale_s=stale,
            now=look.now,
            zone=look.zone,
        )
        said = said or self.watching.complaint()
        self.set_class(bool(said), "bannered")
        self.query_one("#banner", Lines).show([f" {said}"])

    def _show_empty(self, contents: Contents, look: Look) -> None:
        self.set_class(not contents.keys, "bare")
        if contents.keys:
            return
        text = contents.empty
        if self.store.seen_at is None:
            path = self.watching.home / "ledger.db"
            text = banners.first_screen(self.store.health, path=path, origin=self.watching.origin)
        elif self.filter_text:
            text = f"\n  {self._nothing(contents, look)} · esc clears"
        self.query_one("#empty", Lines).show(text.splitlines())

    def _nothing(self, contents: Contents, look: Look) -> str:
        """That nothing matches the filter, of how many, and what comes near."""
        if contents.fields is None:
            return f"Nothing matches `{self.filter_text}`"
        text, at, said = self._told
        if text != self.filter_text or look.now - at >= TOLD_S:
            rows = list(contents.fields())
            near = nearest(self.kept(look), rows)
            said = f"0 of {len(rows):,} match `{self.filter_text}`"
            said = f"{said} · nearest: {near}" if near else said
            self._told = self.filter_text, look.now, said
        return said
