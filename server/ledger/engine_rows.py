"""The local engines of this machine: one row each, written by the process that keeps it.

Whether that process lives is said by its lock alone (engines/stalls.py); a row tells where the
engine is and how it is doing. Each function runs inside the caller's transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal

from .driver import Connection

State = Literal["starting", "ready", "stopping", "stopped", "failed"]
DETAIL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine. `id` is of this start; `mark` that of its setup; `keeper_since` and `since` tell
    its processes from later ones of the same number (processes.py). `detail` is why it failed or
    ended. `path` is its model's. Times are epoch seconds."""

    name: str
    id: str
    kind: str
    model: str
    path: str
    mark: str
    state: State
    keeper_pid: int
    keeper_since: str
    log_path: str
    idle_s: float
    started: float
    detail: str = ""
    pid: int | None = None
    since: str | None = None
    port: int | None = None
    token: str = ""
    ready: float | None = None
    ended: float | None = None


COLUMNS = tuple(field.name for field in fields(EngineRow))
values = attrgetter(*COLUMNS)
READ = f"SELECT {', '.join(COLUMNS)} FROM engines"
PUT = (
    f"INSERT OR REPLACE INTO engines ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join('?' * len(COLUMNS))})"
)


def put(db: Connection, row: EngineRow) -> None:
    db.execute(PUT, values(row))


def find(db: Connection, name: str) -> EngineRow | None:
    found = db.execute(f"{READ} WHERE name = ?", (name,)).fetchone()
    return None if found is None else EngineRow(**dict(zip(COLUMNS, found, strict=True)))


def every(db: Connection) -> list[EngineRow]:
    found = db.execute(f"{READ} ORDER BY name").fetchall()
    return [EngineRow(**dict(zip(COLUMNS, each, strict=True))) for each in found]


def use(db: Connection, name: str, *, owner: str, server: str, now: float) -> None:
    """This server uses the engine, for as long as its owner lives."""
    db.execute(
        "INSERT OR IGNORE INTO engine_users (engine, owner, server, since) VALUES (?, ?, ?, ?)",
        (name, owner, server, now),
    )


def users(db: Connection, name: str, *, alive: Callable[[str], bool]) -> list[str]:
    """The living servers that have used the engine. `alive` tells whether an owner lives."""
    found = db.execute(
        "SELECT server, owner FROM engine_users WHERE engine = ? ORDER BY since, owner", (name,)
    ).fetchall()
    return [server for server, owner in found if alive(owner)]


def forget_users(db: Connection, name: str, *, alive: Callable[[str], bool]) -> None:
    """Removes the users that live no more."""
    for (owner,) in db.execute(
        "SELECT owner FROM engine_users WHERE engine = ?", (name,)
    ).fetchall():
        if not alive(owner):
            db.execute("DELETE FROM engine_users WHERE engine = ? AND owner = ?", (name, owner))
