"""A ledger with a known history, for tests that damage it."""

from contextlib import closing
from pathlib import Path

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.ledger import records, reservations
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.records import AttemptRow, CallRow
from roundhouse_mcp.server.ledger.schema import MIGRATIONS

COST = 500_000
LIMIT = 10**12


def total_windows(limit_nano: int, *scopes: str) -> list[Window]:
    """One window for each scope, open for ever."""
    return [
        Window(
            budget=f"{scope}/total",
            scope=scope,
            period="total",
            start=0.0,
            end=None,
            limit_nano=limit_nano,
        )
        for scope in scopes
    ]


WINDOWS = total_windows(LIMIT, "global", "client:claude")


def spend(db: Connection, n: int, *, cost: int = COST) -> None:
    """Call number `n`, with one attempt, settled at its cost."""
    call_id, at = f"call-{n:06d}", 1_000_000.0 + 60 * n
    reservations.reserve(
        db,
        reservation=f"{call_id}-1",
        call_id=call_id,
        attempt=1,
        owner="someone",
        amount_nano=2 * cost,
        windows=WINDOWS,
        now=at,
        lease_until=at + 900,
        provider="openai",
        model="m",
    )
    reservations.settle(db, f"{call_id}-1", cost, at + 1)
    call = CallRow(
        call_id=call_id,
        tool="complete",
        server="server",
        client="claude",
        project="/work",
        provider="openai",
        model="m",
        status="ok",
        started=at,
        ended=at + 1,
        attempts=1,
        input_tokens=10,
        output_tokens=5,
        cost_nano=cost,
        cost_kind="actual",
    )
    attempt = AttemptRow(
        call_id=call_id,
        n=1,
        provider="openai",
        model="m",
        started=at,
        ended=at + 1,
        outcome="ok",
        input_tokens=10,
        output_tokens=5,
        cost_nano=cost,
        cost_kind="actual",
    )
    records.finish(db, call, [attempt], '{"why": "a test"}')


def filled(home: Path, calls: int, *, version: int = len(MIGRATIONS)) -> Path:
    """A ledger of this schema version with so many calls, closed cleanly."""
    path = home / "ledger.db"
    if version < len(MIGRATIONS):
        return older(path, filled(home, calls).rename(home / "newer.db"), version)
    with closing(connect(path)) as db:
        migrate(db)
        db.execute("BEGIN IMMEDIATE")
        for n in range(calls):
            spend(db, n)
        db.execute("COMMIT")
    path.chmod(0o600)
    return path


def older(path: Path, newer: Path, version: int) -> Path:
    """The rows of a newer ledger as an older version had them."""
    with closing(connect(path)) as db:
        migrate(db, MIGRATIONS[:version])
        db.execute("ATTACH ? AS newer", (str(newer),))
        tables = db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            names = ", ".join(
                f'"{row[0]}"'
                for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))
            )
            db.execute(
                f"INSERT OR REPLACE INTO {table} ({names}) SELECT {names} FROM newer.{table}"
            )
        db.execute("DETACH newer")
    newer.unlink()
    path.chmod(0o600)
    return path


def spent(path: Path) -> int:
    with closing(connect(path)) as db:
        query = "SELECT spent_nano FROM budget_windows WHERE budget = 'global/total'"
        (found,) = db.execute(query).fetchone() or (0,)
    return found


def count(path: Path, table: str) -> int:
    with closing(connect(path)) as db:
        (found,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return found
