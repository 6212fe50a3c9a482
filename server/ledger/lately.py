"""Who uses which model, now and lately. Each function runs inside the caller's transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from .driver import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCall:
    """A call in flight, with the server it runs in and the client that made it."""

    call_id: str
    server: str
    client: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A model as one client of one server used it; `last` in epoch seconds."""

    provider: str
    model: str
    client: str
    server: str
    last: float


def running(db: Connection, provider: str, *, alive: Callable[[str], bool]) -> list[RunningCall]:
    """The calls in flight at a provider, of servers that live; oldest first."""
    found = db.execute(
        "SELECT call_id, server, client, model, owner FROM inflight WHERE provider = ?"
        " ORDER BY started, call_id",
        (provider,),
    ).fetchall()
    return [
        RunningCall(call_id=call_id, server=server, client=client, model=model or "")
        for call_id, server, client, model, owner in found
        if alive(owner)
    ]


def usage(db: Connection, since: float) -> list[Usage]:
    """Of attempts that began since then, last used first."""
    found = db.execute(
        "SELECT a.provider, a.model, c.client, c.server, max(a.ended) AS last"
        " FROM attempts AS a JOIN calls AS c ON c.call_id = a.call_id WHERE a.started >= ?"
        " GROUP BY a.provider, a.model, c.client, c.server ORDER BY last DESC",
        (since,),
    ).fetchall()
    return [
        Usage(provider=provider, model=model, client=client, server=server, last=last)
        for provider, model, client, server, last in found
    ]
