"""Processes by name, for whatever they hold or did: a client and its pid instead of an id."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..server.ledger import claims
from ..server.ledger.claims import Process
from ..server.ledger.driver import Connection
from .extra import Extra
from .figures import span
from .reader import BEAT_LIMIT_S


@dataclass(frozen=True, slots=True)
class Holders:
    """Processes by id and by owner: the ledger names them by either."""

    known: Mapping[str, Process]

    def find(self, who: str) -> Process | None:
        return self.known.get(who)

    def name(self, who: str) -> str:
        """`cursor pid 8123`; who is no server, such as `cli`, stays as it is."""
        process = self.known.get(who)
        if process is None:
            return who if len(who) <= 20 else f"{who[:12]}…"
        return f"{process.client} pid {process.pid}"

    def fate(self, who: str, now: float) -> str:
        """What is wrong with a holder, "" while it is heard from. A process that is only silent
        may live: whether it does the servers find out by its lock."""
        process = self.known.get(who)
        if process is None:
            return "its process is unknown"
        if process.ended is not None:
            return f"its process ended {span(now - process.ended)} ago"
        if now - process.beat >= BEAT_LIMIT_S:
            return f"its process is silent for {span(now - process.beat)}"
        return ""


def read_holders(db: Connection, now: float) -> Holders:
    known: dict[str, Process] = {}
    for one in reversed(claims.processes(db)):  # the newest come first, and win
        known[one.id] = known[one.owner] = one
    return Holders(known)


HOLDERS = Extra(read=read_holders)
