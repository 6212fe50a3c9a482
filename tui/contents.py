"""What a view has in its table, in the order and the columns its user wants."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .rows import Column, Row
from .sieve import Fields

RESORT_S = 1.0  # a sorted table of moving numbers keeps still for this long
SIZE = re.compile(r"[~<≈$\s]*(-?\d[\d,]*(?:\.\d+)?)\s?(k|M|ms|%|)")
SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
SPAN_S = (86_400.0, 3600.0, 60.0, 1.0)
SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "ms": 1e-3, "%": 1.0}
BLANK = frozenset(["", "—", "–", "?", "never", "none"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A table's rows, the line above it, and what to say when there are none. `rules` are rows
    that are lines across the table. `fields` gives all rows as the filter sees them, kept or not:
    to count them and to name what comes near. `record_at` gives a row with exact values, for
    export and copies; without it they take the cells."""

    keys: Sequence[str]
    row_at: Callable[[int], Row]
    status: str
    empty: str
    rules: frozenset[str] = field(default_factory=frozenset[str])
    fields: Callable[[], Iterable[Fields]] | None = None
    record_at: Callable[[int], Mapping[str, object]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """By the column with this key."""

    column: str
    reverse: bool = False


def first_way(column: Column) -> Sorting:
    """Numbers begin with the largest, words with A."""
    return Sorting(column=column.key, reverse=column.align == "right")


class Arranger:
    """Sorts rows by what they say. The order holds for a second, new rows come first meanwhile."""

    def __init__(self) -> None:
        self.sorting: Sorting | None = None
        self._order: dict[str, int] = {}
        self._sorted_for: tuple[Sorting, str] | None = None
        self._sorted_at = 0.0

    def arranged(self, contents: Contents, columns: Sequence[Column], filter_text: str) -> Contents:
        sorting = self.sorting
        keys = [column.key for column in columns]
        if sorting is None or sorting.column not in keys or not contents.keys:
            return contents
        places = {
            key: index for index, key in enumerate(contents.keys) if key not in contents.rules
        }
        due = time.monotonic() - self._sorted_at >= RESORT_S
        if due or self._sorted_for != (sorting, filter_text):
            cell = keys.index(sorting.column)
            texts = {key: contents.row_at(at).cells[cell] for key, at in places.items()}
            ordered = in_order(texts, reverse=sorting.reverse)
            self._order = {key: at for at, key in enumerate(ordered)}
            self._sorted_for, self._sorted_at = (sorting, filter_text), time.monotonic()
        return moved(contents, sorted(places, key=lambda key: self._order.get(key, -1)), places)

    def turn(self, columns: Sequence[Column], key: str) -> None:
        """Sort by this column; if it is so already the other way round, then not at all."""
        column = next(column for column in columns if column.key == key)
        first = first_way(column)
        if self.sorting == first:
            self.sorting = replace(first, reverse=not first.reverse)
        elif self.sorting is not None and self.sorting.column == key:
            self.sorting = None
        else:
            self.sorting = first

    def turn_round(self, columns: Sequence[Column]) -> None:
        """The other way round, beginning with the first column."""
        if self.sorting is None and columns:
            self.sorting = first_way(columns[0])
        if self.sorting is not None:
            self.sorting = replace(self.sorting, reverse=not self.sorting.reverse)

    def next(self, columns: Sequence[Column]) -> None:
        """By the column after the one it is sorted by; after the last by none."""
        keys = [column.key for column in columns]
        at = keys.index(self.sorting.column) + 1 if self.is_by(keys) and self.sorting else 0
        self.sorting = first_way(columns[at]) if at < len(columns) else None

    def is_by(self, keys: Sequence[str]) -> bool:
        return self.sorting is not None and self.sorting.column in keys


def moved(contents: Contents, keys: Sequence[str], places: Mapping[str, int]) -> Contents:
    """The same rows in another order, without lines across the table."""
    record_at = contents.record_at

    def row(index: int) -> Row:
        return contents.row_at(places[keys[index]])

    def record(index: int) -> Mapping[str, object]:
        assert record_at is not None
        return record_at(places[keys[index]])

    return replace(
        contents,
        keys=keys,
        row_at=row,
        rules=frozenset[str](),
        record_at=record if record_at is not None else None,
    )


def in_order(texts: Mapping[str, str], *, reverse: bool) -> list[str]:
    """Keys by what their texts say; those that say nothing are last either way."""
    known = [key for key, text in texts.items() if text.strip() not in BLANK]
    blank = [key for key, text in texts.items() if text.strip() in BLANK]
    return [*sorted(known, key=lambda key: weight(texts[key]), reverse=reverse), *blank]


def weight(text: str) -> tuple[float, str]:
    """A number by its size, whatever unit it is written in; words after numbers."""
    text = text.strip()
    span = SPAN.fullmatch(text)
    if span and any(span.groups()):
        parts = zip(span.groups(), SPAN_S, strict=True)
        return sum(float(part) * unit for part, unit in parts if part), ""
    size = SIZE.match(text)
    if size and ":" not in text[size.end() : size.end() + 1]:
        return float(size[1].replace(",", "")) * SCALES[size[2]], ""
    return float("inf"), text.casefold()


def chosen(
    fitting: Sequence[Column], every: Sequence[Column], wanted: Sequence[str] | None, width: int
) -> tuple[Column, ...]:
    """The columns the user wants, as many as fit; `fitting` are those the view picks itself."""
    if wanted is None:
        return tuple(fitting)
    known = {column.key: column for column in (*every, *fitting)}
    found: list[Column] = []
    room = width
    for key in wanted:
        column = known.get(key)
        if column is not None and (column.width + 1 <= room or not found):
            found.append(column)
            room -= column.width + 1
    return tuple(found) or tuple(fitting)
