"""Is a ledger what it says it is? Its structure, and its counters against the rows they count.

Every counter can be had from rows: what a budget window has spent and reserved from reservations,
the hourly totals from calls and attempts. A damaged byte changes one of the two, not both.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

from ..money import dollars
from .driver import Connection, connect
from .migrations import migrate, version_of
from .schema import MIGRATIONS

MOST = 20
CHECKS = re.compile(r"CHECK\s*\((?:[^()]|\([^()]*\))*\)")
WINDOWS = """
WITH held AS (
    SELECT budget, window_start,
        sum(iif(state = 'held', amount_nano, 0)) AS reserved,
        sum(iif(state IN ('settled', 'presumed'), ifnull(cost_nano, 0), 0)) AS spent,
        sum(iif(id IS NULL, 1, 0)) AS lost,
        ifnull(sum((SELECT sum(delta_nano) FROM adjustments
            WHERE adjustments.call_id = reservations.call_id
            AND adjustments.attempt = reservations.attempt)), 0) AS adjusted
    FROM reservation_windows LEFT JOIN reservations ON reservations.id = reservation
    GROUP BY budget, window_start)
SELECT budget, spent_nano, reserved_nano, ifnull(spent, 0), ifnull(reserved, 0),
    ifnull(adjusted, 0), ifnull(lost, 0)
FROM budget_windows LEFT JOIN held USING (budget, window_start)
UNION ALL
SELECT budget, 0, 0, spent, reserved, adjusted, 1 FROM held
WHERE NOT EXISTS (SELECT 1 FROM budget_windows WHERE budget_windows.budget = held.budget
    AND budget_windows.window_start = held.window_start)
"""
COUNTED = "calls, errors, attempts, input_tokens, output_tokens, cached_tokens"
MONEY = "cost_nano, presumed_nano, unpriced"
COMPARED_FROM = "totals_compared_from"  # in meta: the first hour whose rows are all there
LABELS = "hour, provider, model, task, client, project"
# As records.add_usage writes them.
USAGE = """
SELECT CAST(ended / 3600 AS INTEGER) AS hour, ifnull(provider, '') AS provider,
    ifnull(model, '') AS model, ifnull(task, '') AS task, client, project, 1 AS calls,
    status IN ('failed', 'timeout', 'lost') AS errors, 0 AS attempts, 0 AS input_tokens,
    0 AS output_tokens, 0 AS cached_tokens, 0 AS cost_nano, 0 AS presumed_nano, 0 AS unpriced
FROM calls
UNION ALL
SELECT CAST(calls.ended / 3600 AS INTEGER), attempts.provider, attempts.model,
    ifnull(calls.task, ''), client, project, 0, 0, 1, ifnull(attempts.input_tokens, 0),
    ifnull(attempts.output_tokens, 0), ifnull(attempts.cached_tokens, 0),
    ifnull(attempts.cost_nano, 0),
    iif(attempts.cost_kind = 'presumed', ifnull(attempts.cost_nano, 0), 0),
    attempts.cost_kind = 'unknown'
FROM attempts JOIN calls USING (call_id)
"""


def structure(db: Connection) -> list[str]:
    """What SQLite finds wrong with the file, and tables that are not as its version has them."""
    found = db.execute(f"PRAGMA integrity_check({MOST})").fetchall()
    if found != [("ok",)]:
        return [" ".join(str(said).split()) for (said,) in found]
    missing = shape(version_of(db)) - columns(db) - rules(db)
    return [f"table {table} lacks {name}" for table, name, *_ in sorted(missing)]


def columns(db: Connection) -> frozenset[tuple[str, ...]]:
    """Every column of every table: its table, name, type, whether null, default, place in key."""
    found = db.execute(
        "SELECT tables.name, each.name, type, \"notnull\", ifnull(dflt_value, ''), pk FROM"
        " (SELECT name FROM sqlite_schema WHERE type = 'table') AS tables,"
        " pragma_table_info(tables.name) AS each"
    ).fetchall()
    return frozenset(tuple(map(str, row)) for row in found)


def rules(db: Connection) -> frozenset[tuple[str, ...]]:
    """Every CHECK of every table, without its spaces."""
    tables = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    return frozenset(
        (str(name), "".join(rule.split()))
        for name, sql in tables
        for rule in CHECKS.findall(str(sql))
    )


@cache
def shape(version: int) -> frozenset[tuple[str, ...]]:
    """The columns and rules of a file of this version; of a newer one, at least those of ours."""
    with closing(connect(Path(":memory:"))) as db:
        migrate(db, MIGRATIONS[:version])
        return columns(db) | rules(db)


def budgets(db: Connection) -> list[str]:
    """Windows whose counters are not the sum of their reservations."""
    return list(unequal(db))


def unequal(db: Connection) -> Iterator[str]:
    for budget, spent, reserved, cost, held, adjusted, lost in db.execute(WINDOWS).fetchall():
        if lost:
            yield f"reservations of budget {budget} are missing"
        elif spent not in (cost, max(0, cost + adjusted)):
            yield (
                f"budget {budget} says {dollars(spent)} spent, its reservations say "
                f"{dollars(cost + adjusted)}"
            )
        elif reserved != held:
            yield (
                f"budget {budget} says {dollars(reserved)} reserved, its reservations say "
                f"{dollars(held)}"
            )


def usage(db: Connection) -> list[str]:
    """Hours whose totals are not the sum of their calls and attempts. Money that was adjusted
    later is not compared."""
    adjusted = db.execute("SELECT EXISTS (SELECT 1 FROM adjustments)").fetchone()[0]
    columns = COUNTED if adjusted else f"{COUNTED}, {MONEY}"
    sums = ", ".join(f"sum({name})" for name in columns.split(", "))
    row = db.execute("SELECT value FROM meta WHERE key = ?", (COMPARED_FROM,)).fetchone()
    since = f"WHERE hour >= {int(row[0]) if row else 0}"
    counted = f"SELECT {LABELS}, {sums} FROM ({USAGE}) {since} GROUP BY {LABELS}"
    kept = f"SELECT {LABELS}, {columns} FROM usage_hour {since}"
    only_counted, only_kept = f"{counted} EXCEPT {kept}", f"{kept} EXCEPT {counted}"
    differing = db.execute(
        f"SELECT strftime('%Y-%m-%dT%H:00Z', hour * 3600, 'unixepoch'), provider, model FROM"
        f" (SELECT * FROM ({only_counted}) UNION ALL SELECT * FROM ({only_kept}))"
        f" GROUP BY 1, 2, 3 LIMIT {MOST}"
    ).fetchall()
    return [
        f"the totals of {provider or 'nobody'}/{model or '-'} at {hour} are not the sum of its rows"
        for hour, provider, model in differing
    ]


def problems(db: Connection) -> list[str]:
    """All of it; where the structure is damaged, only that."""
    return structure(db) or [*budgets(db), *usage(db)]
