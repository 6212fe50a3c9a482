"""What strategies and allowances measure: turns, speeds, running calls, requests lately."""

from collections.abc import Iterable

from .. import speeds
from ..allowances import DAY_S, MINUTE_S, Used
from ..circuits import SET_BACK_S, Key
from ..speeds import Speed
from .driver import Connection

TURN = "turn"


def turn(db: Connection) -> int:
    row = db.execute("SELECT value FROM counters WHERE name = ?", (TURN,)).fetchone()
    return row[0] if row else 0


def take_turn(db: Connection) -> None:
    """The next call's turn."""
    db.execute(
        "INSERT INTO counters (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = value + 1",
        (TURN,),
    )


def all_speeds(db: Connection) -> dict[Key, Speed]:
    rows = db.execute("SELECT provider, model, first_ms, token_ms, at FROM speeds").fetchall()
    return {(row[0], row[1]): Speed(*row[2:]) for row in rows}


def note_speed(db: Connection, key: Key, *, first_ms: float, token_ms: float, now: float) -> None:
    row = db.execute(
        "SELECT first_ms, token_ms, at FROM speeds WHERE provider = ? AND model = ?", key
    ).fetchone()
    after = speeds.heard(Speed(*row) if row else None, first_ms, token_ms, now)
    db.execute(
        "INSERT OR REPLACE INTO speeds (provider, model, first_ms, token_ms, at)"
        " VALUES (?, ?, ?, ?, ?)",
        (*key, after.first_ms, after.token_ms, after.at),
    )


def loads(db: Connection) -> dict[Key, int]:
    """How many calls run at each model now."""
    rows = db.execute(
        "SELECT provider, model, count(*) FROM inflight WHERE provider IS NOT NULL"
        " AND phase != 'retry' GROUP BY provider, model"
    ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def used(db: Connection, providers: Iterable[str], now: float) -> dict[str, Used]:
    """Requests lately, those under way included."""
    return {provider: used_at(db, provider, now) for provider in providers}


RECENT = """
SELECT started AS at, COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) AS tokens
FROM attempts WHERE provider = :provider AND started > :since AND started < :until
UNION ALL
SELECT attempt_started, COALESCE(input_tokens, 0) + output_tokens
FROM inflight WHERE provider = :provider AND attempt_started > :since
    AND attempt_started < :until AND phase != 'retry'
"""


def used_at(db: Connection, provider: str, now: float) -> Used:
    """Requests of the future do not count: the clock was set back since."""
    summed = f"SELECT count(*), COALESCE(sum(tokens), 0), COALESCE(min(at), 0) FROM ({RECENT})"
    (minute, tokens, oldest), (day, _, first) = (
        db.execute(
            summed, {"provider": provider, "since": now - length, "until": now + SET_BACK_S}
        ).fetchone()
        for length in (MINUTE_S, DAY_S)
    )
    return Used(
        minute=minute, minute_tokens=tokens, minute_oldest=oldest, day=day, day_oldest=first
    )
