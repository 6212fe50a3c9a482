"""Requests to running servers: each is carried out once, by whichever server comes first or by the
one it names. Each function runs inside the caller's transaction.

A request whose taker died before it was done is there to be taken again, and one to a server that
died may be answered by any other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .driver import Connection

ANY = "any"
EXPIRES_S = 60.0
KEPT_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A request. `argument` is JSON; `taken_by` is the server that took it and died, if one did."""

    id: int
    created: float
    by: str
    target: str
    kind: str
    argument: str
    taken_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request. `result` is JSON once it is done."""

    taken_by: str | None
    result: str | None


def ask(
    db: Connection, *, by: str, kind: str, now: float, target: str = ANY, argument: str = "{}"
) -> int:
    """Ask a server, or whichever comes first, to do something; the number to look for. Requests of
    yesterday are forgotten."""
    db.execute("DELETE FROM control WHERE created < ?", (now - KEPT_S,))
    asked = db.execute(
        "INSERT INTO control (created, by, target, kind, argument) VALUES (?, ?, ?, ?, ?)",
        (now, by, target, kind, argument),
    )
    assert asked.lastrowid is not None
    return asked.lastrowid


def server_of(db: Connection, call_id: str) -> str | None:
    """The server in which a call runs: whom to ask to cancel it."""
    row = db.execute("SELECT server FROM inflight WHERE call_id = ?", (call_id,)).fetchone()
    return row[0] if row else None


def waiting(
    db: Connection, server_id: str, now: float, *, alive: Callable[[str], bool]
) -> list[Control]:
    """What this server may take now, oldest first; a read, so that asking costs no transaction.
    Requests nobody took within a minute are not taken any more. `alive` tells whether an owner
    lives; a server nobody knows is dead."""
    rows = db.execute(
        "SELECT control.id, created, by, target, kind, argument, taken_by, taker.owner, named.owner"
        " FROM control LEFT JOIN servers AS taker ON taker.id = taken_by"
        " LEFT JOIN servers AS named ON named.id = target"
        " WHERE done IS NULL AND created > ? ORDER BY control.id",
        (now - EXPIRES_S,),
    ).fetchall()
    found: list[Control] = []
    for number, created, by, target, kind, argument, taken_by, taker, named in rows:
        taken = taken_by is not None and taker is not None and alive(taker)
        others = target not in (ANY, server_id) and named is not None and alive(named)
        if not taken and not others:
            found.append(
                Control(
                    id=number,
                    created=created,
                    by=by,
                    target=target,
                    kind=kind,
                    argument=argument,
                    taken_by=taken_by,
                )
            )
    return found


def take(db: Connection, control: Control, server_id: str, now: float) -> bool:
    """Take a request that was waiting; False if another was faster."""
    taken = db.execute(
        "UPDATE control SET taken_by = ?, taken = ?"
        " WHERE id = ? AND done IS NULL AND taken_by IS ?",
        (server_id, now, control.id, control.taken_by),
    )
    return taken.rowcount == 1


def finish(db: Connection, control_id: int, result: str, now: float) -> None:
    """`result` is JSON."""
    db.execute("UPDATE control SET done = ?, result = ? WHERE id = ?", (now, result, control_id))


def answer(db: Connection, control_id: int) -> Answer:
    query = "SELECT taken_by, result FROM control WHERE id = ?"
    taken_by, result = db.execute(query, (control_id,)).fetchone()
    return Answer(taken_by=taken_by, result=result)
