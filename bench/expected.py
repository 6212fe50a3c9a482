"""How much more fits into a dollar where a budget holds what calls probably cost, and at what risk?

    uv run python bench/expected.py [--runs 100] [--lanes 32] [--longer 1]

Calls of one model ($3 and $15 per million tokens, cap 4,096) on a real ledger file, planned, held,
settled and learned by the server's own code, after 200 earlier ones. What they use is drawn: texts
of 500 to 20,000 bytes that have a token for every four, estimated within some 8 %; answers with a
median of 300 tokens, spread as a lognormal of sigma 0.8. Two questions, for `reserve = "bound"` and
`"expected"`: how many calls are under way at once before the first is refused, and how many are
made in all by so many lanes, each one call after another. `--longer 5` makes all answers five times
as long as those that were learned from. Prints one line of JSON per reserve: medians over the runs,
the shares of calls that were cut off by their cap (a budget lowers it to fit) and that cost more
than was held, and the worst overshoot of all runs in dollars.
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.prices import Rates, cost
from roundhouse_mcp.providers.types import Usage
from roundhouse_mcp.server import estimates
from roundhouse_mcp.server.amounts import fitted, priced
from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.candidates import Candidate, Demand, Offer, Room, Snapshot
from roundhouse_mcp.server.ledger import estimate_rows, reservations
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.settings import Reserve

DOLLAR_NANO = 1_000_000_000
CAP = 4096
BEFORE = 200
RATES = Rates(
    input=3_000_000_000,
    output=15_000_000_000,
    cached=300_000_000,
    cache_write=3_750_000_000,
    source="bench",
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A call: its size as the server sees it, and what it uses in fact if nothing cuts it off."""

    demand: Demand
    read: int
    wrote: int


@dataclass(frozen=True, slots=True)
class Held:
    """A call under way, its reservation and amount in nano-dollars."""

    drawn: Drawn
    name: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Ran:
    calls: int
    cut: int
    over_held: int
    over_nano: int


class Budget:
    """A dollar, and one model to spend it on."""

    def __init__(self, db: Connection, reserve: Reserve, dice: random.Random) -> None:
        self.db, self.dice = db, dice
        self.made = self.cut = self.over_held = 0
        self.window = Window(
            budget="global/total",
            scope="global",
            period="total",
            start=0.0,
            end=None,
            limit_nano=DOLLAR_NANO,
            reserve=reserve,
        )
        row = shipped()["anthropic"]
        self.offer = Offer(
            provider=row,
            model="m",
            facts=row.facts("m"),
            rates=RATES,
            windows=(self.window,),
            max_tokens=CAP,
        )

    def draw(self, longer: float = 1.0) -> Drawn:
        size = round(math.exp(self.dice.uniform(math.log(500), math.log(20_000))))
        expected = size // 4
        read = min(size, round(expected * math.exp(self.dice.gauss(0, 0.08))))
        wrote = round(300 * longer * math.exp(self.dice.gauss(0, 0.8)))
        return Drawn(Demand(input_bound=size, input_expected=expected), read, wrote)

    def begin(self, drawn: Drawn) -> Held | None:
        """None where it has no room."""
        there = reservations.standing(self.db, self.window)
        free = max(0, DOLLAR_NANO - there.committed_nano)
        room = Room(limit_nano=DOLLAR_NANO, free_nano=free, resets_at=None)
        known = estimate_rows.of_models(self.db, [self.offer.key])
        snapshot = Snapshot(now=0.0, rooms={self.window.budget: room}, estimates=known)
        estimate = known.get(self.offer.key, estimates.UNKNOWN)
        plain = priced(self.offer, drawn.demand, estimate)
        assert isinstance(plain, Candidate)
        found = fitted(plain, drawn.demand, snapshot)
        if not isinstance(found, Candidate):
            return None
        self.made += 1
        held = Held(drawn, f"call-{self.made}", found)
        reservations.reserve(
            self.db,
            reservation=held.name,
            call_id=held.name,
            attempt=1,
            owner="bench",
            amount_nano=found.held_nano or 0,
            windows=[self.window],
            now=0.0,
            lease_until=900.0,
        )
        return held

    def end(self, held: Held) -> None:
        cap, drawn = held.candidate.max_tokens, held.drawn
        wrote = min(cap, drawn.wrote)
        nano = cost(RATES, Usage(input=drawn.read, output=wrote))
        self.cut += drawn.wrote > cap
        self.over_held += nano > (held.candidate.held_nano or 0)
        reservations.settle(self.db, held.name, nano, 0.0)
        self.learn(drawn, wrote, cap)

    def learn(self, drawn: Drawn, wrote: int, cap: int) -> None:
        estimated = drawn.demand.input_expected
        lesson = estimates.lesson(
            read=drawn.read, wrote=wrote, estimated=estimated, cap=cap, seconds=None
        )
        estimate_rows.learn(self.db, self.offer.key, lesson, 0.0)

    def ran(self) -> Ran:
        there = reservations.standing(self.db, self.window)
        assert there.reserved_nano == 0
        return Ran(self.made, self.cut, self.over_held, max(0, there.spent_nano - DOLLAR_NANO))


def run(folder: Path, reserve: Reserve, seed: int, lanes: int | None, longer: float) -> Ran:
    """Without `lanes`: all at once until one is refused; then they all end."""
    with closing(connect(folder / "ledger.db")) as db:
        migrate(db)
        db.execute("BEGIN IMMEDIATE")
        budget = Budget(db, reserve, random.Random(seed))
        for _ in range(BEFORE):
            drawn = budget.draw()
            budget.learn(drawn, min(CAP, drawn.wrote), CAP)
        under_way, refused = deque[Held](), False
        while not refused or under_way:
            if refused or (lanes is not None and len(under_way) >= lanes):
                budget.end(under_way.popleft())
                continue
            held = budget.begin(budget.draw(longer))
            if held is not None:
                under_way.append(held)
            elif not under_way or lanes is None:
                refused = True
            else:
                budget.end(under_way.popleft())
        db.execute("COMMIT")
        return budget.ran()


def told(reserve: Reserve, given: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {"reserve": reserve, "runs": given.runs, "longer": given.longer}
    for word, lanes in (("at_once", None), ("in_all", given.lanes)):
        runs: list[Ran] = []
        for seed in range(given.runs):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(run(Path(folder), reserve, seed, lanes, given.longer))
        calls = sum(each.calls for each in runs)
        found |= {
            word: statistics.median(each.calls for each in runs),
            f"{word}_cut": round(sum(each.cut for each in runs) / calls, 4),
            f"{word}_over_held": round(sum(each.over_held for each in runs) / calls, 4),
            f"{word}_worst_over_usd": max(each.over_nano for each in runs) / DOLLAR_NANO,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--longer", type=float, default=1.0)
    given = parser.parse_args()
    for reserve in ("bound", "expected"):
        sys.stdout.write(json.dumps(told(reserve, given)) + "\n")


if __name__ == "__main__":
    main()
