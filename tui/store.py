"""What the screens show: the last snapshot and a ring of finished calls, perhaps paused."""

from collections import deque
from dataclasses import dataclass, field, replace

from ..server.ledger.watch import Finished
from .reader import RING, Batch, Health, Snapshot, alive

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHour:
    """Of the finished calls held. `partial`: more calls ended in this hour than are held."""

    calls: int = 0
    errors: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    partial: bool = False


@dataclass(slots=True)
class Store:
    """Batches come in through `apply`; while paused they wait, and `missed` counts the calls that
    ended meanwhile. `older` are calls the filter keeps that ended before those in memory."""

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
        recent: list[Finished] = []
        for call in self.finished:
            if call.ended < now - HOUR_S:
                break
            recent.append(call)
        if not recent:
            return LastHour()
        took = sorted(call.ended - call.started for call in recent)
        return LastHour(
            calls=len(recent),
            errors=sum(call.status not in ("ok", "cancelled") for call in recent),
            p50_s=took[len(took) // 2],
            p95_s=took[min(len(took) - 1, int(len(took) * 0.95))],
            partial=len(recent) == RING,
        )


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
