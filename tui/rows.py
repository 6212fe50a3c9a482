"""Tables as data: columns, and rows of finished text with a tone per cell."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Literal

from .draw import Align

Tone = Literal["", "ok", "warn", "err", "busy", "dim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`flex` columns share what the others leave; `width` is then the least."""

    key: str
    title: str
    width: int
    align: Align = "left"
    flex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`tones` belong to the cells in order; a row with `rule` is a line across the table."""

    key: str
    cells: tuple[str, ...] = ()
    tones: tuple[Tone, ...] = ()
    rule: str = ""


Cells = dict[str, tuple[str, Tone]]


def row_of(key: str, cells: Cells, columns: tuple[Column, ...]) -> Row:
    """The cells these columns show."""
    chosen = [cells[column.key] for column in columns]
    return Row(key=key, cells=tuple(c[0] for c in chosen), tones=tuple(c[1] for c in chosen))


@dataclass(frozen=True, slots=True)
class Look:
    """The moment and the place things are told for: epoch seconds, and None for the machine's own
    time zone."""

    now: float
    zone: tzinfo | None = None


def fitted(columns: tuple[Column, ...], total: int) -> tuple[Column, ...]:
    """The same columns, filling `total` cells; one cell goes before each."""
    fixed = sum(column.width for column in columns if not column.flex)
    flexible = sum(column.flex for column in columns)
    share = (total - fixed - len(columns)) // max(1, flexible)
    return tuple(replace(c, width=max(c.width, share)) if c.flex else c for c in columns)
