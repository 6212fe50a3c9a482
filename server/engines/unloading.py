"""Ending an engine on request: its memory goes back with its process."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from .. import processes
from ..errors import BadRequest
from ..ledger import engine_rows
from ..ledger.engine_rows import EngineRow
from .loaded import is_kept
from .stalls import Stall

if TYPE_CHECKING:
    from ..desk import Desk

LOOK_S = 0.05
END_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of it. `pid` is that of the engine; memory is in bytes, None where nobody can
    tell."""

    unloaded: bool
    detail: str
    pid: int | None = None
    memory_before: int | None = None
    memory_after: int | None = None


async def unload(desk: "Desk", name: str, *, force: bool = False) -> Ended:
    """Ends the engine of provider `name`, whoever started it, and waits until it is gone. Calls in
    flight, here or in other servers, are not cut off without `force`: raises BadRequest then. What
    does not run is no error."""
    stall = Stall.of(desk.home.path, name)
    row = await desk.ledger.read(engine_rows.find, name)
    if row is None or not await anyio.to_thread.run_sync(is_kept, desk, row):
        return Ended(unloaded=False, detail=f"{name} is not loaded; its engine does not run")
    held = stall.stop_calls()
    if held is None and not force:
        raise BadRequest(
            f"{name}/{row.model} is in use by calls that run now",
            next_step="Wait until they are done, or pass force=true to cut them off.",
        )
    try:
        before = await anyio.to_thread.run_sync(processes.tree_memory, row.keeper_pid)
        await end(stall, row)
        after = await anyio.to_thread.run_sync(left, row)
    finally:
        if held is not None:
            os.close(held)
    return Ended(
        unloaded=not stall.is_kept(),
        detail=words(row, before, after),
        pid=row.pid,
        memory_before=before,
        memory_after=after,
    )


async def end(stall: Stall, row: EngineRow) -> None:
    """Asks its keeper; one that does not listen is ended with all it started."""
    stall.ask_to_stop(row.id)
    if await is_gone(stall):
        return
    if row.pid is not None:
        processes.kill_group(row.pid, row.since)
    processes.kill_group(row.keeper_pid, row.keeper_since)
    await is_gone(stall)


async def is_gone(stall: Stall) -> bool:
    """Looks for a while."""
    for _ in range(round(END_S / LOOK_S)):
        if not stall.is_kept():
            return True
        await anyio.sleep(LOOK_S)
    return False


def left(row: EngineRow) -> int:
    """Bytes that its processes still hold."""
    theirs = ((row.keeper_pid, row.keeper_since), (row.pid, row.since))
    return sum(
        processes.tree_memory(pid) or 0
        for pid, born in theirs
        if pid is not None and processes.since(pid) == born
    )


def words(row: EngineRow, before: int | None, after: int) -> str:
    freed = "" if before is None else f", freeing {(before - after) / 1e6:.0f} MB"
    return f"{row.model} was unloaded: the engine {row.name} (process {row.pid}) ended{freed}"
