"""Reserving from many processes at once: is a dollar ever exceeded, and does each get its turn?

    uv run python bench/reserve.py [--processes 8] [--calls 200] [--runs 100]
    uv run python bench/reserve.py --calls 32 --settle --each 50 --runs 5

Every process has so many calls under way at the same time on one ledger, each of $0.001 in two
budgets of $1. With `--settle` each is closed again and the limit is far away, so that all that
counts is how long a call waits; `--each` of them follow one another. Prints one line: what was
granted, the overshoot over all runs, operations a second, and how long a reserve took (median,
99 of 100, worst).
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import anyio

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.errors import OverBudget
from roundhouse_mcp.server.ledger import reservations
from roundhouse_mcp.server.ledger.driver import Connection, connect_read_only
from roundhouse_mcp.server.ledger.store import Ledger

AMOUNT_NANO = 1_000_000
DOLLAR_NANO = 1_000_000_000
PLENTY_NANO = 10**15
PATIENCE_S = 60.0
FORK = multiprocessing.get_context("fork")
Waits = list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    processes: int
    calls: int
    each: int
    settle: bool

    @property
    def limit_nano(self) -> int:
        return PLENTY_NANO if self.settle else DOLLAR_NANO


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run: seconds each reserve took, money in nano-dollars."""

    granted: int
    waits: Waits
    seconds: float
    over_nano: int
    totals_agree: bool


def hold(db: Connection, ledger: Ledger, name: str, slot: int, limit_nano: int) -> None:
    windows = [
        Window(
            budget=f"{scope}/total",
            scope=scope,
            period="total",
            start=0.0,
            end=None,
            limit_nano=limit_nano,
        )
        for scope in ("global", f"client:{slot}")
    ]
    now = time.time()
    reservations.reserve(
        db,
        reservation=name,
        call_id=name,
        attempt=1,
        owner=ledger.owner,
        amount_nano=AMOUNT_NANO,
        windows=windows,
        now=now,
        lease_until=now + 600,
    )


async def call(ledger: Ledger, slot: int, load: Load, waits: Waits) -> int:
    """1 if it was granted. How long the reserve took joins `waits`."""
    name, began = uuid.uuid4().hex, time.perf_counter()
    try:
        await ledger.write(hold, ledger, name, slot, load.limit_nano)
    except OverBudget:
        return 0
    finally:
        waits.append(time.perf_counter() - began)
    if load.settle:
        await ledger.write(reservations.settle, name, AMOUNT_NANO // 2, time.time())
    return 1


async def call_all(home: Path, slot: int, load: Load, start: Barrier) -> tuple[int, Waits]:
    granted, waits = 0, Waits()
    with Ledger(home, patience_s=PATIENCE_S) as ledger:
        await ledger.write(lambda db: None)
        await anyio.to_thread.run_sync(start.wait)

        async def one() -> None:
            nonlocal granted
            for _ in range(load.each):
                won = await call(ledger, slot, load, waits)
                granted += won

        async with anyio.create_task_group() as group:
            for _ in range(load.calls):
                group.start_soon(one)
    return granted, waits


def work(
    home: Path, slot: int, load: Load, start: Barrier, said: "Queue[tuple[int, Waits]]"
) -> None:
    said.put(anyio.run(call_all, home, slot, load, start))


def run(home: Path, load: Load) -> Ran:
    start, said = FORK.Barrier(load.processes + 1), FORK.Queue()
    started = [
        FORK.Process(target=work, args=(home, slot, load, start, said))
        for slot in range(load.processes)
    ]
    for process in started:
        process.start()
    start.wait()
    began = time.perf_counter()
    found = [said.get() for _ in started]
    seconds = time.perf_counter() - began
    for process in started:
        process.join()
    with closing(connect_read_only(home / "ledger.db")) as db:
        spent, held, limit = db.execute(
            "SELECT spent_nano, reserved_nano, limit_nano FROM budget_windows"
            " WHERE budget = 'global/total'"
        ).fetchone()
        rows = db.execute(
            "SELECT ifnull(sum(cost_nano), 0), ifnull(sum(iif(state = 'held', amount_nano, 0)), 0)"
            " FROM reservations"
        ).fetchone()
    return Ran(
        granted=sum(granted for granted, _ in found),
        waits=[wait for _, waits in found for wait in waits],
        seconds=seconds,
        over_nano=max(0, spent + held - limit),
        totals_agree=rows == (spent, held),
    )


def told(load: Load, runs: list[Ran]) -> dict[str, object]:
    waits = sorted(wait * 1000 for run in runs for wait in run.waits)
    operations = len(waits) + (sum(run.granted for run in runs) if load.settle else 0)
    return {
        "runs": len(runs),
        "processes": load.processes,
        "calls": load.calls,
        "each": load.each,
        "settle": load.settle,
        "granted": sorted({run.granted for run in runs}),
        "over_nano": max(run.over_nano for run in runs),
        "totals_agree": all(run.totals_agree for run in runs),
        "operations_s": round(operations / sum(run.seconds for run in runs)),
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)], 1),
        "worst_ms": round(waits[-1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--calls", type=int, default=200, help="at once in each process")
    parser.add_argument("--each", type=int, default=1, help="calls after one another")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--settle", action="store_true")
    given = parser.parse_args()
    load = Load(processes=given.processes, calls=given.calls, each=given.each, settle=given.settle)
    runs: list[Ran] = []
    for _ in range(given.runs):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run(Path(folder), load))
    sys.stdout.write(json.dumps(told(load, runs)) + "\n")
    sys.exit(any(each.over_nano or not each.totals_agree for each in runs))


if __name__ == "__main__":
    main()
