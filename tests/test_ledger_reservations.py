"""Money held, spent and given back."""

import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.errors import OverBudget
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.owners import Owner
from roundhouse_mcp.server.ledger.reaping import LEASE_GRACE_S, reap
from roundhouse_mcp.server.ledger.records import InflightRow, begin
from roundhouse_mcp.server.ledger.reservations import (
    Standing,
    Warned,
    presume,
    release,
    reserve,
    settle,
    standing,
    standings,
)

NOW = 1_000_000.0


def window(budget: str, limit_nano: int, *, start: float = 0.0, warn_at: float = 0.8) -> Window:
    scope = budget.split("/")[0]
    return Window(
        budget=budget,
        scope=scope,
        period="day",
        start=start,
        end=start + 86400.0,
        limit_nano=limit_nano,
        warn_at=warn_at,
    )


GLOBAL = window("global/day", 1000)
CLIENT = window("client:cursor/day", 500)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    db = connect(tmp_path / "ledger.db")
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def take(
    db: Connection, name: str, amount: int, *windows: Window, lease_until: float = NOW + 60
) -> list[Warned]:
    return reserve(
        db,
        reservation=name,
        call_id=f"call-{name}",
        attempt=1,
        owner="me",
        amount_nano=amount,
        windows=windows,
        now=NOW,
        lease_until=lease_until,
    )


def events(db: Connection) -> list[tuple[str, str, int]]:
    query = "SELECT kind, budget, amount_nano FROM budget_events ORDER BY id"
    return db.execute(query).fetchall()


def state(db: Connection, name: str) -> tuple[str, int | None]:
    query = "SELECT state, cost_nano FROM reservations WHERE id = ?"
    row: tuple[str, int | None] = db.execute(query, (name,)).fetchone()
    return row


def test_a_reservation_counts_in_every_window(db: Connection) -> None:
    take(db, "a", 300, GLOBAL, CLIENT)

    both = standings(db, [GLOBAL, CLIENT])
    assert both == {
        "global/day": Standing(reserved_nano=300),
        "client:cursor/day": Standing(reserved_nano=300),
    }


def test_the_last_nano_dollar_can_be_reserved_and_no_more(db: Connection) -> None:
    take(db, "a", 1000, GLOBAL)

    with pytest.raises(OverBudget) as refused:
        take(db, "b", 1, GLOBAL)

    assert (refused.value.needed_nano, refused.value.free_nano) == (1, 0)
    assert refused.value.budget == "global/day"
    assert refused.value.resets_at == GLOBAL.end


def test_one_full_window_refuses_and_no_window_is_touched(db: Connection) -> None:
    with pytest.raises(OverBudget, match="client:cursor/day"):
        take(db, "a", 600, GLOBAL, CLIENT)

    assert standing(db, GLOBAL) == Standing()
    assert events(db) == [("refused", "client:cursor/day", 600)]


def test_what_costs_nothing_needs_no_room(db: Connection) -> None:
    take(db, "a", 1000, GLOBAL)

    take(db, "free", 0, GLOBAL)

    assert state(db, "free") == ("held", None)


def test_settling_spends_the_cost_and_frees_the_rest(db: Connection) -> None:
    take(db, "a", 300, GLOBAL, CLIENT)

    assert settle(db, "a", 120, NOW)
    assert standing(db, GLOBAL) == standing(db, CLIENT) == Standing(spent_nano=120)


def test_releasing_frees_all_of_it(db: Connection) -> None:
    take(db, "a", 300, GLOBAL)

    assert release(db, "a", NOW)
    assert standing(db, GLOBAL) == Standing()


def test_presuming_spends_all_of_it_and_says_so(db: Connection) -> None:
    take(db, "a", 300, GLOBAL)

    assert presume(db, "a", NOW) == 300
    assert standing(db, GLOBAL) == Standing(spent_nano=300)
    assert events(db) == [("presumed", "global/day", 300)]


def test_the_first_close_counts_and_later_ones_change_nothing(db: Connection) -> None:
    take(db, "a", 300, GLOBAL)
    settle(db, "a", 100, NOW)

    again = [settle(db, "a", 300, NOW), release(db, "a", NOW), presume(db, "a", NOW)]

    assert again == [False, False, None]
    assert standing(db, GLOBAL) == Standing(spent_nano=100)


def test_closing_what_was_never_reserved_changes_nothing(db: Connection) -> None:
    assert not release(db, "unknown", NOW)


def test_a_cost_above_the_reservation_is_recorded_as_it_is(db: Connection) -> None:
    take(db, "a", 300, GLOBAL)

    settle(db, "a", 1200, NOW)

    assert standing(db, GLOBAL) == Standing(spent_nano=1200)
    assert events(db)[-1] == ("overrun", "global/day", 1200)


