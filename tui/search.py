"""Looks for calls older than those in memory, in a thread of its own, and can be stopped at once.

It goes back in steps of the id, so every transaction is short and what was found so far is shown.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ..server.ledger import watch
from ..server.ledger.driver import Connection, Error, connect_read_only
from ..server.ledger.watch import Finished
from .clean import clean_bytes
from .question import condition
from .sieve import Fields, Term, sieve

STEP = 20_000
MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The calls found so far, newest first, and the end of the oldest call looked at; None when
    nothing is older. `done` when there is no more to come."""

    text: str
    calls: tuple[Finished, ...] = ()
    back_to: float | None = None
    done: bool = False


class Search:
    """One search. `emit` is called in its thread."""

    def __init__(
        self,
        path: Path,
        text: str,
        *,
        before: int,
        now: float,
        fields_of: Callable[[Finished], Fields],
        emit: Callable[[Found], None],
    ) -> None:
        self.path, self.text, self.before, self.now = path, text, before, now
        self.fields_of, self.emit = fields_of, emit
        self._db: Connection | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nothing more is emitted after this, save what is being said this moment."""
        self._stopped.set()
        db = self._db
        if db is not None:
            with suppress(Error):
                db.interrupt()

    def _run(self) -> None:
        with suppress(Error, OSError), closing(connect_read_only(self.path)) as db:
            db.text_factory = clean_bytes
            self._db = db
            try:
                self._go_back(db)
            finally:
                self._db = None

    def _go_back(self, db: Connection) -> None:
        kept = sieve(self.text, self.now)
        sql, values = condition(kept, self.now)
        found: list[Finished] = []
        last, back_to = self.before, None
        while last > 1 and len(found) < MOST and not self._stopped.is_set():
            first = max(1, last - STEP)
            back_to = watch.ended_from(db, first) or back_to
            step = watch.finished_between(db, first, last, sql, values, MOST - len(found))
            found += [call for call in step if kept(self.fields_of(call))]
            last = first
            self._say(found, back_to, done=False)
            if back_to is not None and back_to < oldest(kept.terms, self.now):
                break
        self._say(found, back_to, done=True)

    def _say(self, found: list[Finished], back_to: float | None, *, done: bool) -> None:
        if not self._stopped.is_set():
            calls = tuple(found)
            self.emit(Found(text=self.text, calls=calls, back_to=back_to, done=done))


def oldest(terms: Sequence[Term], now: float) -> float:
    """Before this moment the filter keeps nothing."""
    sinces = [now - one.number for one in terms if one.kind == "since" and not one.unwanted]
    return max(sinces, default=0.0)
