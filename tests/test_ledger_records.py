"""Calls in flight and calls that ended, servers and what is asked of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from roundhouse_mcp.server.ledger import control_rows, reservations, servers
from roundhouse_mcp.server.ledger.control_rows import Control
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.reaping import reap
from roundhouse_mcp.server.ledger.records import (
    AttemptRow,
    CallRow,
    InflightRow,
    Progress,
    add_attempt,
    advance,
    beat_many,
    begin,
    counters,
    draw,
    finish,
)

NOW = 1_000_000.0
RUNNING = InflightRow(
    call_id="c1",
    tool="complete",
    server="s1",
    owner="o1",
    client="cursor",
    project="/p",
    phase="queue",
    started=NOW,
    beat=NOW,
)
FIRST = AttemptRow(
    call_id="c1",
    n=1,
    provider="openai",
    model="gpt-5",
    started=NOW,
    ended=NOW + 1,
    outcome="timed_out",
    input_tokens=10,
    cost_nano=70,
    cost_kind="presumed",
)
SECOND = AttemptRow(
    call_id="c1",
    n=2,
    provider="anthropic",
    model="claude",
    started=NOW + 1,
    ended=NOW + 2,
    outcome="ok",
    input_tokens=10,
    output_tokens=5,
    cost_nano=30,
    cost_kind="actual",
)
CALL = CallRow(
    call_id="c1",
    tool="complete",
    server="s1",
    client="cursor",
    project="/p",
    status="ok",
    provider="anthropic",
    model="claude",
    started=NOW,
    ended=NOW + 2,
    attempts=2,
    cost_nano=100,
    cost_kind="presumed",
)
SERVER = servers.ServerRow(
    id="s1",
    owner="o1",
    pid=1,
    host="here",
    client="cursor",
    project="/p",
    version="0.1",
    config_hash="x",
    started=NOW,
    beat=NOW,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    db = connect(tmp_path / "ledger.db")
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def test_a_running_call_is_advanced_column_by_column(db: Connection) -> None:
    begin(db, RUNNING)

    advance(db, "c1", phase="stream", provider="openai", beat=NOW + 1)

    query = "SELECT phase, provider, beat, started FROM inflight"
    assert db.execute(query).fetchall() == [("stream", "openai", NOW + 1, NOW)]


def test_advancing_a_column_that_is_not_there_is_refused(db: Connection) -> None:
    with pytest.raises(ValueError, match="no column phase = 'x'; --"):
        advance(db, "c1", **{"phase = 'x'; --": 1})


def test_progress_of_several_calls_is_written_at_once(db: Connection) -> None:
    begin(db, RUNNING)
    begin(db, replace(RUNNING, call_id="c2", input_tokens=9))

    beat_many(
        db,
        [
            Progress(call_id="c1", phase="stream", output_tokens=3, first_token_at=NOW + 1),
            Progress(call_id="c2", phase="wait"),
        ],
        NOW + 5,
    )

    query = "SELECT phase, output_tokens, input_tokens, first_token_at, beat FROM inflight"
    assert db.execute(query).fetchall() == [
        ("stream", 3, None, NOW + 1, NOW + 5),
        ("wait", 0, 9, None, NOW + 5),
    ]


def test_a_call_that_ends_leaves_flight_with_all_its_rows(db: Connection) -> None:
    begin(db, RUNNING)

    assert finish(db, CALL, [FIRST, SECOND], '{"chosen": "claude"}')
    assert db.execute("SELECT count(*) FROM inflight").fetchone() == (0,)
    assert db.execute("SELECT status, cost_nano FROM calls").fetchall() == [("ok", 100)]
    assert db.execute("SELECT n, outcome FROM attempts").fetchall() == [(1, "timed_out"), (2, "ok")]
    assert db.execute("SELECT json FROM decisions").fetchall() == [('{"chosen": "claude"}',)]


def test_attempts_written_as_they_ended_are_not_written_twice(db: Connection) -> None:
    add_attempt(db, FIRST)

    finish(db, CALL, [FIRST, SECOND])

    assert db.execute("SELECT count(*) FROM attempts").fetchone() == (2,)


def test_a_call_ends_once(db: Connection) -> None:
    finish(db, CALL, [FIRST, SECOND])

    assert not finish(db, replace(CALL, status="failed"), [FIRST, SECOND])
    assert db.execute("SELECT status FROM calls").fetchall() == [("ok",)]
    assert db.execute("SELECT sum(calls), sum(cost_nano) FROM usage_hour").fetchone() == (1, 100)


def test_hourly_totals_count_money_where_it_went(db: Connection) -> None:
    finish(db, CALL, [FIRST, SECOND])
    failed = replace(CALL, call_id="c2", status="failed", cost_nano=None, cost_kind="unknown")
    unpriced = replace(SECOND, call_id="c2", n=1, cost_nano=None, cost_kind="unknown")
    finish(db, failed, [unpriced])

    query = (
        "SELECT provider, hour, calls, errors, attempts, input_tokens, output_tokens, cost_nano,"
        " presumed_nano, unpriced FROM usage_hour ORDER BY provider"
    )
    hour = int(NOW // 3600)
    assert db.execute(query).fetchall() == [
        ("anthropic", hour, 2, 1, 2, 20, 10, 30, 0, 1),
        ("openai", hour, 0, 0, 1, 10, 0, 70, 70, 0),
    ]


@pytest.mark.parametrize("status", ["refused", "cancelled"])
def test_what_the_caller_decided_is_no_error(status: str, db: Connection) -> None:
    finish(db, replace(CALL, status=status), [])

    assert db.execute("SELECT sum(calls), sum(errors) FROM usage_hour").fetchone() == (1, 0)


def test_a_counter_starts_at_nought_and_gives_each_number_once(db: Connection) -> None:
    before = counters(db).get("round_robin", 0)

    drawn = [draw(db, "round_robin") for _ in range(3)]

    assert before == drawn[0]
    assert drawn == [0, 1, 2]
    assert counters(db) == {"round_robin": 3}


def test_a_lost_call_keeps_the_attempts_it_had_and_the_one_that_was_cut_off(
    db: Connection, tmp_path: Path
) -> None:
    begin(db, replace(RUNNING, phase="stream", attempt=2, provider="anthropic", model="claude"))
    add_attempt(db, FIRST)
    reservations.reserve(
        db,
        reservation="r2",
        call_id="c1",
        attempt=2,
        owner="o1",
        amount_nano=55,
        windows=[],
        now=NOW + 1,
        lease_until=NOW + 60,
        provider="anthropic",
        model="claude",
    )

    presumed = reap(db, tmp_path, "me", NOW + 9)

    assert [each.amount_nano for each in presumed] == [55]
    query = "SELECT n, provider, outcome, cost_nano, cost_kind FROM attempts ORDER BY n"
    assert db.execute(query).fetchall() == [
        (1, "openai", "timed_out", 70, "presumed"),
        (2, "anthropic", "lost", 55, "presumed"),
    ]
    query = "SELECT status, attempts, cost_nano, cost_kind FROM calls"
    assert db.execute(query).fetchall() == [("lost", 2, 125, "presumed")]


def test_a_lost_attempt_without_a_reservation_has_an_unknown_cost(
    db: Connection, tmp_path: Path
) -> None:
    begin(db, replace(RUNNING, phase="wait", attempt=1, provider="x", model="m"))

    reap(db, tmp_path, "me", NOW + 9)

    query = "SELECT cost_nano, cost_kind FROM calls"
    assert db.execute(query).fetchall() == [(None, "unknown")]


def test_a_call_lost_before_its_first_attempt_cost_nothing(db: Connection, tmp_path: Path) -> None:
    begin(db, RUNNING)

    reap(db, tmp_path, "me", NOW + 9)

    query = "SELECT status, attempts, cost_nano, cost_kind FROM calls"
    assert db.execute(query).fetchall() == [("lost", 0, None, "none")]


# Servers.


def test_a_server_beats_until_it_ends(db: Connection) -> None:
    servers.register_server(db, SERVER)

    servers.beat_server(db, "s1", NOW + 5)
    servers.end_server(db, "s1", NOW + 9)

    query = "SELECT id, beat, ended FROM servers"
    assert db.execute(query).fetchall() == [("s1", NOW + 9, NOW + 9)]


def test_the_servers_that_run_are_those_whose_owner_lives(db: Connection) -> None:
    for n in (1, 2, 3):
        servers.register_server(db, replace(SERVER, id=f"s{n}", owner=f"o{n}", started=NOW + n))
    servers.end_server(db, "s3", NOW)

    assert servers.living(db, {"o1", "o3"}.__contains__) == ["s1"]


# What is asked of them.


def waiting(db: Connection, server_id: str, *, at: float = NOW, dead: str = "") -> list[Control]:
    return control_rows.waiting(db, server_id, at, alive=lambda owner: owner != dead)


@pytest.fixture
def two(db: Connection) -> Connection:
    for n in (1, 2):
        servers.register_server(db, replace(SERVER, id=f"s{n}", owner=f"o{n}"))
    return db


def test_a_request_is_taken_by_one_server(two: Connection) -> None:
    control_rows.ask(two, by="tui", kind="unload", argument='{"model": "x"}', now=NOW)

    (first,), (second,) = waiting(two, "s1"), waiting(two, "s2")
    taken = [control_rows.take(two, first, "s1", NOW), control_rows.take(two, second, "s2", NOW)]

    assert (first.by, first.kind, first.argument) == ("tui", "unload", '{"model": "x"}')
    assert taken == [True, False]
    assert waiting(two, "s2") == []


def test_a_request_whose_taker_died_is_taken_again_until_it_is_done(two: Connection) -> None:
    number = control_rows.ask(two, by="tui", kind="unload", now=NOW)
    control_rows.take(two, waiting(two, "s1")[0], "s1", NOW)

    (again,) = waiting(two, "s2", dead="o1")
    late = replace(again, taken_by=None)
    taken = [control_rows.take(two, each, "s2", NOW) for each in (late, again)]
    control_rows.finish(two, number, "{}", NOW)

    assert taken == [False, True]
    assert waiting(two, "s1", dead="o2") == []


def test_a_request_to_a_server_waits_for_that_server_as_long_as_it_lives(two: Connection) -> None:
    control_rows.ask(two, by="tui", kind="cancel", target="s2", now=NOW)

    found = [waiting(two, "s1"), waiting(two, "s2"), waiting(two, "s1", dead="o2")]

    assert [len(each) for each in found] == [0, 1, 1]


def test_a_request_nobody_took_in_time_is_not_taken_any_more(two: Connection) -> None:
    control_rows.ask(two, by="tui", kind="unload", now=NOW)

    assert waiting(two, "s1", at=NOW + control_rows.EXPIRES_S) == []


def test_the_result_of_a_request_is_kept_for_a_day(two: Connection) -> None:
    number = control_rows.ask(two, by="tui", kind="unload", now=NOW)
    control_rows.take(two, waiting(two, "s1")[0], "s1", NOW)
    control_rows.finish(two, number, '"done"', NOW + 1)

    answer = control_rows.answer(two, number)
    control_rows.ask(two, by="tui", kind="unload", now=NOW + control_rows.KEPT_S + 1)

    assert answer == control_rows.Answer(taken_by="s1", result='"done"')
    assert two.execute("SELECT COUNT(*) FROM control").fetchone() == (1,)


def test_the_server_to_ask_about_a_call_is_the_one_it_runs_in(db: Connection) -> None:
    begin(db, RUNNING)

    assert control_rows.server_of(db, "c1") == "s1"
    assert control_rows.server_of(db, "c2") is None


def test_somebody_watches_while_a_lease_is_fresh(db: Connection) -> None:
    servers.watch(db, "tui", pid=1, until=NOW + 15)

    fresh, over = servers.watching(db, NOW + 14), servers.watching(db, NOW + 15)
    servers.unwatch(db, "tui", now=NOW)

    assert (fresh, over, servers.watching(db, NOW)) == (True, False, False)
