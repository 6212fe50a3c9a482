"""All the ledger knows of one call: its row, its decision, its attempts, and what they did to
circuits. Rows are mappings of whatever columns there are: a newer ledger may have more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .driver import Connection

Row = Mapping[str, Any]
MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One call. `running`: it has not ended, and its decision is not written yet. `decision` is
    undecoded JSON. `host` is the server it ran in, as far as that is known.
    `events` are circuit events of the call's own server while it ran."""

    call: Row
    host: Row
    running: bool
    decision: str | None
    attempts: Sequence[Row]
    events: Sequence[Row]
    adjustments: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The calls whose id begins or ends so, at most a few; `latest` for who finds none."""

    found: tuple[str, ...]
    latest: tuple[Row, ...]


def rows(db: Connection, query: str, *parameters: object) -> list[dict[str, Any]]:
    cursor = db.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def matches(db: Connection, part: str, most: int = 5) -> Matches:
    """Calls by their id, a beginning or end of it, or the word `last`."""
    latest = rows(
        db, "SELECT call_id, status, provider, model FROM calls ORDER BY id DESC LIMIT ?", most
    )
    if part == "last":
        return Matches(found=tuple(row["call_id"] for row in latest[:1]), latest=tuple(latest))
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = db.execute(
        "SELECT call_id FROM (SELECT call_id FROM calls UNION SELECT call_id FROM inflight)"
        " WHERE call_id LIKE ?1 || '%' ESCAPE '\\' OR call_id LIKE '%' || ?1 ESCAPE '\\'"
        " ORDER BY lower(call_id) = lower(?2) DESC, call_id DESC LIMIT ?3",
        (escaped, part, most),
    ).fetchall()
    ids = [call_id for (call_id,) in found]
    exact = [call_id for call_id in ids if call_id.lower() == part.lower()]
    return Matches(found=tuple(exact or ids), latest=tuple(latest))


def story(db: Connection, call_id: str) -> Story:
    """The call of that id, ended or running. Raises LookupError."""
    ended = rows(db, "SELECT * FROM calls WHERE call_id = ?", call_id)
    going = rows(db, "SELECT * FROM inflight WHERE call_id = ?", call_id)
    if not ended and not going:
        raise LookupError(call_id)
    call = (ended or going)[0]
    attempts = "SELECT * FROM attempts WHERE call_id = ? ORDER BY n LIMIT ?"
    adjustments = "SELECT * FROM adjustments WHERE call_id = ? ORDER BY id LIMIT ?"
    decision = rows(db, "SELECT json FROM decisions WHERE call_id = ?", call_id)
    host = rows(db, "SELECT pid, client_version FROM servers WHERE id = ?", call["server"])
    return Story(
        call=call,
        host=host[0] if host else {},
        running=not ended,
        decision=decision[0]["json"] if decision else None,
        attempts=rows(db, attempts, call_id, MOST),
        events=events(db, call),
        adjustments=rows(db, adjustments, call_id, MOST),
    )


def events(db: Connection, call: Row) -> list[dict[str, Any]]:
    return rows(
        db,
        "SELECT circuit_events.* FROM circuit_events JOIN servers ON by = servers.owner"
        " WHERE servers.id = ? AND at BETWEEN ? AND ? ORDER BY circuit_events.id LIMIT ?",
        call["server"],
        call["started"],
        call.get("ended") or float("inf"),
        MOST,
    )
