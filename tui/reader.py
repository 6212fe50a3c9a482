"""One look at the ledger: the small tables and the newly finished calls, as frozen data.

Failures are states of the health, never exceptions.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..server.ledger import claims, places, watch
from ..server.ledger.driver import Connection, Error, connect_read_only
from ..server.ledger.schema import VERSION
from .clean import clean, clean_bytes
from .closeup import Detail, look_closely
from .extra import Extra, Extras

RING = 5000
CHUNK = 2000
SCREENFUL = 100
FILE_CHECK_S = 2.0
TOTALS_S = 5.0
BEAT_LIMIT_S = 15.0

State = Literal["starting", "ok", "missing", "not_database", "locked", "older", "newer", "failing"]
STATE_BY_ERROR = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_NOTADB": "not_database",
    "SQLITE_CORRUPT": "not_database",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How reading goes. `since` is when this state began; `reopened_at` when the file was found
    replaced; `readable` is false when what is shown comes from earlier; `network` is the kind of
    a network file system it lies on."""

    state: State
    since: float
    readable: bool = False
    detail: str = ""
    version: int = 0
    reopened_at: float | None = None
    network: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums that are too dear for every look: of 24 hours, six hours, 15 minutes."""

    day: tuple[watch.Used, ...] = ()
    six_hours: tuple[watch.Used, ...] = ()
    quarter: tuple[watch.Used, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The small tables, all of one moment; `extra` is what the view on the screen asked for."""

    running: tuple[watch.Running, ...] = ()
    running_count: int = 0
    asking: int = 0
    servers: tuple[watch.Server, ...] = ()
    spendings: tuple[watch.Spending, ...] = ()
    budget_events: tuple[watch.BudgetEvent, ...] = ()
    breakers: tuple[watch.Breaker, ...] = ()
    breaker_events: tuple[watch.BreakerEvent, ...] = ()
    totals: Totals = Totals()
    today_nano: int = 0
    detail: Detail | None = None
    extra: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one look found. `snapshot` is None when nothing could be read or nothing changed;
    `finished` are the calls that ended since the batch before, oldest first; with `afresh`, what
    was held before is void."""

    at: float
    health: Health
    snapshot: Snapshot | None = None
    finished: tuple[watch.Finished, ...] = ()
    afresh: bool = False


class Reader:
    """Looks at the ledger of one home when told to. `day_began` says when a moment's day began,
    `ring` how many of the calls that ended before the first look are wanted; with `hasty` the
    first look brings a screenful of them, and the second the rest."""

    def __init__(
        self,
        home: Path,
        *,
        clock: Callable[[], float] = time.time,
        day_began: Callable[[float], float] = lambda at: at - at % 86_400,
        ring: int = RING,
        hasty: bool = False,
    ) -> None:
        self.path = home / "ledger.db"
        self.gate = home / "ledger.gate"
        self.clock = clock
        self.day_began = day_began
        self.ring = ring
        self._hasty = hasty
        self.selected: str | None = None
        self.wanted: Mapping[str, Extra] = {}
        self._extras = Extras()
        self._db: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._health = Health(state="starting", since=clock())
        self._afresh = True
        self._seen: tuple[int, str | None] | None = None
        self._last_id = 0
        self._checked_at = 0.0
        self._totals = Totals()
        self._totals_at = 0.0

    def poll(self) -> Batch | None:
        """None when nothing is new."""
        now = self.clock()
        before = self._health
        try:
            batch = self._look(now)
        except Error as error:
            self.close()
            code = getattr(error, "sqlite_errorname", "")
            state = STATE_BY_ERROR.get(code.split("_SNAPSHOT")[0], "failing")
            batch = self._report(now, state, f"{code} {clean(str(error))}".strip())  # pyright: ignore[reportArgumentType]
        except OSError as error:
            self.close()
            batch = self._report(now, "failing", clean(str(error)))
        return batch if batch.snapshot or batch.health != before else None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @property
    def readable(self) -> bool:
        """Did the last look succeed?"""
        return self._health.readable

    def _look(self, now: float) -> Batch:
        if self._db is None or now - self._checked_at >= FILE_CHECK_S or now < self._checked_at:
            self._checked_at = now
            if not self._open(now):
                return self._report(now, "missing")
        assert self._db is not None
        seen = (watch.data_version(self._db), self.selected)
        wanted = self._extras.due(self.wanted, now, seen[0])
        if seen == self._seen and not wanted and now - self._totals_at < TOTALS_S * 12:
            return Batch(at=now, health=self._health)
        kind = watch.schema(self._db)
        if kind.version < VERSION:
            self._seen = seen
            return self._report(now, "older", version=kind.version)
        if kind.min_reader > VERSION:
            self._seen = seen
            return self._report(now, "newer", "unreadable", version=kind.version)
        batch = self._read(self._db, now, seen)
        state: State = "newer" if kind.version > VERSION else "ok"
        self._note(now, state, readable=True, version=kind.version)
        return replace(batch, health=self._health)

    def _open(self, now: float) -> bool:
        """Open the file, again if another one took its place; False when there is none."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self.close()
            return False
        file = (stat.st_dev, stat.st_ino)
        if self._db is not None and file != self._file:
            self.close()
            self._health = replace(self._health, reopened_at=now)
        if self._db is None:
            self._health = replace(self._health, network=places.network_kind(self.path))
            self._db = connect_read_only(self.path)
            self._db.text_factory = clean_bytes
            if file != self._file:
                self._last_id, self._afresh, self._extras = 0, True, Extras()
            self._file, self._seen = file, None
        return True

    def _read(self, db: Connection, now: float, seen: tuple[int, str | None]) -> Batch:
        db.execute("BEGIN")
        try:
            fresh = self._finished(db)
            snapshot = Snapshot(
                running=tuple(watch.running(db)),
                running_count=watch.running_count(db),
                asking=claims.asking(db, now),
                servers=tuple(watch.servers(db)),
                spendings=tuple(watch.spendings(db, now)),
                budget_events=tuple(watch.budget_events(db)),
                breakers=tuple(watch.breakers(db)),
                breaker_events=tuple(watch.breaker_events(db)),
                totals=self._sums(db, now),
                today_nano=watch.spent_since_hour(db, self.day_began(now)),
                detail=look_closely(db, seen[1]) if seen[1] else None,
                extra=self._extras.read(db, self.wanted, now, seen[0]),
            )
        finally:
            if db.in_transaction:
                db.execute("COMMIT")
        afresh, self._afresh = self._afresh, self._hasty
        self._seen = None if self._hasty else seen
        self._hasty = False
        return Batch(
            at=now, health=self._health, snapshot=snapshot, finished=tuple(fresh), afresh=afresh
        )

    def _finished(self, db: Connection) -> list[watch.Finished]:
        """A gap larger than a chunk jumps to the newest calls."""
        fresh: list[watch.Finished] = []
        if not self._afresh:
            fresh = watch.finished_after(db, self._last_id, CHUNK)
        if self._afresh or len(fresh) == CHUNK:
            fresh = watch.newest(db, SCREENFUL if self._hasty else self.ring)
            self._hasty, self._afresh = self._hasty and len(fresh) == SCREENFUL, True
        if fresh:
            self._last_id = fresh[-1].id
        return fresh

    def _sums(self, db: Connection, now: float) -> Totals:
        if self._afresh or not 0 <= now - self._totals_at < TOTALS_S:
            self._totals_at = now
            self._totals = Totals(
                day=tuple(watch.used_since_hour(db, now - 86_400)),
                six_hours=tuple(watch.used_since_hour(db, now - 5 * 3600)),
                quarter=tuple(watch.used_since(db, now - 900)),
            )
        return self._totals

    def _report(self, now: float, state: State, detail: str = "", *, version: int = 0) -> Batch:
        self._note(now, state, detail, version=version)
        if state in ("missing", "not_database"):
            self._file, self._seen = None, None
        return Batch(at=now, health=self._health)

    def _note(
        self,
        now: float,
        state: State,
        detail: str = "",
        *,
        readable: bool = False,
        version: int = 0,
    ) -> None:
        held = self._health
        self._health = Health(
            state=state,
            since=held.since if held.state == state else now,
            readable=readable,
            detail=detail,
            version=version,
            reopened_at=held.reopened_at,
            network=held.network,
        )


def alive(server: watch.Server, now: float) -> bool:
    """Is it heard from? A server beats every five seconds."""
    return now - server.beat < BEAT_LIMIT_S
