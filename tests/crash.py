"""Money under SIGKILL: is every nano-dollar a provider billed in the ledger, and once?

    python -m tests.crash --kills 10000 [--seed 1] [--limit 0.03]
    python -m tests.crash --cancels 100000 [--seed 1] [--processes 4]    (see cancels.py)
    python -m tests.crash --rounds 20 [--seed 1] [--servers 8]           (see billing.py)

Six processes make calls on one ledger: reserve, be billed, settle, all through the real store.
Every 5 to 60 ms one of them is killed at whatever it is doing, and another takes its place. The
provider is a process of its own that appends to a bill whatever reaches it; nobody kills it. The
limit is of a budget that begins anew each second, so that it is met all the time.

Prints what was found as JSON. Exit code 1 for a call billed and not in the ledger in full, or
there twice, for a limit exceeded by a nano-dollar at any look, and for totals that differ from
their rows.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

import anyio

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.errors import LedgerUnavailable, OverBudget
from roundhouse_mcp.server.ledger import records, reservations
from roundhouse_mcp.server.ledger.driver import Connection, connect_read_only
from roundhouse_mcp.server.ledger.store import Ledger

PROCESSES = 6
TASKS = 3
MOST_NANO = 1_000_000  # what a call may cost
PLENTY_NANO = 10**15
APART_S = 0.06
NANO = 1_000_000_000
LOOK_EVERY, LOOK_CLOSELY_EVERY = 4, 100  # kills between two looks, and two at all rows
FORK = multiprocessing.get_context("fork")


@dataclass(slots=True, kw_only=True)
class Findings:
    """What the bill and the ledger say of each other; the first six must be 0."""

    under_counted: int = 0
    double_counted: int = 0
    overshoot_nano: int = 0
    totals_differ: int = 0
    left_held: int = 0
    died_themselves: int = 0
    integrity: str = "ok"
    kills: int = 0
    looks: int = 0
    calls: int = 0
    billed: int = 0
    refused: int = 0
    states: dict[str, int] = field(default_factory=dict[str, int])
    billed_nano: int = 0
    spent_nano: int = 0
    seconds: float = 0.0

    @property
    def wrong(self) -> bool:
        counted = (self.under_counted, self.double_counted, self.overshoot_nano)
        others = (self.totals_differ, self.left_held, self.died_themselves)
        return any((*counted, *others, self.integrity != "ok"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A line of the provider's bill."""

    reservation: str
    second: int
    nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What one process works with: `bill` is the way to the provider."""

    ledger: Ledger
    bill: int
    slot: int
    limit_nano: int
    dice: random.Random


def windows(caller: Caller, second: int) -> list[Window]:
    """One budget all processes meet every second, and two that overlap and are never full."""
    wide = [
        Window(
            budget=f"{scope}/total",
            scope=scope,
            period="total",
            start=0.0,
            end=None,
            limit_nano=PLENTY_NANO,
        )
        for scope in ("global", f"client:{caller.slot}")
    ]
    narrow = Window(
        budget="provider:p/day",
        scope="provider:p",
        period="day",
        start=float(second),
        end=second + 1.0,
        limit_nano=caller.limit_nano,
    )
    return [*wide, narrow]


def begin(db: Connection, caller: Caller, name: str, amount: int, second: int) -> None:
    """The first transaction of a call: money held, and a row in flight."""
    now = time.time()
    reservations.reserve(
        db,
        reservation=name,
        call_id=name,
        attempt=1,
        owner=caller.ledger.owner,
        amount_nano=amount,
        windows=windows(caller, second),
        now=now,
        lease_until=now + 600,
        provider="p",
        model="m",
    )
    row = records.InflightRow(
        call_id=name,
        tool="complete",
        server="",
        owner=caller.ledger.owner,
        client=str(caller.slot),
        project="",
        provider="p",
        model="m",
        phase="wait",
        attempt=1,
        started=now,
        beat=now,
        reserved_nano=amount,
    )
    records.begin(db, row)


def end(db: Connection, caller: Caller, name: str, nano: int | None) -> None:
    """The last one: money settled (None: released), attempt, call and hourly totals."""
    now = time.time()
    if nano is None:
        reservations.release(db, name, now)
    else:
        reservations.settle(db, name, nano, now)
    kind = "none" if nano is None else "actual"
    attempt = records.AttemptRow(
        call_id=name,
        n=1,
        provider="p",
        model="m",
        started=now,
        ended=now,
        outcome="ok" if nano is not None else "refused",
        cost_nano=nano or 0,
        cost_kind=kind,
    )
    call = records.CallRow(
        call_id=name,
        tool="complete",
        server="",
        client=str(caller.slot),
        project="",
        provider="p",
        model="m",
        status="ok" if nano is not None else "failed",
        started=now,
        ended=now,
        attempts=1,
        cost_nano=nano or 0,
        cost_kind=kind,
    )
    records.finish(db, call, [attempt])


async def call(caller: Caller) -> None:
    """Reserve, be billed, settle: with pauses, and as clumsily as callers are."""
    dice, write = caller.dice, caller.ledger.write
    name, second, amount = uuid.uuid4().hex, int(time.time()), dice.randint(1, MOST_NANO)
    try:
        await write(begin, caller, name, amount, second)
    except OverBudget:
        await anyio.sleep(dice.uniform(0, 0.02))
        return
    luck = dice.random()
    if luck < 0.1:  # refused before anything was billed
        await write(end, caller, name, None)
        return
    await anyio.sleep(dice.uniform(0, 0.004))
    nano = amount if luck < 0.2 else dice.randint(0, amount)
    os.write(caller.bill, f"{name} {second} {nano}\n".encode())  # one write, short: never torn
    await anyio.sleep(dice.uniform(0, 0.002))
    await write(end, caller, name, nano)
    if luck < 0.4:  # and once more, with another cost: must change nothing
        await write(end, caller, name, amount)
    if luck < 0.3:
        await write(end, caller, name, None)


async def keep_calling(caller: Caller) -> None:
    while True:
        try:
            await call(caller)
        except LedgerUnavailable:  # busy for longer than its patience: what is held stays held
            await anyio.sleep(0.01)


async def call_all(caller: Caller) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(TASKS):
            group.start_soon(keep_calling, caller)


def work(home: Path, bill: int, slot: int, limit_nano: int, seed: int) -> None:
    """One process, until killed."""
    ledger = Ledger(home, patience_s=60, reap_every_s=0.1)
    dice = random.Random(seed)
    caller = Caller(ledger=ledger, bill=bill, slot=slot, limit_nano=limit_nano, dice=dice)
    anyio.run(call_all, caller)


def keep_bill(source: int, way_in: int, path: Path) -> None:
    """The provider's process: appends what reaches it until nobody is left who could send."""
    os.close(way_in)
    with path.open("ab", buffering=0) as file:
        while data := os.read(source, 65_536):
            file.write(data)


