"""The ledger of a home as plain text, without a terminal library: for scripts and logs."""

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path

from . import breakers, calls, processes, sieve, spending
from .draw import fit
from .figures import dollars
from .glyphs import in_ascii
from .rows import Column, Row, fitted
from .told import UNREADABLE, Told, look_once

WIDTH = 120
CALLS = 20


def once(
    home: Path,
    *,
    wanted: str = "",
    clock: Callable[[], float] = time.time,
    zone: tzinfo | None = None,
    width: int = WIDTH,
    ascii_only: bool = False,
) -> tuple[str, int]:
    """What the ledger says now, and 0, or UNREADABLE where nothing could be read."""
    told = look_once(home, clock=clock, zone=zone)
    lines = status(told)
    if told.readable:
        lines += sections(told, width, wanted)
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    if ascii_only:
        text = "".join(map(in_ascii, text.splitlines(keepends=True)))
    return text, 0 if told.readable else UNREADABLE


def render(
    home: Path,
    *,
    clock: Callable[[], float] = time.time,
    zone: tzinfo | None = None,
    width: int = WIDTH,
    ascii_only: bool = False,
) -> str:
    """The text alone."""
    return once(home, clock=clock, zone=zone, width=width, ascii_only=ascii_only)[0]


def status(told: Told) -> list[str]:
    snapshot = told.store.snapshot
    today = dollars(snapshot.today_nano)
    lines = [f"{told.mark}  {snapshot.running_count} in flight  {today} today"]
    return [*lines, told.remark] if told.remark else lines


def sections(told: Told, width: int, wanted: str = "") -> list[str]:
    """Calls, budgets, circuits, servers; `wanted` is a filter of the calls."""
    store, look = told.store, told.look
    keep = sieve.sieve(wanted, look.now)
    columns = fitted(calls.columns_for(width), width)
    running = [one for one in store.snapshot.running if keep(calls.fields_of(one))]
    ended = [one for one in store.finished if keep(calls.fields_of(one))][:CALLS]
    rows = [calls.running_row(call, columns, look) for call in running]
    rows += [calls.finished_row(call, columns, look) for call in ended]
    lines = section(columns, rows)
    columns = fitted(spending.columns_for(width), width)
    seen = spending.by_urgency(store.snapshot, look.now)
    lines += section(columns, [spending.spending_row(*pair, columns, look) for pair in seen])
    columns = fitted(breakers.columns_for(width), width)
    circuits = breakers.circuits(store, look)
    lines += section(columns, [breakers.circuit_row(c, columns, look) for c in circuits])
    return lines + server_section(told, width)


def server_section(told: Told, width: int) -> list[str]:
    columns = fitted(processes.columns_for(width), width)
    seen, look = told.servers, told.look
    found = processes.in_order(seen, look.now)
    lines = section(columns, [processes.process_row(p, columns, seen, look) for p in found])
    for process in found:
        lines += [
            f" ! pid {process.pid} {said}" for said in processes.remarks(process, seen, look.now)
        ]
    return lines


def section(columns: tuple[Column, ...], rows: Sequence[Row]) -> list[str]:
    """Nothing at all when there are no rows."""
    if not rows:
        return []
    titles = tuple(column.title for column in columns)
    return ["", *(line(columns, cells) for cells in (titles, *(row.cells for row in rows)))]


def line(columns: tuple[Column, ...], cells: tuple[str, ...]) -> str:
    pairs = zip(columns, cells, strict=True)
    return " " + " ".join(fit(cell, column.width, column.align) for column, cell in pairs)
