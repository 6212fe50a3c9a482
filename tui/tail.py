"""Finished calls as lines, as they end."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from ..server.ledger.watch import Finished
from . import calls, records
from .feed import LOOK_S
from .once import WIDTH, line
from .outlet import Closed, Outlet
from .reader import Batch, Reader
from .rows import Look, fitted
from .sieve import sieve
from .store import Store
from .told import UNREADABLE, Told

LAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`wanted` is a filter line, `last` how many of the calls that ended before are shown."""

    wanted: str = ""
    last: int = LAST
    as_json: bool = False
    width: int = WIDTH
    zone: tzinfo | None = None

    def lines(self, ended: Iterable[Finished], now: float) -> Iterator[str]:
        keep = sieve(self.wanted, now)
        for call in ended:
            if not keep(calls.fields_of(call)):
                continue
            yield records.line(records.finished(call)) if self.as_json else self.line(call)

    def line(self, call: Finished) -> str:
        """The end of it is its id, for `roundhouse why`."""
        columns = fitted(calls.columns_for(self.width), self.width - len(call.call_id) - 1)
        row = calls.finished_row(call, columns, Look(call.ended, self.zone))
        return f"{line(columns, row.cells)[1:]} {call.call_id}"


def tail(
    home: Path,
    out: Outlet,
    wish: Wish,
    *,
    warn: Callable[[str], object],
    clock: Callable[[], float] = time.time,
    stop: threading.Event | None = None,
) -> int:
    """The last calls, then each as it ends, until nobody reads any more or the user stops it. What
    keeps the ledger from being read goes to `warn`; if it does so at once, UNREADABLE."""
    reader, stop = Reader(home, clock=clock), stop or threading.Event()
    for problem in sieve(wish.wanted).problems:
        warn(problem)
    try:
        batch = reader.poll()
        if batch is None or not batch.health.readable:
            warn(remark(home, batch, clock(), wish.zone))
            return UNREADABLE
        shown = list(wish.lines(batch.finished, batch.at))
        out.say(shown[-wish.last :] if wish.last else [])
        go_on(reader, out, wish, batch, warn=warn, stop=stop)
    except (Closed, KeyboardInterrupt):
        return 0
    finally:
        reader.close()
    return 0


def go_on(
    reader: Reader,
    out: Outlet,
    wish: Wish,
    first: Batch,
    *,
    warn: Callable[[str], object],
    stop: threading.Event,
) -> None:
    """Raises Closed."""
    state = first.health.state
    newest = max((call.ended for call in first.finished), default=0.0)
    while not stop.wait(LOOK_S) and not out.gone():
        batch = reader.poll()
        if batch is None:
            continue
        if batch.health.state != state:
            state = batch.health.state
            warn(remark(reader.path.parent, batch, batch.at, wish.zone))
        fresh = batch.finished
        if batch.afresh:  # another file, or too much at once: some may have been shown
            fresh = tuple(call for call in fresh if call.ended > newest)
        newest = max((call.ended for call in fresh), default=newest)
        out.say(wish.lines(fresh, batch.at))


def remark(home: Path, batch: Batch | None, now: float, zone: tzinfo | None) -> str:
    store = Store()
    if batch is not None:
        store.apply(batch)
    told = Told(home=home, store=store, look=Look(now, zone))
    return (told.remark or told.mark).lstrip("! ")
