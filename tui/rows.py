"""Tables as data: columns, and rows of finished text with a tone per cell."""

from dataclasses import dataclass
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


def widths(columns: tuple[Column, ...], total: int) -> tuple[int, ...]:
    """Cells per column when `total` are there; one cell goes between columns."""
    fixed = sum(column.width for column in columns if not column.flex)
    flexible = [column for column in columns if column.flex]
    left = total - fixed - len(columns)
    share = left // len(flexible) if flexible else 0
    return tuple(max(c.width, share) if c.flex else c.width for c in columns)
