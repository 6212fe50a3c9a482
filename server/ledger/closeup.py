"""One call looked at closely, by those who only watch: its attempts, its decision, the server it
runs in, and what was corrected later. As in watch.py every class names the columns of a row, and
the caller holds one short transaction.
"""

from dataclasses import dataclass

from .driver import Connection
from .watch import select


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt of a call."""

    n: int
    provider: str
    model: str
    started: float
    first_token_at: float | None
    ended: float
    outcome: str
    http_status: int | None
    error: str | None
    provider_request_id: str | None
    answered_by: str | None
    waited_s: float
    waited_for: str | None
    output_tokens: int | None
    reserved_nano: int | None
    cost_nano: int | None
    cost_kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What was found later of an attempt's cost: by how much it differs, and who says why."""

    id: int
    at: float
    attempt: int
    delta_nano: int
    why: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """All corrections of one call; `attempts` is how many of its attempts they are about."""

    call_id: str
    delta_nano: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The server process of a call. `ended` is when it was seen to have ended."""

    id: str
    pid: int
    client: str
    client_version: str | None
    ended: float | None


def attempts(db: Connection, call_id: str) -> list[Tried]:
    return select(db, Tried, "FROM attempts WHERE call_id = ? ORDER BY n LIMIT 100", (call_id,))


def decision(db: Connection, call_id: str) -> bytes | None:
    """The routing decision as stored, undecoded."""
    query = "SELECT CAST(json AS BLOB) FROM decisions WHERE call_id = ?"
    row = db.execute(query, (call_id,)).fetchone()
    return bytes(row[0]) if row else None


def corrected(db: Connection, call_id: str) -> list[Corrected]:
    rest = "FROM adjustments WHERE call_id = ? ORDER BY id LIMIT 100"
    return select(db, Corrected, rest, (call_id,))


def corrections(db: Connection, most: int = 500) -> list[Correction]:
    """The newest, by call."""
    rest = """FROM (SELECT call_id, SUM(delta_nano) AS delta_nano,
              COUNT(DISTINCT attempt) AS attempts
              FROM (SELECT * FROM adjustments ORDER BY id DESC LIMIT ?) GROUP BY call_id)"""
    return select(db, Correction, rest, (most,))


def budgets(db: Connection, call_id: str) -> list[str]:
    """Those a call holds money in."""
    query = """SELECT DISTINCT budget FROM reservations JOIN reservation_windows
               ON reservation = reservations.id
               WHERE state = 'held' AND call_id = ? ORDER BY budget LIMIT 100"""
    return [str(row[0]) for row in db.execute(query, (call_id,)).fetchall()]


def host(db: Connection, call_id: str) -> Host | None:
    """The server a call runs or ran in, if it is still known."""
    rest = """FROM servers WHERE id = (SELECT server FROM calls WHERE call_id = ?1
              UNION ALL SELECT server FROM inflight WHERE call_id = ?1)"""
    return next(iter(select(db, Host, rest, (call_id,))), None)
