"""The server processes of a ledger as those who watch see them, the ended ones too."""

from collections.abc import Mapping
from dataclasses import dataclass

from .driver import Connection
from .watch import select

SHOWN_ENDED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One row of `servers`. The sums are of the calls that ended; `reaped_by` is None for one that
    runs or said goodbye."""

    id: str
    owner: str
    pid: int
    host: str
    client: str
    client_version: str | None
    project: str
    version: str
    config_hash: str
    config_file: str | None
    log_path: str | None
    started: float
    beat: float
    ended: float | None
    reaped_by: str | None
    calls: int
    lost: int
    cost_nano: int
    presumed_nano: int
    last_call: float | None


def processes(db: Connection, *, since: float) -> list[Process]:
    """Those that run, oldest first, then those that ended since, newest first."""
    running = select(db, Process, "FROM servers WHERE ended IS NULL ORDER BY started LIMIT 200")
    rest = "FROM servers WHERE ended > ? ORDER BY ended DESC LIMIT ?"
    return running + select(db, Process, rest, (since, SHOWN_ENDED))


def in_flight(db: Connection) -> Mapping[str, int]:
    """Running calls by the id of their server."""
    return dict(db.execute("SELECT server, count(*) FROM inflight GROUP BY server").fetchall())


def keys_seen(db: Connection) -> Mapping[str, bytes]:
    """What each running server says of keys: a JSON list of names, undecoded."""
    query = "SELECT id, CAST(keys_present AS BLOB) FROM servers WHERE ended IS NULL LIMIT 200"
    return dict(db.execute(query).fetchall())
