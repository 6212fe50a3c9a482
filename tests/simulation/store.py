"""One ledger for all servers of a world: the real operations, transactions and locks, on one
connection in memory, without threads and without a disk.

Operations of one server happen in the order they were asked in, each a moment after it was asked,
whatever became of whoever asked: as the writer's and the reader's threads do it.
"""

import asyncio
import os
import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from roundhouse_mcp.server.ledger import servers
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.errands import Errand
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.owners import Owner
from roundhouse_mcp.server.ledger.reaping import dead_owners, reap
from roundhouse_mcp.server.ledger.store import Ledger, Operation
from roundhouse_mcp.server.ledger.writer import REAP_EVERY_S, perform

P = ParamSpec("P")
T = TypeVar("T")
IN_MEMORY = Path(":memory:")
NEXT = 1e-6  # seconds between two operations that would happen at once
Seen = Callable[[Callable[..., Any], tuple[Any, ...], Errand | None], None]


class Killed(BaseException):
    """The process is gone: nothing of it happens any more."""


@lru_cache(maxsize=1)
def template() -> Connection:
    """A new ledger, made once and copied."""
    db = connect(IN_MEMORY)
    migrate(db)
    return db


def new_database() -> Connection:
    db = connect(IN_MEMORY)
    template().backup(db)
    return db


class Store:
    """The file all servers share. `seen` hears of every writing operation: before it happens
    (errand None) and after it was committed."""

    def __init__(self, seen: Seen) -> None:
        self.db = new_database()
        self.seen = seen
        self.commits = 0

    def commit(self, errand: Errand, operation: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.seen(operation, args, None)
        self.db.execute("BEGIN IMMEDIATE")
        perform(self.db, errand)
        self.db.execute("COMMIT")
        self.commits += operation is not servers.name_client  # which no plan looks at
        self.seen(operation, args, errand)

    def look(self, errand: Errand) -> None:
        try:
            errand.result = errand.operation(self.db)
        except Exception as error:  # as the reader's thread does
            errand.error = error


class StandIn(Ledger):
    """What a desk takes for its ledger. `kill` is the end of the process without a goodbye."""

    def __init__(
        self,
        store: Store,
        home: Path,
        owner: str,
        clock: Callable[[], float],
        dice: random.Random,
        slowest_s: float,
    ) -> None:
        self.store = store
        self.home = home
        self.path = home / "ledger.db"
        self.run_dir = home / "run"
        self.owner = owner
        self.clock = clock
        self.dice = dice
        self.slowest_s = slowest_s
        self.claim = Owner.claim(self.run_dir, owner)
        self.dead = False
        self.reaped_at = float("-inf")
        self.waiting: dict[asyncio.Future[object], None] = {}
        self.free_at = {"write": 0.0, "read": 0.0}

    @property
    def alarms(self) -> tuple[str, ...]:
        return ()

    def start(self) -> None:
        pass

    def kill(self) -> None:
        self.dead = True
        os.close(self.claim.fd)
        for future in tuple(self.waiting):
            if not future.done():
                future.set_exception(Killed())
        self.waiting.clear()

    def close(self, timeout_s: float = 0.0) -> bool:
        if not self.dead:
            self.dead = True
            self.claim.release()
        return True

    async def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.answered("write", operation, args, kwargs)

    async def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.answered("read", operation, args, kwargs)

    def write_soon(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.asked("write", operation, args, kwargs)

    def write_or_drop(
        self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        self.asked("write", operation, args, kwargs)

    async def answered(
        self, kind: str, operation: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]
    ) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.asked(kind, operation, args, named, future)
        return await future

    def asked(
        self,
        kind: str,
        operation: Callable[..., Any],
        args: tuple[Any, ...],
        named: dict[str, Any],
        future: "asyncio.Future[Any] | None" = None,
    ) -> None:
        if self.dead:
            raise Killed
        errand = Errand(lambda db: operation(db, *args, **named))
        loop = asyncio.get_running_loop()
        at = loop.time() + self.slowest_s * self.dice.random()
        self.free_at[kind] = at = max(at, self.free_at[kind] + NEXT)
        if future is not None:
            self.waiting[future] = None
        loop.call_at(at, self.carry_out, kind, errand, operation, args, future)

    def carry_out(
        self,
        kind: str,
        errand: Errand,
        operation: Callable[..., Any],
        args: tuple[Any, ...],
        future: "asyncio.Future[Any] | None",
    ) -> None:
        if future is not None:
            self.waiting.pop(future, None)
        if self.dead:
            return
        if kind == "read":
            self.store.look(errand)
        else:
            self.chores()
            self.store.commit(errand, operation, args)
        if future is None:
            if errand.error is not None:
                raise errand.error
        elif not future.done():
            if errand.error is None:
                future.set_result(errand.result)
            else:
                future.set_exception(errand.error)

    def chores(self) -> None:
        """As the writer does: now and then it looks after the dead."""
        now = asyncio.get_running_loop().time()
        if now - self.reaped_at < REAP_EVERY_S:
            return
        self.reaped_at = now
        if dead_owners(self.store.db, self.run_dir, self.owner):
            wall = self.clock()
            errand = Errand(lambda db: reap(db, self.run_dir, self.owner, wall))
            self.store.commit(errand, reap, ())
            if errand.error is not None:
                raise errand.error