def test_a_call_that_crosses_midnight_counts_on_the_day_it_began(db: Connection) -> None:
    tomorrow = window("global/day", 1000, start=86400.0)
    take(db, "a", 300, GLOBAL)

    take(db, "b", 300, tomorrow)
    settle(db, "a", 200, NOW)

    assert standing(db, GLOBAL) == Standing(spent_nano=200)
    assert standing(db, tomorrow) == Standing(reserved_nano=300)


def test_a_budget_warns_once_per_window_when_its_mark_is_reached(db: Connection) -> None:
    told = [take(db, name, amount, GLOBAL) for name, amount in (("a", 700), ("b", 100), ("c", 50))]

    assert [len(each) for each in told] == [0, 1, 0]
    assert told[1][0] == Warned(
        budget="global/day", committed_nano=800, limit_nano=1000, resets_at=GLOBAL.end
    )
    assert events(db) == [("warned", "global/day", 800)]


def test_a_raised_limit_counts_at_once_and_may_warn_again(db: Connection) -> None:
    take(db, "a", 900, GLOBAL)
    raised = window("global/day", 10_000)

    quiet = take(db, "b", 900, raised)
    told = take(db, "c", 7000, raised)

    assert (quiet, len(told)) == ([], 1)
    assert [kind for kind, _, _ in events(db)] == ["warned", "changed", "warned"]


def test_a_limit_lowered_below_what_is_spent_refuses_politely(db: Connection) -> None:
    take(db, "a", 900, GLOBAL)

    with pytest.raises(OverBudget) as refused:
        take(db, "b", 1, window("global/day", 100))

    assert refused.value.free_nano == 0


def test_a_lease_that_ended_long_ago_is_presumed_even_of_a_living_owner(
    db: Connection, tmp_path: Path
) -> None:
    owner = Owner.claim(tmp_path, "me")
    take(db, "old", 300, GLOBAL, lease_until=NOW)
    take(db, "young", 300, GLOBAL, lease_until=NOW + 60)

    presumed = reap(db, tmp_path, "other", NOW + LEASE_GRACE_S + 1)
    owner.release()

    assert [each.reservation for each in presumed] == ["old"]
    assert state(db, "young") == ("held", None)


def test_a_clock_that_steps_takes_no_money_from_a_call_that_still_runs(
    db: Connection, tmp_path: Path
) -> None:
    """Found by the simulation: its attempt cost one sum, and its budget another."""
    owner = Owner.claim(tmp_path, "me")
    running = InflightRow(
        call_id="call-old",
        tool="complete",
        server="s",
        owner="me",
        client="cursor",
        project="/p",
        phase="stream",
        started=NOW,
        beat=NOW,
    )
    begin(db, running)
    take(db, "old", 300, GLOBAL, lease_until=NOW)

    presumed = reap(db, tmp_path, "other", NOW + 10 * LEASE_GRACE_S)
    owner.release()

    assert presumed == []
    assert settle(db, "old", 10, NOW)


# The model: three owners with connections of their own, three overlapping budgets, closes that come
# late, twice or from others, limits that change, owners that die, also half-way through a
# transaction, and come back.

BUDGETS: tuple[str, ...] = ("a", "b", "c")
OWNERS = st.integers(0, 2)
NAMES = st.frozensets(st.sampled_from(BUDGETS), min_size=1)
AMOUNTS = st.integers(1, 3000)
ROWS = """
SELECT ifnull(sum(iif(state = 'held', amount_nano, 0)), 0), ifnull(sum(cost_nano), 0)
FROM reservation_windows JOIN reservations ON id = reservation WHERE budget = ?
"""


@dataclass(frozen=True, slots=True)
class Held:
    amount: int
    names: frozenset[str]
    owner: str


