"""The engines as this server uses them: the one that runs, or one it starts."""

import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ...providers import engine_models, engines
from ...providers.engines import Unusable
from ...providers.errors import NotStarted
from ...providers.setup import Setup
from .. import processes
from ..ledger import engine_rows
from ..ledger.engine_rows import EngineRow
from . import health, room
from .stalls import Stall, alone

if TYPE_CHECKING:
    from ..desk import Desk

logger = logging.getLogger(__name__)

LOOK_S = 0.05
SETTLE_S = 30.0  # for what the keeper does beside waiting for health
LINGER_S = 15.0  # after the last server that used it: editors restart
STOP_S = 15.0
ROOM = __name__.rpartition(".")[0]

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a running engine is, and what lets us in. `context` is in tokens, where it is on us to
    keep to it."""

    port: int
    token: str
    served_as: str
    context: int | None = None


@dataclass(slots=True)
class Use:
    """How many calls of this server use an engine, and the descriptor that shows it."""

    fd: int
    count: int = 0


@dataclass(slots=True)
class Engines:
    """Of one server process."""

    desk: "Desk"
    uses: dict[str, Use] = field(default_factory=dict[str, Use])
    noted: set[str] = field(default_factory=set[str])

    def stall(self, name: str) -> Stall:
        return Stall.of(self.desk.home.path, name)

    @asynccontextmanager
    async def used(self, setup: Setup, tell: Tell) -> AsyncGenerator[Place]:
        """The running engine, which stays while this is entered unless it is ended by force.
        `tell` hears what is being waited for. Raises NotStarted."""
        await self.join(setup, tell)
        try:
            yield await self.ready(setup, tell)
        finally:
            self.leave(setup.name)

    async def join(self, setup: Setup, tell: Tell) -> None:
        """Takes a place among the calls, as soon as an engine being ended is gone."""
        give_up = anyio.current_time() + STOP_S * 2
        while True:
            use = self.uses.get(setup.name)
            fd = self.stall(setup.name).join_calls() if use is None else use.fd
            if fd is not None:
                use = self.uses.setdefault(setup.name, Use(fd))
                use.count += 1
                return
            if anyio.current_time() > give_up:
                raise not_started(setup, "it is still being ended", self.log_path(setup.name))
            tell("waiting for the engine to end")
            await anyio.sleep(LOOK_S)

    def leave(self, name: str) -> None:
        use = self.uses[name]
        use.count -= 1
        if not use.count:
            del self.uses[name]
            self.stall(name).leave_calls(use.fd)

    def close(self) -> None:
        """The process ends: so do its uses."""
        for name in list(self.uses):
            os.close(self.uses.pop(name).fd)

    def log_path(self, name: str) -> str:
        return str(self.desk.home.logs / f"engine-{name}.log")

    async def ready(self, setup: Setup, tell: Tell) -> Place:
        """Where the engine is, once it is healthy; started if nobody has."""
        await self.note_use(setup.name)
        began, asked_at = anyio.current_time(), self.desk.clock()
        launched = ""
        while (waited := anyio.current_time() - began) < setup.start_s + SETTLE_S:
            row = await self.desk.ledger.read(engine_rows.find, setup.name)
            if self.stall(setup.name).is_kept():
                place = await self.place(setup, row)
                if place is not None:
                    return place
            elif launched or has_failed(row, setup, asked_at):
                raise failed(setup, row, launched, self.log_path(setup.name))
            else:
                launched = await self.launch(setup, row) or ""
            tell(f"{setup.engine.title} loads {setup.alias} ({waited:.0f} s)")
            await anyio.sleep(LOOK_S)
        raise not_started(setup, "it took too long", self.log_path(setup.name))

    async def note_use(self, name: str) -> None:
        if name not in self.noted:
            await self.desk.ledger.write(
                engine_rows.use,
                name,
                owner=self.desk.ledger.owner,
                server=self.desk.server_id,
                now=self.desk.clock(),
            )
            self.noted.add(name)

    async def place(self, setup: Setup, row: EngineRow | None) -> Place | None:
        """Where the running engine is; None while it is not there yet, or of another setup: that
        one is ended, so that the next look starts ours."""
        if row is None or row.state != "ready" or row.port is None or not is_kept_by(row):
            return None
        if row.mark != setup.mark:
            self.replace(row)
            return None
        if not await anyio.to_thread.run_sync(health.answers, row.port):
            return None  # it died just now; its keeper is about to say so
        self.desk.redactor.meet([row.token])
        hub = setup.engine.format == "hub"
        context = setup.context or (engine_models.context_of(row.path) if hub else None)
        return Place(row.port, row.token, engines.served_as(setup, row.path), context)

    def replace(self, row: EngineRow) -> None:
        """Ends an engine of another setup once no other call uses it."""
        use, stall = self.uses[row.name], self.stall(row.name)
        if use.count == 1 and not stall.is_to_stop(row.id) and alone(use.fd):
            logger.info("engine %s is ended: its configuration changed", row.name)
            stall.ask_to_stop(row.id)

    async def launch(self, setup: Setup, old: EngineRow | None) -> str | None:
        """Starts a keeper; the id of its engine, or None where another server was faster. Raises
        NotStarted for what cannot work, NotReady for what would not fit in memory."""
        home, environ = self.desk.home, self.desk.environ
        try:
            if sys.platform == "win32":
                raise Unusable("engines are not started on Windows yet; start it yourself")
            engines.check_installed(setup)
            found = engine_models.find(setup, home.path, environ)
        except Unusable as unusable:
            raise NotStarted(setup.name, str(unusable)) from None
        await room.check(self.desk, setup, found)
        stall = self.stall(setup.name)
        lock = stall.take()
        if lock is None:
            return None
        try:
            if old is not None and old.pid is not None:
                processes.kill_group(old.pid, old.since)  # its keeper was killed, and it was not
            order_id = uuid.uuid4().hex
            order: dict[str, object] = {
                "id": order_id,
                "setup": asdict(setup),
                "home": str(home.path),
                "path": found.path,
                "linger_s": min(LINGER_S, setup.idle_s),
            }
            environment = engines.environment(setup, environ, "")
            start = partial(start_keeper, lock, order, environment, self.log_path(setup.name))
            await anyio.to_thread.run_sync(start)
        except OSError as error:
            raise NotStarted(setup.name, f"no process could be made for it: {error}") from error
        finally:
            os.close(lock)
        return order_id


def start_keeper(lock: int, order: dict[str, object], environ: dict[str, str], log: str) -> None:
    """A process that outlives this one: a session of its own, and none of our descriptors."""
    Path(log).parent.mkdir(mode=0o700, exist_ok=True)
    troubles = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{ROOM}.keeper", str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=troubles,
            cwd=str(order["home"]),
            env=environ,
            pass_fds=(lock,),
            start_new_session=True,
        )
    finally:
        os.close(troubles)
    assert keeper.stdin is not None
    with suppress(BrokenPipeError), keeper.stdin as order_in:
        order_in.write(json.dumps(order).encode())
    threading.Thread(target=keeper.wait, daemon=True).start()  # or it stays behind as a zombie


def is_kept_by(row: EngineRow) -> bool:
    """Is this the row of the process that keeps the engine now, and not of one that was killed?"""
    return processes.since(row.keeper_pid) == row.keeper_since


def has_failed(row: EngineRow | None, setup: Setup, asked_at: float) -> bool:
    """Did the very start we waited for fail, which another server had begun?"""
    if row is None or row.mark != setup.mark or row.state != "failed" or row.ready is not None:
        return False
    return row.ended is not None and row.ended >= asked_at


def not_started(setup: Setup, why: str, log: str) -> NotStarted:
    return NotStarted(setup.name, f"{why}; its log is {log}")


def failed(setup: Setup, row: EngineRow | None, launched: str, log: str) -> NotStarted:
    ours = row is not None and launched in ("", row.id)
    why = row.detail if row is not None and ours and row.detail else "its keeper ended"
    return not_started(setup, why, log)
