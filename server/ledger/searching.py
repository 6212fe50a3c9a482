"""Rows of the tables that matter, found on the pages of a damaged ledger and put into a new one."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from .driver import Connection, Error
from .pages import Found, Pages, Record, Value

# What was spent and on what. The rest says how things stand, and is made anew.
SOUGHT = (
    "calls",
    "attempts",
    "adjustments",
    "decisions",
    "reservations",
    "reservation_windows",
    "budget_windows",
    "budget_events",
)
# Of two states of a row, one of a page out of use: the later.
LATER = {
    "reservations": "excluded.closed IS NOT NULL AND reservations.closed IS NULL",
    "budget_windows": "excluded.spent_nano > budget_windows.spent_nano",
}
KINDS: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (int, float)}
STRAY = (
    "DELETE FROM decisions WHERE call_id NOT IN (SELECT call_id FROM calls) OR json NOT LIKE '{%'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    kind: str
    required: bool
    default: bool
    place: int  # in the primary key, from 1; 0: not in it


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as its records look: a table without row ids stores its key first."""

    table: str
    columns: tuple[Column, ...]
    by_rowid: bool

    def fits(self, found: Found) -> bool:
        """Columns that were added later may be missing at the end."""
        if self.by_rowid != (found.rowid is not None) or len(found.record) > len(self.columns):
            return False
        missing = self.columns[len(found.record) :]
        if any(c.place or (c.required and not c.default) for c in missing):
            return False
        return all(
            self.takes(column, value)
            for column, value in zip(self.columns, found.record, strict=False)
        )

    def takes(self, column: Column, value: Value) -> bool:
        if value is None:
            return not column.required or (self.by_rowid and column.place == 1)
        return not (self.by_rowid and column.place == 1) and isinstance(value, KINDS[column.kind])

    def row(self, found: Found) -> Record:
        """With the row id where the record leaves it out."""
        return tuple(
            found.rowid if self.by_rowid and column.place == 1 else value
            for column, value in zip(self.columns, found.record, strict=False)
        )

    def statement(self, width: int) -> str:
        names = [column.name for column in self.columns]
        listed, marks = ", ".join(names[:width]), ", ".join("?" * width)
        insert = f"INTO {self.table} ({listed}) VALUES ({marks})"
        if self.table not in LATER:
            return f"INSERT OR IGNORE {insert}"
        keys = ", ".join(c.name for c in self.columns if c.place)
        sets = ", ".join(f"{name} = excluded.{name}" for name in names[:width])
        return (
            f"INSERT {insert} ON CONFLICT ({keys}) DO UPDATE SET {sets} WHERE {LATER[self.table]}"
        )


def shapes(db: Connection) -> list[Shape]:
    return [shape(db, table) for table in SOUGHT]


def shape(db: Connection, table: str) -> Shape:
    rows = db.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)', (table,)
    ).fetchall()
    columns = [
        Column(name=name, kind=kind, required=bool(must), default=said is not None, place=pk)
        for name, kind, must, said, pk in rows
    ]
    (without,) = db.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)
    ).fetchone()
    if without:
        width = len(columns)
        columns = sorted(columns, key=lambda column: column.place or width)
    return Shape(table, tuple(columns), not without)


def search(damaged: Path, new: Connection) -> dict[str, int]:
    """How many rows of each table were found that were not there. Raises OSError."""
    before = {table: counted(new, table) for table in SOUGHT}
    every = shapes(new)
    with closing(Pages(damaged)) as pages:
        for page in pages.records():
            for one, row in recognised(page, every):
                with suppress(Error, OverflowError):  # damaged, or of a table we do not look for
                    new.execute(one.statement(len(row)), row)
    new.execute(STRAY)
    return {table: counted(new, table) - before[table] for table in SOUGHT}


def recognised(page: Sequence[Found], every: Sequence[Shape]) -> Iterator[tuple[Shape, Record]]:
    """The rows of a page by the one shape that most of them have."""
    one = max(every, key=lambda each: sum(each.fits(found) for found in page))
    yield from ((one, one.row(found)) for found in page if one.fits(found))


def counted(db: Connection, table: str) -> int:
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
