"""What the screens show: the last snapshot and a ring of finished calls, perhaps paused."""

from collections import deque
from dataclasses import dataclass, field, replace

from ..server.ledger.watch import Finished
from .hour import Hour, LastHour
from .reader import RING, Batch, Health, Snapshot, alive


@dataclass(slots=True)
class Store:
    """Batches come in through `apply`; while paused they wait, and `missed` counts the calls that
    ended meanwhile. `older` are calls the filter keeps that ended before those in memory;
    `ended` changes whenever the finished calls do."""

    health: Health = field(default_factory=lambda: Health(state="starting", since=0.0))
    snapshot: Snapshot = field(default_factory=Snapshot)
    finished: deque[Finished] = field(default_factory=lambda: deque[Finished](maxlen=RING))
    last_ok: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    seen_at: float | None = None
    paused_at: float | None = None
    missed: int = 0
    changes: int = 0
    pending: Batch | None = None
    older: tuple[Finished, ...] = ()
    ended: int = 0
    hour: Hour = field(default_factory=lambda: Hour(RING))

    def apply(self, batch: Batch) -> None:
        if self.paused_at is not None:
            self.pending = merged(self.pending, batch)
            self.missed += len(batch.finished)
            return
        self.changes += 1
        self.health = batch.health
        if batch.afresh:
            self.finished.clear()
            self.last_ok.clear()
            self.hour.clear()
        self.ended += batch.afresh + len(batch.finished)
        for call in batch.finished:
            self.finished.appendleft(call)
            if call.status == "ok" and call.provider and call.model:
                self.last_ok[call.provider, call.model] = call.ended
        if batch.snapshot is not None:
            self.snapshot = batch.snapshot
            self.seen_at = batch.at

    def pause(self, now: float) -> None:
        self.paused_at = now

    def resume(self) -> None:
        self.paused_at, self.missed = None, 0
        pending, self.pending = self.pending, None
        if pending is not None:
            self.apply(pending)

    def servers_alive(self, now: float) -> int:
        return sum(alive(server, now) for server in self.snapshot.servers)

    def last_hour(self, now: float) -> LastHour:
        return self.hour.seen(self.finished, now)


def merged(before: Batch | None, batch: Batch) -> Batch:
    """Both as if they were one look."""
    if before is None or batch.afresh:
        return batch
    return replace(
        batch,
        snapshot=batch.snapshot or before.snapshot,
        finished=(before.finished + batch.finished)[-RING:],
        afresh=before.afresh,
    )
