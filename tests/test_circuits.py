"""Closed, open, half-open; cooldowns and holds; and the rows all processes share."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from roundhouse_mcp.providers import errors
from roundhouse_mcp.server.circuits import (
    LOCAL,
    Circuit,
    Kind,
    Policy,
    cooled,
    failed,
    held,
    judge,
    lifted,
    neutral_probe,
    opened,
    policy,
    probe_lease,
    probing,
    reset,
    succeeded,
    touched,
    tripped,
    verdict,
)
from roundhouse_mcp.server.ledger import circuit_rows
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.settings import CircuitSettings

NOW = 1_000_000.0
KEY = ("openai", "gpt-5")
NEW = Circuit(provider="openai", model="gpt-5")
POLICY = Policy(threshold=5, reset_s=60)
MIDDLE = 0.5  # the draw that adds no jitter


def fail(circuit: Circuit, now: float = NOW, *, times: int = 1, policy: Policy = POLICY) -> Circuit:
    for _ in range(times):
        circuit = failed(circuit, circuit.epoch, now, policy=policy, jitter=MIDDLE, error="faulted")
    return circuit


OPEN = fail(NEW, times=5)
PROBE = probing(OPEN, NOW + 60, owner="me", lease_until=NOW + 100)


def kind(circuit: Circuit | None, now: float = NOW, *, prober_alive: bool = True) -> str:
    found = verdict(circuit, now, prober_alive=prober_alive)
    return found.reason or found.kind


def test_what_was_never_seen_is_closed() -> None:
    assert kind(None) == "closed"


@pytest.mark.parametrize(("times", "expected"), [(1, "closed"), (4, "closed"), (5, "circuit_open")])
def test_the_fifth_failure_in_a_row_opens(times: int, expected: str) -> None:
    assert kind(fail(NEW, times=times)) == expected


def test_a_success_between_failures_starts_the_count_again() -> None:
    circuit = succeeded(fail(NEW, times=4), 0, NOW)

    assert circuit.failures == 0
    assert kind(fail(circuit, times=4)) == "closed"


def test_a_failure_long_ago_does_not_count_any_more() -> None:
    circuit = fail(fail(NEW, times=4), NOW + 301)

    assert (circuit.failures, circuit.first_failure_at) == (1, NOW + 301)


def test_a_success_on_a_closed_circuit_leaves_nothing_to_write() -> None:
    assert succeeded(NEW, 0, NOW) is NEW


def test_an_open_circuit_refuses_until_its_time_and_says_which() -> None:
    found = verdict(OPEN, NOW + 59)

    assert (found.reason, found.until) == ("circuit_open", NOW + 60)
    assert "5 failures in a row" in found.detail
    assert "faulted" in found.detail


def test_an_open_circuit_is_due_for_one_probe_after_its_time() -> None:
    assert kind(OPEN, NOW + 60) == "probe_due"


@pytest.mark.parametrize(
    ("count", "wait"), [(0, 60), (1, 120), (2, 240), (3, 480), (4, 600), (40, 600)]
)
def test_each_opening_in_a_row_lasts_twice_as_long_up_to_ten_minutes(
    count: int, wait: float
) -> None:
    circuit = opened(replace(NEW, open_count=count), NOW, policy=POLICY, jitter=MIDDLE)

    assert circuit.retry_at == pytest.approx(NOW + wait)


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 54), (0.5, 60), (1.0, 66)])
def test_the_waiting_time_is_spread_by_a_tenth(jitter: float, wait: float) -> None:
    assert opened(NEW, NOW, policy=POLICY, jitter=jitter).retry_at == pytest.approx(NOW + wait)


def test_while_one_call_probes_the_others_are_refused() -> None:
    found = verdict(PROBE, NOW + 61, prober_alive=True)

    assert (found.reason, found.until) == ("half_open", NOW + 100)


@pytest.mark.parametrize(("now", "alive"), [(NOW + 61, False), (NOW + 100, True)])
def test_a_probe_whose_caller_died_or_took_too_long_may_be_taken_over(
    now: float, alive: bool
) -> None:
    assert kind(PROBE, now, prober_alive=alive) == "probe_due"


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    circuit = succeeded(PROBE, PROBE.epoch, NOW + 61)

    assert (circuit.state, circuit.failures, circuit.open_count) == ("closed", 0, 0)
    assert circuit.probe_owner is None


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    circuit = fail(PROBE, NOW + 61)

    assert (circuit.state, circuit.open_count) == ("open", 2)
    assert circuit.retry_at == pytest.approx(NOW + 61 + 120)


def test_a_probe_without_a_verdict_leaves_the_next_call_to_probe_at_once() -> None:
    circuit = neutral_probe(PROBE, PROBE.epoch, NOW + 61)

    assert (circuit.state, circuit.open_count) == ("open", 1)
    assert kind(circuit, NOW + 61) == "probe_due"


def test_results_from_before_a_change_of_state_are_ignored() -> None:
    for circuit in (OPEN, PROBE, succeeded(PROBE, PROBE.epoch, NOW)):
        late = circuit.epoch - 1

        assert succeeded(circuit, late, NOW) is circuit
        assert neutral_probe(circuit, late, NOW) is circuit
        assert circuit is failed(circuit, late, NOW, policy=POLICY, jitter=MIDDLE, error="faulted")


def test_every_change_of_state_raises_the_epoch() -> None:
    closed = succeeded(PROBE, PROBE.epoch, NOW)
    states = [NEW, OPEN, PROBE, closed, tripped(closed, NOW, policy=POLICY, jitter=MIDDLE)]

    assert [circuit.epoch for circuit in states] == [0, 1, 2, 3, 4]


def test_a_local_program_opens_sooner_and_shorter() -> None:
    settings = CircuitSettings(failure_threshold=7, reset_timeout_s=30)

    circuit = fail(NEW, times=2, policy=policy(settings, local=True))

    assert (circuit.state, circuit.retry_at) == ("open", pytest.approx(NOW + 5))
    assert policy(settings, local=False) == Policy(threshold=7, reset_s=30)
    assert policy(settings, local=True) == LOCAL


@pytest.mark.parametrize(("timeout", "lease"), [(20, 25), (300, 120)])
def test_a_probe_counts_as_under_way_for_its_attempt_and_a_little_more(
    timeout: float, lease: float
) -> None:
    assert probe_lease(NOW, timeout) == NOW + lease


# Cooldowns and holds.


def test_a_cooldown_refuses_until_the_time_the_provider_said_and_is_no_failure() -> None:
    circuit = cooled(NEW, 0, NOW, until=NOW + 7)

    assert (kind(circuit, NOW + 6), kind(circuit, NOW + 7)) == ("cooldown", "closed")
    assert (circuit.state, circuit.failures) == ("closed", 0)


def test_a_provider_that_names_no_time_is_left_alone_longer_each_time() -> None:
    circuit, now, waits = NEW, NOW, list[float]()
    for _ in range(5):
        circuit = cooled(circuit, 0, now)
        assert circuit.cooldown_until is not None
        waits.append(circuit.cooldown_until - now)
        now = circuit.cooldown_until + 1

    assert waits == [10, 20, 40, 60, 60]


def test_answers_under_way_together_lengthen_a_cooldown_once() -> None:
    circuit = cooled(cooled(NEW, 0, NOW), 0, NOW + 1)

    assert (circuit.cooldown_s, circuit.cooldown_until) == (10, NOW + 11)


def test_after_a_quiet_time_a_cooldown_is_short_again() -> None:
    circuit = cooled(cooled(NEW, 0, NOW), 0, NOW + 100)

    assert circuit.cooldown_until == NOW + 110


def test_a_shorter_cooldown_does_not_cut_a_longer_one() -> None:
    circuit = cooled(cooled(NEW, 0, NOW, until=NOW + 60), 0, NOW + 1, until=NOW + 2)

    assert circuit.cooldown_until == NOW + 60


@pytest.mark.parametrize(
    ("reason", "until"), [("auth", NOW + 600), ("quota", NOW + 3600), ("manual", None)]
)
def test_a_hold_lasts_as_long_as_its_reason_says(reason: str, until: float | None) -> None:
    found = verdict(held(NEW, 0, NOW, reason=reason, by="me"), NOW + 599)

    assert (found.reason, found.until) == ("hold", until)
    assert reason in found.detail


BACK = NOW - 90_000.0


def test_a_clock_that_is_set_back_keeps_no_circuit_shut_for_that_long() -> None:
    opened_before = opened(NEW, NOW, policy=POLICY, jitter=MIDDLE)
    cooled_before = cooled(NEW, 0, NOW, until=NOW + 30)
    probed_before = probing(opened_before, NOW, owner="me", lease_until=NOW + 60)

    assert verdict(opened_before, BACK).kind == "probe_due"
    assert verdict(probed_before, BACK).kind == "probe_due"
    assert verdict(cooled_before, BACK).kind == "closed"
    assert cooled(cooled_before, 0, BACK, until=BACK + 5).cooldown_until == BACK + 5


def test_a_clock_that_is_set_back_ends_holds_that_run_out_and_none_of_the_users() -> None:
    refused = held(NEW, 0, NOW, reason="auth", by="s1")
    by_hand = held(NEW, 0, NOW, reason="manual", by="user", until=NOW + 60)

    assert verdict(refused, BACK).kind == "closed"
    assert verdict(by_hand, BACK).kind == "refused"


def test_a_row_another_process_wrote_a_moment_later_is_not_taken_for_a_clock_set_back() -> None:
    opened_later = opened(NEW, NOW, policy=POLICY, jitter=MIDDLE)

    assert verdict(opened_later, NOW - 5).kind == "refused"


def test_a_hold_can_be_lifted_and_runs_out() -> None:
    circuit = held(NEW, 0, NOW, reason="auth", by="me")

    assert kind(lifted(circuit, NOW)) == "closed"
    assert kind(circuit, NOW + 600) == "closed"


def test_a_success_clears_a_hold_that_ran_out_but_none_in_force() -> None:
    circuit = held(NEW, 0, NOW, reason="auth", by="me")

    assert succeeded(circuit, 0, NOW + 599) is circuit
    assert succeeded(circuit, 0, NOW + 600).hold_reason is None


def test_a_hold_by_hand_is_not_replaced_by_one_that_runs_out() -> None:
    circuit = held(NEW, 0, NOW, reason="manual", by="user")

    assert held(circuit, 0, NOW, reason="auth", by="server") is circuit


def test_a_probe_that_meets_a_cooldown_or_hold_ends_without_a_verdict() -> None:
    for circuit in (
        cooled(PROBE, PROBE.epoch, NOW + 61, until=NOW + 70),
        held(PROBE, PROBE.epoch, NOW + 61, reason="auth", by="me", until=NOW + 70),
    ):
        assert kind(circuit, NOW + 65) in ("cooldown", "hold")
        assert kind(circuit, NOW + 70) == "probe_due"


def test_a_reset_by_hand_closes_and_keeps_a_hold() -> None:
    circuit = reset(held(cooled(OPEN, 1, NOW), 1, NOW, reason="manual", by="me"), NOW)

    assert (circuit.state, circuit.cooldown_until) == ("closed", None)
    assert kind(circuit) == "hold"


# Both circuits a call passes.


def test_the_providers_own_circuit_refuses_all_its_models() -> None:
    whole = replace(OPEN, model="*")

    found, due = judge({whole.key: whole}, "openai", "gpt-5", NOW, alive=lambda owner: True)

    assert (found.reason, due) == ("circuit_open", ())


def test_every_probe_that_is_due_must_be_won() -> None:
    whole = replace(OPEN, model="*")

    found, due = judge(
        {whole.key: whole, OPEN.key: OPEN}, "openai", "gpt-5", NOW + 60, alive=lambda owner: True
    )

    assert (found.kind, due) == ("probe_due", (("openai", "*"), KEY))


def test_only_the_owner_of_a_probe_under_way_is_looked_for() -> None:
    asked: list[str] = []

    def alive(owner: str) -> bool:
        asked.append(owner)
        return False

    found, due = judge({PROBE.key: PROBE}, "openai", "gpt-5", NOW + 61, alive=alive)

    assert (found.kind, due, asked) == ("probe_due", (KEY,), ["me"])


@pytest.mark.parametrize(
    ("error", "whole", "one"),
    [
        (None, "success", "success"),
        (errors.Unreachable("p", "refused"), "failure", "neutral"),
        (errors.Faulted("p", "503"), "success", "failure"),
        (errors.TimedOut("p", "late"), "success", "failure"),
        (errors.Interrupted("p", "cut"), "success", "failure"),
        (errors.Garbled("p", "html"), "success", "failure"),
        (errors.Throttled("p", "429"), "success", "cooldown"),
        (errors.Locked("p", "401"), "hold", "neutral"),
        (errors.Exhausted("p", "402"), "hold", "neutral"),
        (errors.Misdirected("p", "certificate"), "hold", "neutral"),
        (errors.Misdirected("p", "404", model_specific=True), "success", "hold"),
        (errors.Refused("p", "400"), "success", "neutral"),
        (errors.TooLong("p", "400"), "success", "neutral"),
        (errors.Conflicted("p", "409"), "success", "neutral"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_counts_against_what_it_is_about(
    error: errors.UpstreamError | None, whole: Kind, one: Kind
) -> None:
    assert touched("p", "m", error) == ((("p", "*"), whole), (("p", "m"), one))


def test_a_deadline_of_the_callers_own_is_nobodys_failure() -> None:
    kinds = [kind for _, kind in touched("p", "m", errors.TimedOut("p", "late"), blameless=True)]

    assert "failure" not in kinds


# The rows.


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    db = connect(tmp_path / "ledger.db")
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def record_failures(db: Connection, times: int) -> None:
    for _ in range(times):
        circuit_rows.record_failure(
            db, KEY, epoch=0, now=NOW, error="faulted", policy=POLICY, jitter=MIDDLE, by="me"
        )


def events(db: Connection) -> list[tuple[str, str, str]]:
    query = "SELECT from_state, to_state, why FROM circuit_events ORDER BY id"
    return db.execute(query).fetchall()


def test_the_happy_path_writes_nothing(db: Connection) -> None:
    assert not circuit_rows.record_success(db, KEY, epoch=0, now=NOW, by="me")
    assert circuit_rows.load(db) == {}


def test_a_row_is_read_back_as_it_was_written(db: Connection) -> None:
    record_failures(db, 5)

    assert circuit_rows.load(db) == {KEY: OPEN}


def test_late_results_change_no_row(db: Connection) -> None:
    record_failures(db, 9)

    assert not circuit_rows.record_success(db, KEY, epoch=0, now=NOW, by="me")
    assert circuit_rows.load(db)[KEY].state == "open"


def test_only_the_first_who_saw_an_epoch_becomes_the_prober(db: Connection) -> None:
    record_failures(db, 5)

    won = [
        circuit_rows.take_probe(db, KEY, owner=owner, lease_until=NOW + 100, epoch=1, now=NOW + 60)
        for owner in ("me", "other")
    ]

    assert won == [2, None]
    assert circuit_rows.load(db)[KEY].probe_owner == "me"


def test_probes_are_won_together_or_not_at_all(db: Connection) -> None:
    record_failures(db, 5)
    whole = ("openai", "*")
    circuit_rows.trip(db, whole, now=NOW, by="me", policy=POLICY, jitter=MIDDLE)

    lost = circuit_rows.take_probes(
        db, [(whole, 1), (KEY, 0)], owner="me", lease_until=NOW + 100, now=NOW + 60
    )
    won = circuit_rows.take_probes(
        db, [(whole, 1), (KEY, 1)], owner="me", lease_until=NOW + 100, now=NOW + 60
    )

    assert (lost, won) == (None, {whole: 2, KEY: 2})


def test_every_change_people_can_see_is_an_event(db: Connection) -> None:
    record_failures(db, 5)
    circuit_rows.take_probe(db, KEY, owner="me", lease_until=NOW + 100, epoch=1, now=NOW + 60)
    circuit_rows.record(
        db, KEY, "success", epoch=2, now=NOW + 61, by="me", policy=POLICY, jitter=MIDDLE
    )
    circuit_rows.record(
        db,
        KEY,
        "cooldown",
        epoch=3,
        now=NOW + 62,
        by="me",
        policy=POLICY,
        jitter=MIDDLE,
        error="throttled",
        until=NOW + 63,
    )
    circuit_rows.hold(db, KEY, now=NOW + 64, by="user")
    circuit_rows.unhold(db, KEY, now=NOW + 65, by="user")

    assert events(db) == [
        ("closed", "open", "faulted"),
        ("open", "half_open", "probe"),
        ("half_open", "closed", "success"),
        ("closed", "cooldown", "throttled"),
        ("closed", "hold", "manual"),
        ("hold", "closed", "lifted by hand"),
    ]


def test_a_circuit_is_tripped_and_reset_by_hand(db: Connection) -> None:
    circuit_rows.trip(db, KEY, now=NOW, by="user", policy=POLICY, jitter=MIDDLE)
    tripped_state = circuit_rows.load(db)[KEY].state

    circuit_rows.reset(db, KEY, now=NOW, by="user")

    assert (tripped_state, circuit_rows.load(db)[KEY].state) == ("open", "closed")
    assert [why for _, _, why in events(db)] == ["tripped by hand", "reset by hand"]
