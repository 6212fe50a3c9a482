"""Running servers, and whether anybody watches them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter

from .driver import Connection


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
    config_file: str | None = None


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


def note_config(
    db: Connection,
    *,
    server_id: str,
    config_hash: str,
    keys_present: str,
    config_file: str | None = None,
) -> None:
    """A server took up a changed configuration."""
    db.execute(
        "UPDATE servers SET config_hash = ?, keys_present = ?, config_file = ? WHERE id = ?",
        (config_hash, keys_present, config_file, server_id),
    )


def count_call(
    db: Connection, server_id: str, *, ended: float, cost_nano: int, presumed_nano: int, lost: bool
) -> None:
    """Add a call that ended to the sums of its server."""
    db.execute(
        "UPDATE servers SET calls = calls + 1, lost = lost + ?, cost_nano = cost_nano + ?,"
        " presumed_nano = presumed_nano + ?, last_call = max(ifnull(last_call, 0), ?)"
        " WHERE id = ?",
        (int(lost), cost_nano, presumed_nano, ended, server_id),
    )


def beat_server(db: Connection, server_id: str, now: float) -> None:
    db.execute("UPDATE servers SET beat = ? WHERE id = ?", (now, server_id))


def end_server(db: Connection, server_id: str, now: float) -> None:
    db.execute("UPDATE servers SET ended = ?, beat = ? WHERE id = ?", (now, now, server_id))


def living(db: Connection, alive: Callable[[str], bool]) -> list[str]:
    """The servers that run, oldest first. `alive` tells whether an owner lives."""
    rows = db.execute(
        "SELECT id, owner FROM servers WHERE ended IS NULL ORDER BY started, id"
    ).fetchall()
    return [server_id for server_id, owner in rows if alive(owner)]


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