class LedgerModel(RuleBasedStateMachine):
    reserved = Bundle("reserved")

    @initialize(limits=st.tuples(*[st.integers(0, 5000)] * len(BUDGETS)))
    def open(self, limits: tuple[int, ...]) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.run_dir = self.directory / "run"
        self.windows = {
            name: window(f"{name}/day", limit) for name, limit in zip(BUDGETS, limits, strict=True)
        }
        self.spent = dict.fromkeys(BUDGETS, 0)
        self.held: dict[str, Held] = {}
        self.db = self.connection()
        migrate(self.db)
        self.owners = [Owner.claim(self.run_dir) for _ in range(3)]
        self.connections = [self.connection() for _ in range(3)]
        self.number = 0

    def connection(self) -> Connection:
        db = connect(self.directory / "ledger.db")
        db.execute("PRAGMA synchronous=OFF")
        return db

    @contextmanager
    def transaction(self, owner: int) -> Generator[Connection, None, None]:
        db = self.connections[owner]
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        finally:
            db.execute("COMMIT")

    def reserved_in(self, budget: str) -> int:
        return sum(held.amount for held in self.held.values() if budget in held.names)

    def next_name(self) -> str:
        self.number += 1
        return f"r{self.number}"

    def take(self, db: Connection, owner: int, name: str, names: Iterable[str], most: int) -> None:
        reserve(
            db,
            reservation=name,
            call_id=name,
            attempt=1,
            owner=self.owners[owner].id,
            amount_nano=most,
            windows=[self.windows[each] for each in sorted(names)],
            now=NOW,
            lease_until=NOW + 60,
        )

    @rule(target=reserved, owner=OWNERS, names=NAMES, amount=AMOUNTS)
    def reserve(self, owner: int, names: frozenset[str], amount: int) -> str:
        reservation = self.next_name()
        fits = all(
            self.spent[name] + self.reserved_in(name) + amount <= self.windows[name].limit_nano
            for name in names
        )
        granted = False
        with self.transaction(owner) as db, suppress(OverBudget):
            self.take(db, owner, reservation, names, amount)
            granted = True
        assert granted == fits
        if granted:
            self.held[reservation] = Held(amount, names, self.owners[owner].id)
        return reservation

    def spend(self, reservation: str, cost: int) -> None:
        for name in self.held.pop(reservation).names:
            self.spent[name] += cost

    @rule(owner=OWNERS, reservation=reserved, share=st.floats(0, 1))
    def settle(self, owner: int, reservation: str, share: float) -> None:
        there = self.held.get(reservation)
        cost = int(there.amount * share) if there else 1
        with self.transaction(owner) as db:
            assert settle(db, reservation, cost, NOW) == (there is not None)
        if there:
            self.spend(reservation, cost)

    @rule(owner=OWNERS, reservation=reserved)
    def release(self, owner: int, reservation: str) -> None:
        with self.transaction(owner) as db:
            assert release(db, reservation, NOW) == (reservation in self.held)
        self.held.pop(reservation, None)

    @rule(owner=OWNERS, reservation=reserved)
    def presume(self, owner: int, reservation: str) -> None:
        there = self.held.get(reservation)
        with self.transaction(owner) as db:
            assert presume(db, reservation, NOW) == (there.amount if there else None)
        if there:
            self.spend(reservation, there.amount)

    @rule(owner=OWNERS, reservation=st.text(max_size=3))
    def close_what_nobody_reserved(self, owner: int, reservation: str) -> None:
        with self.transaction(owner) as db:
            assert not settle(db, f"no {reservation}", 1, NOW)

    @rule(name=st.sampled_from(BUDGETS), more=st.integers(0, 2000))
    def raise_a_limit(self, name: str, more: int) -> None:
        there = self.windows[name]
        self.windows[name] = replace(there, limit_nano=there.limit_nano + more)

    @rule(owner=OWNERS)
    def die_and_come_back(self, owner: int) -> None:
        self.connections[owner].close()
        self.owners[owner].release()
        self.owners[owner] = Owner.claim(self.run_dir)
        self.connections[owner] = self.connection()

    @rule(owner=OWNERS, names=NAMES, amount=AMOUNTS, closes=st.booleans())
    def die_before_the_commit(
        self, owner: int, names: frozenset[str], amount: int, closes: bool
    ) -> None:
        db = self.connections[owner]
        db.execute("BEGIN IMMEDIATE")
        with suppress(OverBudget):
            self.take(db, owner, self.next_name(), names, amount)
        for reservation in list(self.held) if closes else []:
            settle(db, reservation, 1, NOW)
        self.die_and_come_back(owner)

    @rule(owner=OWNERS)
    def reap(self, owner: int) -> None:
        living = {each.id for each in self.owners}
        dead = {name: held.amount for name, held in self.held.items() if held.owner not in living}
        with self.transaction(owner) as db:
            presumed = reap(db, self.run_dir, self.owners[owner].id, NOW)
        assert {each.reservation: each.amount_nano for each in presumed} == dead
        for name, amount in dead.items():
            self.spend(name, amount)

    @invariant()
    def the_windows_agree(self) -> None:
        for name, each in getattr(self, "windows", {}).items():
            there = standing(self.db, each)
            held, spent = self.reserved_in(name), self.spent[name]
            assert there == Standing(spent_nano=spent, reserved_nano=held)
            assert there.committed_nano <= each.limit_nano
            assert self.db.execute(ROWS, (each.budget,)).fetchone() == (held, spent)

    def teardown(self) -> None:
        if hasattr(self, "connections"):
            for db in (self.db, *self.connections):
                db.close()
            for owner in self.owners:
                owner.release()
            shutil.rmtree(self.directory)


TestLedgerModel = LedgerModel.TestCase
TestLedgerModel.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
