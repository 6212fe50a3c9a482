"""The feed as lines of JSON: one of everything, or one for each change."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from . import calls, records
from .feed import LOOK_S, Feed
from .outlet import Closed, Outlet
from .reader import Batch
from .rows import Look
from .sieve import sieve
from .store import Store
from .told import UNREADABLE, Told, look_once, reader_of

Clock = Callable[[], float]


def snapshot(home: Path, out: Outlet, *, wanted: str = "", clock: Clock = time.time) -> int:
    """One line: everything of this moment. 0, or UNREADABLE."""
    told = look_once(home, clock=clock)
    out.finish([records.line(sifted(records.snapshot(told), told, wanted))])
    return 0 if told.readable else UNREADABLE


def sifted(record: records.Record, told: Told, wanted: str) -> records.Record:
    """Only those running calls that are wanted."""
    if wanted:
        keep = sieve(wanted, told.look.now)
        chosen = [one for one in told.store.snapshot.running if keep(calls.fields_of(one))]
        record["running"] = [records.running(one) for one in chosen]
    return record


def follow(
    home: Path,
    out: Outlet,
    *,
    wanted: str = "",
    clock: Clock = time.time,
    stop: threading.Event | None = None,
) -> int:
    """A snapshot, then a line per change, until nobody reads any more or the user stops it.
    Servers write streaming progress meanwhile."""
    batches: queue.Queue[Batch] = queue.Queue()
    feed = Feed(reader_of(home, clock=clock, zone=None), batches.put)
    told = Told(home=home, store=Store(), look=Look(clock()))
    feed.start()
    before: records.Record | None = None
    try:
        while not out.gone() and not (stop and stop.is_set()):
            try:
                batch = batches.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            told.store.apply(batch)
            told = replace(told, look=Look(batch.at))
            after = sifted(records.snapshot(told), told, wanted)
            out.say(map(records.line, news(before, after, batch, wanted)))
            before = after
    except (Closed, KeyboardInterrupt):
        return 0
    finally:
        feed.close()
    return 0


def news(
    before: records.Record | None, after: records.Record, batch: Batch, wanted: str
) -> Iterable[records.Record]:
    if before is None:
        yield after
        return
    if not batch.afresh:
        keep = sieve(wanted, batch.at)
        yield from (records.finished(c) for c in batch.finished if keep(calls.fields_of(c)))
    yield from records.changes(before, after)
