"""Providers as each running server sees them, and how the last test of each went.

A server replaces its own reports, so that one table tells in which process a key is missing or an
older configuration is in use. Names of variables and files, never a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from .driver import Connection

KEPT_S = 86_400.0
MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One provider in one server. `key_from` names where the key came from ("": there is none);
    `reason` says why it cannot be used ("": it can); `models` counts those known (None: nobody
    asked); `facts` is JSON, UTF-8: what only a close look shows."""

    server: str
    provider: str
    at: float
    place: int
    configured: bool
    enabled: bool
    priority: int | None
    cost_multiplier: str
    key_from: str
    key_needed: bool
    reason: str
    models: int | None
    facts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """A server that reports. `config_file` tells the text of config.toml it goes by from others,
    None where it did not say; `ended` is epoch seconds, None while it runs or after a kill."""

    id: str
    pid: int
    client: str
    project: str
    started: float
    beat: float
    ended: float | None
    config_hash: str
    config_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The last test of a provider. `ms` is None where nothing answered, `models` where it did not
    say how many it has."""

    provider: str
    at: float
    server: str
    by: str
    ok: bool
    ms: int | None
    models: int | None
    said: str


COLUMNS = tuple(field.name for field in fields(Report))
TEST_COLUMNS = tuple(field.name for field in fields(Tested))
INSERT = (
    f"INSERT OR REPLACE INTO provider_reports ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join('?' * len(COLUMNS))})"
)
NOTE = (
    f"INSERT OR REPLACE INTO provider_tests ({', '.join(TEST_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(TEST_COLUMNS))})"
)


def replace_reports(db: Connection, server: str, reports: Sequence[Report], now: float) -> None:
    """Everything this server reports from now on. What servers that ended have left goes too."""
    db.execute(
        "DELETE FROM provider_reports WHERE server = ?1 OR server NOT IN"
        " (SELECT id FROM servers WHERE ended IS NULL AND beat > ?2)",
        (server, now - KEPT_S),
    )
    db.executemany(INSERT, [values_of(report) for report in reports])


def values_of(report: Report) -> list[object]:
    values = [getattr(report, name) for name in COLUMNS[:-1]]
    return [*values, report.facts.decode()]


def note_test(db: Connection, tested: Tested) -> None:
    db.execute(NOTE, [getattr(tested, name) for name in TEST_COLUMNS])


def reports(db: Connection) -> list[Report]:
    """In the order each server lists its providers. Those of servers that ended are there until
    the next server writes its own."""
    names = ", ".join(COLUMNS[:-1])
    rows = db.execute(
        f"SELECT {names}, CAST(facts AS BLOB) FROM provider_reports ORDER BY server, place LIMIT ?",
        (MOST,),
    ).fetchall()
    return [Report(**dict(zip(COLUMNS, row, strict=True))) for row in rows]


def reporters(db: Connection) -> list[Reporter]:
    """The servers that report, oldest first."""
    names = [field.name for field in fields(Reporter)]
    rows = db.execute(
        f"SELECT {', '.join(names)} FROM servers"
        " WHERE id IN (SELECT DISTINCT server FROM provider_reports) ORDER BY started, id LIMIT 200"
    ).fetchall()
    return [Reporter(**dict(zip(names, row, strict=True))) for row in rows]


def tests(db: Connection) -> list[Tested]:
    names = ", ".join(TEST_COLUMNS)
    rows = db.execute(f"SELECT {names} FROM provider_tests LIMIT 500").fetchall()
    return [Tested(**dict(zip(TEST_COLUMNS, row, strict=True))) for row in rows]
