"""A table that draws only the lines that are visible, and repaints only those that changed.

It is told: `show` gives it the keys of all rows and a function that makes one row. A row is
finished text, so the row itself is the key under which its painted line is remembered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .contents import Sorting
from .draw import fit
from .glyphs import in_ascii
from .rows import Column, Row

CURSOR = ">"
NO_ROW = Row(key="")
STRIPS = 160  # the lines of a few screens; a strip is dear in memory


class Table(ScrollView, can_focus=True, inherit_bindings=False):
    COMPONENT_CLASSES = {  # noqa: RUF012
        "table--header",
        "table--cursor",
        "table--ok",
        "table--warn",
        "table--err",
        "table--busy",
        "table--dim",
    }

    @dataclass
    class Moved(Message):
        """The cursor is on another row; "" when there is none."""

        key: str

    @dataclass
    class Chosen(Message):
        """The row under the cursor was clicked again."""

        key: str

    @dataclass
    class TitleHit(Message):
        """The title of a column was clicked; `column` is its key."""

        column: str

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        self.columns: tuple[Column, ...] = ()
        self.keys: Sequence[str] = ()
        self.rules: frozenset[str] = frozenset()
        self.sorting: Sorting | None = None
        self.row_at: Callable[[int], Row] = lambda index: NO_ROW
        self.cursor = 0
        self.following = True
        self.cursor_key = ""
        self._worn: Style | None = None
        self._painted: list[tuple[Row, bool]] = []
        self._strips: LRUCache[tuple[Row, int, bool], Strip] = LRUCache(STRIPS)

    def show(
        self,
        columns: tuple[Column, ...],
        keys: Sequence[str],
        row_at: Callable[[int], Row],
        *,
        rules: frozenset[str] = frozenset(),
        sorting: Sorting | None = None,
    ) -> None:
        """New contents. A following table stays at the top; else the cursor stays on its row and
        the row where it is on the screen. `rules` are keys the cursor passes over."""
        relaid = columns != self.columns or sorting != self.sorting
        self.sorting = sorting
        self.columns, self.keys, self.row_at, self.rules = columns, keys, row_at, rules
        if relaid:
            self._lay_out()
        self.virtual_size = Size(self.size.width, len(keys) + 1)
        before = self.cursor
        if not self.following and self.cursor_key in keys:
            self.cursor = keys.index(self.cursor_key)
            if self.cursor != before and self.scroll_offset.y:
                self.scroll_to(y=self.scroll_offset.y + self.cursor - before, animate=False)
        else:
            self.cursor = 0 if self.following else min(before, max(0, len(keys) - 1))
        self._settle(1)
        self._repaint()

    def move(self, by: int) -> None:
        """Leaving the top stops following."""
        self._go(self.cursor + by, 1 if by > 0 else -1)

    def page(self, by: int) -> None:
        self.move(by * max(1, self.size.height - 2))

    def go_first(self) -> None:
        self._go(0, 1)

    def go_last(self) -> None:
        self._go(len(self.keys) - 1, -1)

    def select(self, key: str) -> None:
        if key in self.keys:
            self._go(self.keys.index(key), 1)

    def follow(self) -> None:
        self.go_first()
        self.following = True

    def _go(self, index: int, direction: int) -> None:
        self.cursor = max(0, min(len(self.keys) - 1, index))
        self._settle(direction)
        self.following = self.cursor == 0
        room = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + room:
            self.scroll_to(y=self.cursor - room + 1, animate=False)
        self._repaint()

    def _settle(self, direction: int) -> None:
        """Off a rule, and tell where the cursor is now."""
        for step in (direction, -direction):
            at = self.cursor
            while 0 <= at < len(self.keys) and self.keys[at] in self.rules:
                at += step
            if 0 <= at < len(self.keys):
                self.cursor = at
                break
        key = self.keys[self.cursor] if self.cursor < len(self.keys) else ""
        if key != self.cursor_key:
            self.cursor_key = key
            self.post_message(self.Moved(key))

    def _lay_out(self) -> None:
        self._painted.clear()
        self._strips.clear()
        self.refresh()

    def _visible(self) -> list[tuple[Row, bool]]:
        top = self.scroll_offset.y
        last = min(len(self.keys), top + max(0, self.size.height - 1))
        return [(self.row_at(index), index == self.cursor) for index in range(top, last)]

    def _repaint(self) -> None:
        """Only the lines that differ from what was painted last."""
        visible, painted = self._visible(), self._painted
        self._painted = visible
        for line in range(max(len(visible), len(painted))):
            if visible[line : line + 1] != painted[line : line + 1]:
                self.refresh(Region(0, line + 1, self.size.width, 1))

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._worn = None
        self._strips.clear()
        self._painted.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._painted = self._visible()

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._hit_title(event.x)
            return
        index = self.scroll_offset.y + event.y - 1
        if event.y < 1 or index >= len(self.keys) or self.keys[index] in self.rules:
            return
        if index == self.cursor:
            self.post_message(self.Chosen(self.keys[index]))
        else:
            self._go(index, 1)

    def _hit_title(self, x: int) -> None:
        begin = 1
        for column in self.columns:
            if begin <= x < begin + column.width + 1:
                self.post_message(self.TitleHit(column.key))
            begin += column.width + 1

    def _titles(self) -> Strip:
        """The column it is sorted by has an arrow and is in reverse."""
        style = self.get_component_rich_style("table--header")
        titles = [column.title for column in self.columns]
        styles = [style] * len(titles)
        for index, column in enumerate(self.columns):
            if self.sorting is not None and column.key == self.sorting.column:
                room = column.width - 1
                titles[index] = f"{titles[index][:room]}{'↓' if self.sorting.reverse else '↑'}"
                styles[index] = style + Style(reverse=True)
        return self._strip(" ", tuple(titles), styles, style)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self._titles()
        index = self.scroll_offset.y + y - 1
        if index >= len(self.keys):
            return Strip.blank(width, self.rich_style)
        row, selected = self._row(y - 1, index)
        strip = self._strips.get((row, width, selected))
        if strip is None:
            strip = self._row_strip(row, selected=selected)
            self._strips[row, width, selected] = strip
        return strip

    def _base(self) -> Style:
        """What most cells wear; looked up again when the styles change."""
        if self._worn is None:
            self._worn = self.rich_style
        return self._worn

    def _row(self, line: int, index: int) -> tuple[Row, bool]:
        """What is painted there, or is to be: whether the cursor is on it."""
        if line < len(self._painted):
            return self._painted[line]
        return self.row_at(index), index == self.cursor

    def _row_strip(self, row: Row, *, selected: bool) -> Strip:
        width = self.size.width
        if row.rule:
            style = self.get_component_rich_style("table--dim")
            text = fit(f" {row.rule} ".rjust(len(row.rule) + 4, "─").ljust(width, "─"), width)
            return Strip([Segment(self._plain(text), style)], width)
        base = self.get_component_rich_style("table--cursor") if selected else self._base()
        styles = [
            base + self.get_component_rich_style(f"table--{tone}", partial=True) if tone else base
            for tone in row.tones
        ]
        return self._strip(CURSOR if selected else " ", row.cells, styles, base)

    def _strip(self, lead: str, cells: tuple[str, ...], styles: list[Style], base: Style) -> Strip:
        """Neighbours in the same style are one segment."""
        segments: list[Segment] = []
        text, worn, used = lead, base, 1
        for column, cell, style in zip(self.columns, cells, styles, strict=True):
            if style != worn:
                segments.append(Segment(text, worn))
                text, worn = "", style
            text += self._plain(fit(cell, column.width, column.align))
            if worn != base:
                segments.append(Segment(text, worn))
                text, worn = "", base
            text += " "
            used += column.width + 1
        width = self.size.width
        if used == width + 1:  # the cell after the last column
            text, used = text[:-1], width
        segments.append(Segment(text + " " * (width - used), worn))
        strip = Strip(segments, max(used, width))
        return strip.crop(0, width) if used > width else strip

    def _plain(self, text: str) -> str:
        return in_ascii(text) if self.ascii_only else text
