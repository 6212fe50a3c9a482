"""What happened to the ledger file that its user should know, kept in the ledger itself: a file
replaced while it was open, transactions that are gone, totals that are wrong.

One JSON list in meta, newest last; a repair makes it anew.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from .driver import Connection

KEY = "alarms"
MOST = 20
TOLD_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """`at` is epoch seconds, of the last time where it was raised more than once."""

    at: float
    text: str


def note(db: Connection, text: str, now: float) -> None:
    kept = [alarm for alarm in every(db) if alarm.text != text]
    listed = json.dumps([asdict(alarm) for alarm in [*kept, Alarm(now, text)][-MOST:]])
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, listed))


def every(db: Connection) -> list[Alarm]:
    """Oldest first; of a list that is damaged, nothing."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (KEY,)).fetchone()
    try:
        listed: list[dict[str, Any]] = json.loads(row[0]) if row else []
        return [Alarm(float(one["at"]), str(one["text"])) for one in listed]
    except (ValueError, TypeError, KeyError):
        return []


def recent(db: Connection, now: float) -> list[Alarm]:
    return [alarm for alarm in every(db) if alarm.at > now - TOLD_S]
