"""Damages ledgers at random: `python -m tests.corrupt --mutations 10000`.

Each time the file or its -wal is changed somewhere, opened as a server does, and compared with the
truth. What may happen: nothing (the damage is where nothing is kept), a refusal, an alarm. What may
not: totals that are wrong without a word, or an exception nobody expected. Refused ledgers are
repaired, and then they must be whole.
"""

import argparse
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ledger_rows import WINDOWS, spend

from roundhouse_mcp.server.errors import LedgerUnavailable
from roundhouse_mcp.server.ledger import care, reservations, salvage
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.failures import STORE_FAILURES
from roundhouse_mcp.server.ledger.store import Ledger

NOW = 2_000_000.0
CALLS = 60
FAST = Path("/dev/shm")
Truth = tuple[object, ...]


def pristine(home: Path) -> None:
    """A ledger whose process was killed: a file, a -wal with the later half, a held reservation."""
    work = home.with_name("work")
    with Ledger(work, clock=lambda: NOW) as ledger:
        for n in range(CALLS):
            ledger.write_blocking(spend, n)
            if n == CALLS // 2:
                ledger.write_blocking(lambda db: None)
                with closing(connect(work / "ledger.db")) as db:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ledger.write_blocking(hold)
        home.mkdir()
        for name in ("ledger.db", "ledger.db-wal", "ledger.gate"):
            shutil.copy(work / name, home / name)


def hold(db: Connection) -> None:
    reservations.reserve(
        db,
        reservation="of the dead",
        call_id="dead",
        attempt=1,
        owner="0" * 32,
        amount_nano=777,
        windows=WINDOWS,
        now=NOW,
        lease_until=NOW + 900,
    )


def totals(db: Connection) -> Truth:
    """What budgets and reports say."""
    windows = "SELECT budget, spent_nano, reserved_nano FROM budget_windows ORDER BY budget"
    hours = (
        "SELECT sum(calls), sum(errors), sum(attempts), sum(input_tokens), sum(output_tokens),"
        " sum(cost_nano), sum(presumed_nano) FROM usage_hour"
    )
    return (*db.execute(windows).fetchall(), *db.execute(hours).fetchall())


def opened(home: Path) -> tuple[Truth, tuple[str, ...]]:
    with Ledger(home, clock=lambda: NOW, patience_s=2.0) as ledger:
        ledger.write_blocking(lambda db: None)
        ledger.write_blocking(lambda db: None)  # what the first one reaped is written now
        return ledger.read_blocking(totals), ledger.alarms


def flipped(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def overwritten(data: bytearray, dice: random.Random) -> None:
    at, length = dice.randrange(len(data)), dice.choice((1, 4, 16, 256, 4096))
    data[at : at + length] = dice.randbytes(len(data[at : at + length]))


def zeroed(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data)) // 512 * 512
    data[at : at + 4096] = bytes(len(data[at : at + 4096]))


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def moved(data: bytearray, dice: random.Random) -> None:
    """A page where another belongs."""
    pages = max(2, len(data) // 4096)
    here, there = (dice.randrange(pages) * 4096 for _ in range(2))
    page = data[there : there + 4096]
    data[here : here + len(page)] = page


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flipped,
    flipped,
    overwritten,
    overwritten,
    zeroed,
    cut,
    moved,
)


def damage(home: Path, dice: random.Random) -> str:
    name = dice.choice(("ledger.db", "ledger.db", "ledger.db-wal"))
    how = dice.choice(MUTATIONS)
    data = bytearray((home / name).read_bytes())
    how(data, dice)
    (home / name).write_bytes(data)
    return f"{how.__name__} {name.removeprefix('ledger.')}"


def outcome(home: Path, truth: Truth) -> str:
    """What opening it came to, in one word; `unhandled` and `silent` must not be."""
    try:
        found, alarms = opened(home)
    except LedgerUnavailable as refused:
        return mended(home, refused)
    except Exception as error:  # whatever it is, it is counted
        return f"unhandled: {type(error).__name__}: {error}"
    if found == truth:
        return "harmless"
    return "alarmed" if alarms else f"silent: {found}"


def mended(home: Path, refused: LedgerUnavailable) -> str:
    """A refusal, if the repair it names makes the ledger whole."""
    path, gate = home / "ledger.db", home / "ledger.gate"
    if "\n" in refused.message or not refused.next_step:
        return f"unhandled: {refused}"
    try:
        salvage.repair(path, gate, now=NOW, timeout_s=2.0)
        left = care.check(path, gate)
        opened(home)
    except (*STORE_FAILURES, LedgerUnavailable, ValueError, TypeError) as error:
        return f"unhandled: repair: {type(error).__name__}: {error}"
    return f"unhandled: repair left {left[0]}" if left else "refused"


def run(mutations: int, seed: int) -> Counter[tuple[str, str]]:
    """How often each mutation came to what."""
    dice, counted = random.Random(seed), Counter[tuple[str, str]]()
    where = FAST if FAST.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as directory:
        whole = Path(directory) / "whole"
        pristine(whole)
        fresh = Path(directory) / "truth"
        shutil.copytree(whole, fresh)
        truth, alarms = opened(fresh)
        assert not alarms, alarms
        for n in range(mutations):
            home = Path(directory) / f"m{n}"
            shutil.copytree(whole, home)
            how = damage(home, dice)
            counted[how, outcome(home, truth)] += 1
            shutil.rmtree(home)
    return counted


def bad(counted: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair in counted if pair[1].startswith(("silent", "unhandled"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    counted = run(options.mutations, options.seed)
    for (how, what), times in sorted(counted.items()):
        sys.stdout.write(f"{times:>7,}  {how:<20} {what[:200]}\n")
    words = Counter[str]()
    for (_, what), times in counted.items():
        words[what.partition(":")[0]] += times
    sys.stdout.write(f"{options.mutations:,} mutations: ")
    sys.stdout.write(", ".join(f"{word} {words[word]:,}" for word in WORDS) + "\n")
    sys.exit(1 if bad(counted) else 0)


WORDS = ("harmless", "refused", "alarmed", "silent", "unhandled")

if __name__ == "__main__":
    main()
