"""Tells clients that a resource they follow has changed.

They follow it by `subscriptions/listen` since 2026-07-28, by `resources/subscribe` before. While
anybody does, the ledger is looked at every second: what other processes do changes it too.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from .desk import Desk
from .errors import LedgerUnavailable
from .ledger import watch
from .ledger.driver import Connection
from .resources import SCHEME

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

logger = logging.getLogger(__name__)

EVERY_S = 1.0
MOST = 200  # of calls between two looks
Publish = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of what can be followed at one moment: the newest calls by id, with what they ran
    at; those that run, with how far they are; circuits and budgets."""

    ended: Mapping[str, str | None]
    running: Mapping[str, tuple[object, ...]]
    circuits: Mapping[tuple[str, str], tuple[object, ...]]
    budgets: frozenset[tuple[object, ...]]


NOTHING = Seen({}, {}, {}, frozenset())


def look(db: Connection, now: float) -> Seen:
    return Seen(
        ended={call.call_id: call.provider for call in watch.newest(db, MOST)},
        running={
            call.call_id: (call.phase, call.attempt, call.provider)
            for call in watch.running(db, MOST)
        },
        circuits={
            (each.provider, each.model): (each.changed_at, each.state, each.cooldown_until)
            for each in watch.breakers(db)
        },
        budgets=frozenset(
            (each.budget, each.window_start, each.limit_nano, each.spent_nano, each.reserved_nano)
            for each in watch.spendings(db, now)
        ),
    )


def changed(before: Seen, after: Seen) -> set[str]:
    """The addresses of what differs. Pure."""
    ended = after.ended.keys() - before.ended.keys()
    known = {*before.running.items()}
    calls = ended | {name for name, state in after.running.items() if (name, state) not in known}
    calls |= before.running.keys() - after.running.keys()
    found = {f"calls/{name}" for name in calls}
    if calls:
        found.add("ledger/recent")
    providers = {provider for name in ended if (provider := after.ended[name])}
    pairs = before.circuits.items() ^ after.circuits.items()
    providers |= {provider for (provider, _), _ in pairs}
    if providers:
        found |= {"providers", *(f"providers/{name}" for name in providers)}
    if before.budgets != after.budgets:
        found.add("budgets")
    return {f"{SCHEME}{path}" for path in found}


class Updates:
    """Who follows what. `sessions` are those of the older protocols, by address; `streams` counts
    the listening streams of the newer one."""

    def __init__(self, desk: Desk, publish: Publish) -> None:
        self.desk = desk
        self.publish = publish
        self.sessions: dict[str, set[ServerSession]] = {}
        self.streams = 0
        self.before: Seen | None = None

    async def subscribe(self, uri: str, session: "ServerSession") -> None:
        self.sessions.setdefault(uri, set()).add(session)
        await self.begin()

    def unsubscribe(self, uri: str, session: "ServerSession") -> None:
        self.sessions.get(uri, set()).discard(session)
        if not self.sessions.get(uri):
            self.sessions.pop(uri, None)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        self.streams += 1
        try:
            await self.begin()
            yield
        finally:
            self.streams -= 1

    async def begin(self) -> None:
        """Looks before the client is answered: it hears of every change after that."""
        if self.before is None and self.desk.group is not None:
            self.before = NOTHING
            self.before = await self.look(NOTHING)
            self.desk.group.start_soon(self.attend)

    async def look(self, before: Seen) -> Seen:
        """A ledger that fails shows no change."""
        try:
            return await self.desk.ledger.read(look, self.desk.clock())
        except LedgerUnavailable:
            return before

    async def attend(self) -> None:
        """Looks as long as anybody follows anything."""
        try:
            while self.before is not None and (self.streams or self.sessions):
                await anyio.sleep(EVERY_S)
                after = await self.look(self.before)
                for uri in sorted(changed(self.before, after)):
                    await self.tell(uri)
                self.before = after
        finally:
            self.before = None

    async def tell(self, uri: str) -> None:
        await self.publish(uri)
        for session in list(self.sessions.get(uri, ())):
            try:
                await session.send_resource_updated(uri)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, RuntimeError) as error:
                logger.info("a client that left is told nothing: %s", type(error).__name__)
                self.unsubscribe(uri, session)
