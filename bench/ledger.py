"""A ledger of ten million calls beside an empty one: a report of a month, and holding money.

    uv run python bench/ledger.py [--calls 10000000] [--scratch DIRECTORY]

Calls, attempts and hourly totals of a year are written straight into a ledger in a scratch
directory (about 0.5 kB a call). Then both ledgers answer the same: `cost_report` of the last month
by model, and reserve and settle, one at a time, taking turns. Prints medians and the ratio.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.ledger import reservations, totals
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.store import Ledger
from roundhouse_mcp.server.ledger.totals import Span

HOURS = 8760
MONTH = 744
NOW_HOUR = 500_000
BYTES = 700  # on disk for one call, generously
REPORTS = 30
HOLDS = 300

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :calls)"
# Twelve models at four providers, five tasks, three clients, four projects: as one person works.
PARTS = """
    'provider-' || (i % 12 % 4) AS provider, 'model-' || (i % 12) AS model,
    'task-' || (i / 12 % 5) AS task, 'client-' || (i / 60 % 3) AS client,
    'project-' || (i / 180 % 4) AS project,
    :first + i * :hours / :calls AS hour
"""
CALLS = f"""
INSERT INTO calls (call_id, tool, server, client, project, task, status, provider, model, attempts,
    started, ended, input_tokens, output_tokens, cost_nano, cost_kind)
{NUMBERS}, part AS (SELECT i, {PARTS} FROM n)
SELECT printf('%026d', i), 'complete', 's', client, project, task, 'ok', provider, model, 1,
    hour * 3600.0 + 1, hour * 3600.0 + 3, 1000, 300, 4000000, 'actual' FROM part
"""
ATTEMPTS = """
INSERT INTO attempts (call_id, n, provider, model, started, ended, outcome, input_tokens,
    output_tokens, cost_nano, cost_kind, price_source)
SELECT call_id, 1, provider, model, started, ended, 'ok', 1000, 300, 4000000, 'actual', 'config'
FROM calls ORDER BY id
"""
SUMS = """
    count(*), count(*), sum(input_tokens), sum(output_tokens), sum(cost_nano)
FROM calls GROUP BY CAST(ended / 3600 AS INTEGER), provider, model, task, client, project
"""
SHORT = "FROM usage_hour GROUP BY hour, provider, model"
COLUMNS = "provider, model, task, client, project"
COUNTS = "calls, attempts, input_tokens, output_tokens, cost_nano"
TOTALS = (
    f"INSERT INTO usage_hour (hour, {COLUMNS}, {COUNTS})"
    f" SELECT CAST(ended / 3600 AS INTEGER), {COLUMNS}, {SUMS}",
    f"INSERT INTO model_hour (hour, provider, model, {COUNTS}) SELECT hour, provider, model,"
    f" sum(calls), sum(attempts), sum(input_tokens), sum(output_tokens), sum(cost_nano) {SHORT}",
    f"INSERT INTO status_hour (hour, status, {COLUMNS}, {COUNTS})"
    f" SELECT CAST(ended / 3600 AS INTEGER), 'ok', {COLUMNS}, {SUMS}",
)


def fill(home: Path, calls: int, last_hour: int = NOW_HOUR) -> None:
    """Writes the calls of a year. Nobody else uses the file meanwhile."""
    with closing(Ledger(home)) as ledger:
        ledger.read_blocking(lambda db: None)
        ledger.write_blocking(lambda db: None)
    with closing(connect(home / "ledger.db")) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-400000")
        db.execute("BEGIN IMMEDIATE")
        first = last_hour - HOURS + 1
        db.execute(CALLS, {"calls": calls, "hours": HOURS, "first": first})
        db.execute(ATTEMPTS)
        for statement in TOTALS:
            db.execute(statement)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def month(ledger: Ledger) -> float:
    """Milliseconds of the report of a month by model."""
    over = Span(first=NOW_HOUR - MONTH + 1, last=NOW_HOUR + 1, words="month")
    began = time.perf_counter()
    ledger.read_blocking(totals.totals, over, ["model"], 20, NOW_HOUR * 3600.0)
    return (time.perf_counter() - began) * 1000


def hold(ledger: Ledger, n: int) -> float:
    """Milliseconds to hold money for a call and to settle it, each on disk when it returns."""
    window = Window(
        budget="global/total",
        scope="global",
        period="total",
        start=0.0,
        end=None,
        limit_nano=10**15,
        warn_at=0.8,
        at_limit="refuse",
    )

    def reserve(db: Connection) -> None:
        reservations.reserve(
            db,
            reservation=f"r{n}",
            call_id=f"c{n}",
            attempt=1,
            owner=ledger.owner,
            amount_nano=1_000,
            windows=[window],
            now=NOW_HOUR * 3600.0,
            lease_until=NOW_HOUR * 3600.0 + 60,
        )

    began = time.perf_counter()
    ledger.write_blocking(reserve)
    ledger.write_blocking(reservations.settle, f"r{n}", 900, NOW_HOUR * 3600.0)
    return (time.perf_counter() - began) * 1000


def compared(
    small: Ledger, large: Ledger, take: Callable[[Ledger, int], float], times: int
) -> tuple[list[float], list[float]]:
    """The two ledgers by turns, so that a busy machine is equally unfair to both."""
    pairs = [(take(small, n), take(large, n)) for n in range(times)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def line(name: str, times: tuple[list[float], list[float]]) -> str:
    small, large = (sorted(each) for each in times)
    middle, full = statistics.median(small), statistics.median(large)
    late = large[int(len(large) * 0.95)]
    return f"{name:<28}{middle:>9.2f}{full:>9.2f}{late:>9.2f}{full / middle:>8.2f}\n"


def main(calls: int, scratch: Path) -> None:
    if shutil.disk_usage(scratch).free < calls * BYTES * 2:
        sys.exit(f"{scratch} has less than {calls * BYTES * 2 / 1e9:.0f} GB free.")
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        empty, full = Path(place) / "empty", Path(place) / "full"
        empty.mkdir()
        full.mkdir()
        began = time.perf_counter()
        fill(full, calls)
        size = (full / "ledger.db").stat().st_size / 1e9
        sys.stdout.write(
            f"{calls} calls, {size:.2f} GB, written in {time.perf_counter() - began:.0f} s\n"
        )
        with closing(Ledger(empty)) as small, closing(Ledger(full)) as large:
            for ledger in (small, large):
                hold(ledger, -1)
            sys.stdout.write(
                f"{'median, ms':<28}{'empty':>9}{'full':>9}{'p95 full':>9}{'ratio':>8}\n"
            )
            report = compared(small, large, lambda ledger, n: month(ledger), REPORTS)
            sys.stdout.write(line("report of a month by model", report))
            sys.stdout.write(line("reserve and settle", compared(small, large, hold, HOLDS)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    main(given.calls, given.scratch)
