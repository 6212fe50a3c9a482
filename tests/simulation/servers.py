"""The processes of a world: real desks and real calls, whose ids and clocks are the world's."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import anyio

from roundhouse_mcp.server import own_rows, registry
from roundhouse_mcp.server.calls import Calls
from roundhouse_mcp.server.desk import Desk, ulid
from roundhouse_mcp.server.keys import Keys
from roundhouse_mcp.server.listed import Listed
from roundhouse_mcp.server.registry import Registry
from roundhouse_mcp.server.run import Run
from roundhouse_mcp.server.settings import Settings

from .store import StandIn

UNUSED = ("openai", "anthropic")  # shipped rows every world has, without keys


class Recorded(Calls):
    """The calls of a server; every run is shown to the watch."""

    def __init__(self, desk: Desk, met: Callable[[Run], None]) -> None:
        super().__init__(desk)
        self.met = met

    def start(self, *arguments: Any, **named: Any) -> Run:
        run = super().start(*arguments, **named)
        self.met(run)
        return run


@dataclass(kw_only=True)
class SeededDesk(Desk):
    """A desk whose ids come from the world's dice."""

    dice: random.Random
    ids: int = 0

    def new_id(self) -> str:
        self.ids += 1
        return ulid(self.clock(), (self.ids << 40) | self.dice.getrandbits(32))


@dataclass(slots=True)
class Server:
    """One process: its desk, the scope its tasks live in, and the clients that wait for it."""

    n: int
    desk: SeededDesk
    ledger: StandIn
    ending: anyio.Event
    scope: anyio.CancelScope
    clients: list[anyio.CancelScope]
    gone: bool = False


@lru_cache(maxsize=1)
def shipped_rows() -> Mapping[str, Listed]:
    registry = Registry.build(Settings(), Keys({}), {})
    return {name: registry.rows[name] for name in UNUSED}


def built(settings: Settings, environ: Mapping[str, str]) -> Registry:
    """The world's providers and a few that have no key; planning past all that are shipped would
    take most of the time and say nothing new."""
    keys = Keys(environ)
    rows = {
        name: registry.listed(own_rows.unread(name, settings), settings, keys, environ)
        for name in settings.providers
    }
    return Registry({**rows, **shipped_rows()}, settings.routing.aliases)
