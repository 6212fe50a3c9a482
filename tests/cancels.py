"""Cancellation at every await: does a call that is cancelled leave money held?

Whole calls through a server in this process: candidates that fail, retries, falling back, queueing,
streaming, embedding. Each is cancelled after a random number of turns of the event loop or a random
time, and the server leaves while some still run. Nothing may stay reserved or in flight, every
reservation must have its attempt, and what is spent must be what the attempts cost. This is
`python -m tests.crash --cancels 100000`.
"""

import multiprocessing
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
from seats import Inside, budget, chain, rows, scripted, seated

AT_ONCE = 48
LONGEST_TURNS = 1000
LONGEST_S = 0.25
CONFIG = (
    scripted("full", "status=429", more="concurrency = 8"),
    scripted("broken", "status=503", more="concurrency = 8"),
    scripted("torn", "text=one%20two%20three&cut_after=2", more="concurrency = 8"),
    scripted("good", "text=one%20two%20three&delay_ms=5", more="concurrency = 8"),
    chain("full", "broken", "torn", "good"),
    budget("100000"),
    budget("100000", scope="provider:good", period="month"),
    '[circuits]\nenabled = false\n[retries]\nbase_delay_ms = 10\nmid_stream = "restart"\n',
)


NUMBERS = (
    "held",
    "reserved_nano",
    "in_flight",
    "without_attempt",
    "totals_differ",
    "asked",
    "cancelled",
)


class Leaving(Exception):
    """The server goes while calls run."""


@dataclass(slots=True, kw_only=True)
class Leaks:
    """What cancelled calls left behind: the first five must be 0."""

    held: int = 0
    reserved_nano: int = 0
    in_flight: int = 0
    without_attempt: int = 0
    totals_differ: int = 0
    asked: int = 0
    cancelled: int = 0
    calls: dict[str, int] = field(default_factory=dict[str, int])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    reservations: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def wrong(self) -> bool:
        return any(getattr(self, name) for name in NUMBERS[:5])

    def add(self, other: "Leaks") -> None:
        for name in ("calls", "attempts", "reservations"):
            mine: dict[str, int] = getattr(self, name)
            others: dict[str, int] = getattr(other, name)
            both = {key: mine.get(key, 0) + others.get(key, 0) for key in mine | others}
            setattr(self, name, both)
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


async def ask(seat: Inside, dice: random.Random) -> None:
    luck = dice.random()
    if luck < 0.1:
        await seat.call("embed", texts=["one", "two"], model="good/m")
    elif luck < 0.4:
        await seat.call("complete", prompt="Hi", model="good/m", max_tokens=64)
    else:
        await seat.call("complete", prompt="Hi", max_tokens=64)


async def ask_and_cancel(seat: Inside, dice: random.Random) -> bool:
    """Whether the call was cancelled before it ended."""
    if dice.random() < 0.5:
        with anyio.move_on_after(dice.uniform(0, LONGEST_S)) as scope:
            await ask(seat, dice)
        return scope.cancelled_caught
    ended = False
    async with anyio.create_task_group() as group:

        async def once() -> None:
            nonlocal ended
            await ask(seat, dice)
            ended = True
            group.cancel_scope.cancel()

        group.start_soon(once)
        for _ in range(dice.randrange(LONGEST_TURNS)):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return not ended


async def cancel_many(home: Path, count: int, seed: int) -> Leaks:
    dice, leaks, left = random.Random(seed), Leaks(asked=count), count

    async def keep_asking(seat: Inside) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            cancelled = await ask_and_cancel(seat, dice)
            leaks.cancelled += cancelled

    with suppress(Leaving):
        async with seated(home, *CONFIG) as seat:
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(keep_asking, seat)
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(ask, seat, dice)
                await anyio.sleep(LONGEST_S / 2)
                raise Leaving
    look(home, leaks)
    return leaks


def look(home: Path, leaks: Leaks) -> None:
    def counts(query: str) -> dict[str, int]:
        return {row["what"]: row["n"] for row in rows(home, query)}

    (held,) = rows(
        home,
        "SELECT sum(state = 'held') AS n,"
        " (SELECT sum(reserved_nano) FROM budget_windows) AS reserved,"
        " (SELECT count(*) FROM inflight) AS in_flight,"
        " (SELECT spent_nano FROM budget_windows WHERE budget = 'global/total') AS spent,"
        " (SELECT sum(cost_nano) FROM attempts) AS cost, sum(cost_nano) AS closed,"
        " (SELECT sum(cost_nano) FROM usage_hour) AS hourly,"
        " sum(call_id NOT IN (SELECT call_id FROM attempts)) AS without_attempt FROM reservations",
    )
    leaks.held, leaks.reserved_nano = held["n"], held["reserved"]
    leaks.in_flight, leaks.without_attempt = held["in_flight"], held["without_attempt"]
    leaks.totals_differ = len({held[name] for name in ("spent", "cost", "closed", "hourly")}) - 1
    leaks.calls = counts("SELECT status AS what, count(*) AS n FROM calls GROUP BY 1")
    leaks.attempts = counts("SELECT outcome AS what, count(*) AS n FROM attempts GROUP BY 1")
    leaks.reservations = counts("SELECT state AS what, count(*) AS n FROM reservations GROUP BY 1")


def cancel_in(part: tuple[int, int]) -> Leaks:
    """A process's part of a long run: how many, and its seed."""
    with tempfile.TemporaryDirectory() as folder:
        return anyio.run(cancel_many, Path(folder), *part)


def cancel_over(processes: int, count: int, seed: int) -> Leaks:
    """The same over several processes, each with a server and a ledger of its own."""
    parts = [(count // processes, seed * 1000 + n) for n in range(processes)]
    leaks = Leaks()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        for each in pool.map(cancel_in, parts):
            leaks.add(each)
    return leaks
