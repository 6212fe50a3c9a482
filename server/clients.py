"""How many calls a minute a client may make, and a project's clients together, counted over all
processes of this machine."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .desk import Client, Desk, normal
from .errors import RateLimited
from .ledger.driver import Connection
from .settings import ClientSettings, Settings

MINUTE_S = 60.0
OTHERS = "*"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `rpm` calls a minute under the name they are counted by; `who` is for people."""

    counted: str
    who: str
    rpm: int


@dataclass(frozen=True, slots=True)
class Full:
    """A cap that is reached, and the seconds until it has room."""

    cap: Cap
    wait_s: float


def caps(settings: Settings, client: str, project: str) -> tuple[Cap, ...]:
    """Those a call counts under: its client's, however the name is written, and its project's."""
    found: list[Cap] = []
    most = rpm(settings.clients, client, {name: normal(name) for name in settings.clients})
    if most is not None:
        found.append(Cap(client, f"client {client}", most))
    most = rpm(settings.projects, project, {name: place(name) for name in settings.projects})
    if most is not None:
        found.append(Cap(f"project:{project}", f"the project {project}", most))
    return tuple(found)


def place(name: str) -> str:
    return os.path.realpath(os.path.expanduser(name))


def rpm(said: Mapping[str, ClientSettings], name: str, others: Mapping[str, str]) -> int | None:
    """The limit of what is named so, or in the other spelling of its name; else of all others."""
    own = (each for key, each in said.items() if name in (key, others[key]))
    found = next(own, None) or said.get(OTHERS)
    return found.rpm if found else None


async def admit(desk: Desk, client: Client) -> None:
    """Counts this call. Raises RateLimited where the client, or its project, has made its calls of
    this minute; one that is refused does not count."""
    limits = caps(desk.settings, client.name, desk.project)
    if not limits:
        return
    full = await desk.ledger.write(count, limits, desk.clock())
    if full is not None:
        raise RateLimited(
            f"{full.cap.who} made its {full.cap.rpm} calls of this minute",
            next_step="Wait, or raise its rpm in config.toml.",
            retryable=True,
            retry_after_s=full.wait_s,
        )


def count(db: Connection, limits: Sequence[Cap], now: float) -> Full | None:
    """The cap that is reached; None: the call may go on, and is counted. Times that lie ahead come
    of a clock that was set back, and are forgotten."""
    for cap in limits:
        db.execute(
            "DELETE FROM client_calls WHERE client = ? AND (at <= ? OR at > ?)",
            (cap.counted, now - MINUTE_S, now + 1),
        )
        oldest = db.execute(
            "SELECT at FROM client_calls WHERE client = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
            (cap.counted, cap.rpm - 1),
        ).fetchone()
        if oldest is not None:
            return Full(cap, max(0.0, oldest[0] + MINUTE_S - now))
    counted = [(cap.counted, now) for cap in limits]
    db.executemany("INSERT INTO client_calls (client, at) VALUES (?, ?)", counted)
    return None
