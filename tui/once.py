"""The three views as plain text, without a terminal library: for scripts and status lines."""

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path

from . import banners, breakers, calls, spending
from .draw import fit
from .figures import dollars, midnight
from .glyphs import in_ascii
from .reader import Reader
from .rows import Column, Look, Row, fitted
from .store import Store

WIDTH = 120
CALLS = 20


def render(
    home: Path,
    *,
    clock: Callable[[], float] = time.time,
    zone: tzinfo | None = None,
    width: int = WIDTH,
    ascii_only: bool = False,
) -> str:
    """What the ledger of this home says now: a status line, then calls, budgets and circuits."""
    store, look = Store(), Look(clock(), zone)
    reader = Reader(home, clock=clock, day_began=partial(midnight, zone=zone))
    try:
        batch = reader.poll()
    finally:
        reader.close()
    if batch is not None:
        store.apply(batch)
    lines = list(status(store, home, look))
    if store.seen_at is not None:
        lines += sections(store, look, width)
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return "".join(map(in_ascii, text.splitlines(keepends=True))) if ascii_only else text


def status(store: Store, home: Path, look: Look) -> list[str]:
    alive = store.servers_alive(look.now)
    mark = banners.header_mark(store.health, alive=alive, stale_s=None)
    snapshot = store.snapshot
    today = dollars(snapshot.totals.today_nano)
    lines = [f"{mark}  {snapshot.running_count} in flight  {today} today"]
    path = home / "ledger.db"
    said = banners.banner(
        store.health, path=path, alive=alive, stale_s=None, now=look.now, zone=look.zone
    )
    return [*lines, said] if said else lines


def sections(store: Store, look: Look, width: int) -> list[str]:
    columns = fitted(calls.columns_for(width), width)
    rows = [calls.running_row(call, columns, look) for call in store.snapshot.running]
    ended = list(store.finished)[:CALLS]
    rows += [calls.finished_row(call, columns, look) for call in ended]
    lines = section(columns, rows)
    columns = fitted(spending.columns_for(width), width)
    seen = spending.by_urgency(store.snapshot, look.now)
    lines += section(columns, [spending.spending_row(*pair, columns, look) for pair in seen])
    columns = fitted(breakers.columns_for(width), width)
    circuits = breakers.circuits(store, look)
    return lines + section(columns, [breakers.circuit_row(c, columns, look) for c in circuits])


def section(columns: tuple[Column, ...], rows: Sequence[Row]) -> list[str]:
    """Nothing at all when there are no rows."""
    if not rows:
        return []
    titles = tuple(column.title for column in columns)
    return ["", *(line(columns, cells) for cells in (titles, *(row.cells for row in rows)))]


def line(columns: tuple[Column, ...], cells: tuple[str, ...]) -> str:
    pairs = zip(columns, cells, strict=True)
    return " " + " ".join(fit(cell, column.width, column.align) for column, cell in pairs)
