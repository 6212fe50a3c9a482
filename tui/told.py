"""One look at a home without a terminal: what scripts and status lines are told."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path

from . import banners, breakers, glyphs, spending
from .extra import Extra
from .figures import count_of, midnight
from .processes import Seen, look_around
from .reader import RING, Reader
from .rows import Look
from .store import Store

ALARM = 1
UNREADABLE = 3
SERVERS = "servers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was found at a moment; `store` is empty where nothing could be read."""

    home: Path
    store: Store
    look: Look

    @property
    def readable(self) -> bool:
        return self.store.seen_at is not None

    @property
    def servers(self) -> Seen:
        found = self.store.snapshot.extra.get(SERVERS)
        return found if isinstance(found, Seen) else Seen()

    @property
    def alive(self) -> int:
        return self.store.servers_alive(self.look.now)

    @property
    def mark(self) -> str:
        return banners.header_mark(self.store.health, alive=self.alive, stale_s=None)

    @property
    def remark(self) -> str:
        """What has to be known of the whole, as a sentence; "" when all is well."""
        path = self.home / "ledger.db"
        if self.store.health.state == "missing":
            return (
                f"! no ledger yet: {path} appears with the first server start"
                " · roundhouse demo --keep shows one"
            )
        return banners.banner(
            self.store.health,
            path=path,
            alive=self.alive,
            stale_s=None,
            now=self.look.now,
            zone=self.look.zone,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How many circuits are open or half open, how many are held, how many budgets want a look."""

    circuits: int
    held: int
    budgets: int

    @property
    def words(self) -> str:
        """The worst only; "" when there is none."""
        if self.circuits:
            return f"{glyphs.LOOK} {count_of(self.circuits, 'circuit')}"
        return f"{glyphs.LOOK} {count_of(self.budgets, 'budget')}" if self.budgets else ""


def alarms(told: Told) -> Alarms:
    opened, held = breakers.alarms(told.store, told.look)
    urgent = spending.alarms(told.store.snapshot, told.look.now)
    return Alarms(circuits=opened, held=held, budgets=urgent)


def reader_of(
    home: Path, *, clock: Callable[[], float], zone: tzinfo | None, ring: int = RING
) -> Reader:
    """It reads the servers too."""
    reader = Reader(home, clock=clock, day_began=partial(midnight, zone=zone), ring=ring)
    reader.wanted = {SERVERS: Extra(read=partial(look_around, home), every_s=1.0, unasked=True)}
    return reader


def look_once(
    home: Path,
    *,
    clock: Callable[[], float] = time.time,
    zone: tzinfo | None = None,
    ring: int = RING,
) -> Told:
    """Never raises: what cannot be read is told by the health. `ring` is how many of the calls
    that ended are wanted."""
    store = Store()
    reader = reader_of(home, clock=clock, zone=zone, ring=ring)
    try:
        batch = reader.poll()
    finally:
        reader.close()
    if batch is not None:
        store.apply(batch)
    return Told(home=home, store=store, look=Look(clock(), zone))