@contextmanager
def provider(path: Path) -> Generator[int]:
    """The way to the provider; the bill is complete once the block is left."""
    source, way_in = os.pipe()
    keeper = FORK.Process(target=keep_bill, args=(source, way_in, path))
    keeper.start()
    os.close(source)
    try:
        yield way_in
    finally:
        os.close(way_in)
        keeper.join()


def kill(process: BaseProcess) -> bool:
    """False: it had died by itself, which none of them should."""
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def one(db: Connection, query: str) -> int:
    (value,) = db.execute(query).fetchone()
    return int(value or 0)


OVER = "SELECT max(0, max(spent_nano + reserved_nano - limit_nano)) FROM budget_windows"
HELD_TOTAL = "SELECT sum(reserved_nano) FROM budget_windows WHERE budget = 'global/total'"
HELD_ROWS = "SELECT sum(amount_nano) FROM reservations WHERE state = 'held'"
WINDOWS_THAT_DIFFER = """
SELECT count(*) FROM budget_windows w LEFT JOIN (
    SELECT budget, window_start, sum(ifnull(cost_nano, 0)) AS spent,
        sum(iif(state = 'held', amount_nano, 0)) AS held
    FROM reservation_windows JOIN reservations ON id = reservation GROUP BY 1, 2
) r USING (budget, window_start)
WHERE spent_nano <> ifnull(spent, 0) OR reserved_nano <> ifnull(held, 0)
"""
TOTALS_THAT_DIFFER = """
SELECT (SELECT ifnull(sum(cost_nano), 0) FROM usage_hour)
    <> (SELECT ifnull(sum(cost_nano), 0) FROM attempts)
"""
DOUBLE = """
SELECT count(*) FROM reservations r LEFT JOIN attempts a USING (call_id)
WHERE r.state <> 'held' AND r.cost_nano IS NOT a.cost_nano
"""


