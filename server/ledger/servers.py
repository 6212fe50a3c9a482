"""Running servers, what is asked of them, and whether anybody watches."""

from dataclasses import dataclass, fields
from operator import attrgetter

from .driver import Connection

ANY = "any"
CONTROL_EXPIRES_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """One server process. `keys_present` is a JSON list of variable names, never values."""

    id: str
    owner: str
    pid: int
    host: str
    client: str
    project: str
    version: str
    config_hash: str
    started: float
    beat: float
    client_version: str | None = None
    keys_present: str = "[]"
    log_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A request to a server. `argument` is JSON."""

    id: int
    created: float
    by: str
    kind: str
    argument: str


SERVER_COLUMNS = tuple(field.name for field in fields(ServerRow))
server_values = attrgetter(*SERVER_COLUMNS)
REGISTER = (
    f"INSERT OR REPLACE INTO servers ({', '.join(SERVER_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(SERVER_COLUMNS))})"
)


def register_server(db: Connection, row: ServerRow) -> None:
    db.execute(REGISTER, server_values(row))


def name_client(db: Connection, server_id: str, client: str, version: str | None) -> None:
    """Who speaks to a server is known with its first request, not when it starts."""
    db.execute(
        "UPDATE servers SET client = ?, client_version = ? WHERE id = ?",
        (client, version, server_id),
    )


def note_config(db: Connection, *, server_id: str, config_hash: str, keys_present: str) -> None:
    """A server took up a changed configuration."""
    db.execute(
        "UPDATE servers SET config_hash = ?, keys_present = ? WHERE id = ?",
        (config_hash, keys_present, server_id),
    )


def beat_server(db: Connection, server_id: str, now: float) -> None:
    db.execute("UPDATE servers SET beat = ? WHERE id = ?", (now, server_id))


def end_server(db: Connection, server_id: str, now: float) -> None:
    db.execute("UPDATE servers SET ended = ?, beat = ? WHERE id = ?", (now, now, server_id))


def ask(
    db: Connection, *, by: str, kind: str, now: float, target: str = ANY, argument: str = "{}"
) -> int:
    """Ask a server, or whichever comes first, to do something; the number to look for."""
    asked = db.execute(
        "INSERT INTO control (created, by, target, kind, argument) VALUES (?, ?, ?, ?, ?)",
        (now, by, target, kind, argument),
    )
    assert asked.lastrowid is not None
    return asked.lastrowid


def pending_control(db: Connection, server_id: str, now: float) -> bool:
    """Whether `take_control` would find something; a read, so that asking costs no transaction."""
    (found,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM control WHERE taken_by IS NULL AND target IN (?, ?)"
        " AND created > ?)",
        (server_id, ANY, now - CONTROL_EXPIRES_S),
    ).fetchone()
    return bool(found)


def take_control(db: Connection, server_id: str, now: float) -> list[Control]:
    """What this server is to do now, oldest first. Each request is taken by one server; those
    nobody took within a minute are not taken any more."""
    taken = db.execute(
        "UPDATE control SET taken_by = ?, taken = ? WHERE taken_by IS NULL AND target IN (?, ?)"
        " AND created > ? RETURNING id, created, by, kind, argument",
        (server_id, now, server_id, ANY, now - CONTROL_EXPIRES_S),
    ).fetchall()
    return [
        Control(id=number, created=created, by=by, kind=kind, argument=argument)
        for number, created, by, kind, argument in sorted(taken)
    ]


def finish_control(db: Connection, control_id: int, result: str, now: float) -> None:
    """`result` is JSON."""
    db.execute("UPDATE control SET done = ?, result = ? WHERE id = ?", (now, result, control_id))


def watching(db: Connection, now: float) -> bool:
    """Whether anybody looks at live progress; nobody does, nobody needs it written."""
    (found,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM watchers WHERE until > ?)", (now,)
    ).fetchone()
    return bool(found)


def watch(db: Connection, watcher: str, *, pid: int, until: float) -> None:
    """Renew a watcher's lease; leases that ran out are removed."""
    db.execute(
        "INSERT INTO watchers (id, pid, until) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET until = excluded.until",
        (watcher, pid, until),
    )
    db.execute("DELETE FROM watchers WHERE until < ?", (until - 300.0,))


def unwatch(db: Connection, watcher: str, *, now: float) -> None:
    """End a watcher's lease, and those that ran out."""
    db.execute("DELETE FROM watchers WHERE id = ? OR until < ?", (watcher, now))
