"""The engines of this machine as they stand: which run, what they hold, who uses them."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from .. import processes
from ..ledger import engine_rows, owners
from ..ledger.driver import Connection
from ..ledger.engine_rows import EngineRow, State
from .stalls import Stall

if TYPE_CHECKING:
    from ..desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A running engine. `memory` is in bytes, of all its processes; None where nobody can tell.
    `idle_s` is since its last call ended, 0 during one. `users` are the living servers that have
    used it."""

    provider: str
    model: str
    kind: str
    state: State
    pid: int
    port: int | None
    memory: int | None
    idle_s: float
    stops_after_s: float
    users: tuple[str, ...]
    log_path: str


async def loaded(desk: "Desk") -> list[Loaded]:
    """Every engine that runs now, by name, whoever started it."""
    alive = partial(owners.alive, desk.ledger.run_dir)

    def seen(db: Connection) -> list[tuple[EngineRow, tuple[str, ...]]]:
        return [
            (row, tuple(engine_rows.users(db, row.name, alive=alive)))
            for row in engine_rows.every(db)
        ]

    found = await desk.ledger.read(seen)
    now = desk.clock()
    return await anyio.to_thread.run_sync(
        lambda: [
            shown(desk, row, users, now)
            for row, users in found
            if row.state in ("starting", "ready", "stopping") and is_kept(desk, row)
        ]
    )


def is_kept(desk: "Desk", row: EngineRow) -> bool:
    """Does the process run whose row this is?"""
    kept = Stall.of(desk.home.path, row.name).is_kept()
    return kept and processes.since(row.keeper_pid) == row.keeper_since


def shown(desk: "Desk", row: EngineRow, users: tuple[str, ...], now: float) -> Loaded:
    stall = Stall.of(desk.home.path, row.name)
    last = max(stall.used_at() / 1e9, row.ready or row.started)
    return Loaded(
        provider=row.name,
        model=row.model,
        kind=row.kind,
        state=row.state,
        pid=row.pid or row.keeper_pid,
        port=row.port,
        memory=processes.tree_memory(row.keeper_pid),
        idle_s=0.0 if stall.has_calls() else max(0.0, now - last),
        stops_after_s=row.idle_s,
        users=users,
        log_path=row.log_path,
    )