def look(home: Path, found: Findings, *, closely: bool) -> None:
    """Compare totals and rows at one moment, in one short transaction beside the writers."""
    if not (home / "ledger.db").exists():
        return
    with closing(connect_read_only(home / "ledger.db", busy_s=5)) as db:
        db.execute("BEGIN")
        if not one(db, "SELECT count(*) FROM sqlite_master WHERE name = 'budget_windows'"):
            return
        found.looks += 1
        found.overshoot_nano = max(found.overshoot_nano, one(db, OVER))
        found.totals_differ += one(db, HELD_TOTAL) != one(db, HELD_ROWS)
        if closely:
            found.totals_differ += one(db, WINDOWS_THAT_DIFFER) + one(db, TOTALS_THAT_DIFFER)
            found.double_counted += one(db, DOUBLE)


def read_bill(path: Path) -> list[Billed]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return [
        Billed(reservation=name, second=int(second), nano=int(nano)) for name, second, nano in lines
    ]


def compare(home: Path, bill: list[Billed], limit_nano: int, found: Findings) -> None:
    """The bill against the ledger, once nobody lives and the dead are reaped."""
    with closing(connect_read_only(home / "ledger.db", busy_s=5)) as db:
        rows = db.execute("SELECT id, state, ifnull(cost_nano, 0) FROM reservations").fetchall()
        states = db.execute("SELECT state, count(*) FROM reservations GROUP BY 1").fetchall()
        found.states = dict(states)
        found.refused = one(db, "SELECT count(*) FROM budget_events WHERE kind = 'refused'")
        found.spent_nano = one(db, "SELECT sum(cost_nano) FROM reservations")
        found.integrity = str(db.execute("PRAGMA integrity_check").fetchone()[0])
    known = {name: (state, cost) for name, state, cost in rows}
    seconds: dict[int, int] = {}
    for line in bill:
        state, nano = known.get(line.reservation, ("missing", 0))
        found.under_counted += nano < line.nano
        found.double_counted += state == "settled" and nano > line.nano
        seconds[line.second] = seconds.get(line.second, 0) + line.nano
    over = max((nano - limit_nano for nano in seconds.values()), default=0)
    found.overshoot_nano = max(found.overshoot_nano, over)
    found.double_counted += len(bill) - len({line.reservation for line in bill})
    found.left_held += found.states.get("held", 0)
    found.calls, found.billed = len(rows), len(bill)
    found.billed_nano = sum(line.nano for line in bill)


def run_kills(
    home: Path, kills: int, seed: int, limit_nano: int, apart_s: float = APART_S
) -> Findings:
    dice, seeds, found = random.Random(seed), count(seed * 1_000_003), Findings()
    began = time.monotonic()
    with provider(home / "bill") as way_in:

        def spawn(slot: int) -> BaseProcess:
            process = FORK.Process(target=work, args=(home, way_in, slot, limit_nano, next(seeds)))
            process.start()
            return process

        living = [spawn(slot) for slot in range(PROCESSES)]
        while found.kills < kills:
            time.sleep(dice.uniform(0.005, apart_s))
            slot = dice.randrange(PROCESSES)
            found.died_themselves += not kill(living[slot])
            found.kills += 1
            if found.kills % LOOK_EVERY == 0:
                look(home, found, closely=found.kills % LOOK_CLOSELY_EVERY == 0)
            living[slot] = spawn(slot)
        for process in living:
            kill(process)
    with Ledger(home) as ledger:
        ledger.write_blocking(lambda db: None)
    look(home, found, closely=True)
    compare(home, read_bill(home / "bill"), limit_nano, found)
    return replace(found, seconds=round(time.monotonic() - began, 1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cancels", type=int, default=0, help="cancel so many calls instead")
    parser.add_argument("--processes", type=int, default=4, help="of the cancelled calls")
    parser.add_argument("--rounds", type=int, default=0, help="spend a dollar so often instead")
    parser.add_argument("--servers", type=int, default=8, help="that spend it; half are killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=Decimal, default=Decimal("0.03"), help="USD a second")
    parser.add_argument("--apart", type=float, default=APART_S, help="most seconds between kills")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))  # `-m` names the folder above
    if given.cancels:
        from cancels import cancel_over

        found = cancel_over(given.processes, given.cancels, given.seed)
    elif given.rounds:
        from billing import rounds

        found = anyio.run(rounds, given.rounds, given.servers, given.servers // 2, given.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            limit_nano = int(given.limit * NANO)
            found = run_kills(Path(folder), given.kills, given.seed, limit_nano, given.apart)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.exit(found.wrong)


if __name__ == "__main__":
    main()
