"""Circuits set by hand: what an order may say, what it reaches, and how things stand then."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from seats import scripted, served, write_config

from roundhouse_mcp.server import config, steering
from roundhouse_mcp.server.circuits import Policy
from roundhouse_mcp.server.errors import BadRequest, NotFound
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.keys import Keys
from roundhouse_mcp.server.ledger import circuit_rows
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.registry import Registry
from roundhouse_mcp.server.settings import CircuitSettings
from roundhouse_mcp.server.steering import Order, Steered

NOW = 1_000_000.0
MIDDLE = 0.5


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    here = served("here", "http://127.0.0.1:9/v1", more="local = true")
    write_config(tmp_path, scripted("one", models="m n"), here)
    home = Home(tmp_path)
    return Registry.build(config.load(home, {}).settings, Keys.load(home, {}), {})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    db = connect(tmp_path / "ledger.db")
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def order(registry: Registry, act: str, provider: Any, model: Any = None, **more: Any) -> Order:
    argument = {"provider": provider, "model": model, **more}
    return steering.understood(act, argument, registry, CircuitSettings(), NOW)


def done(db: Connection, order: Order, *, at: float = NOW) -> Steered:
    run_dir = Path("nowhere")
    return steering.steer(db, order, now=at, by="cli", jitter=MIDDLE, run_dir=run_dir)


def states(db: Connection) -> dict[str, str]:
    rows = circuit_rows.load(db)
    return {"/".join(key): circuit_rows.shown(row, NOW) for key, row in sorted(rows.items())}


@pytest.mark.parametrize(
    ("act", "provider", "model", "more", "words"),
    [
        ("explode", "one", None, {}, "cannot be told to 'explode'"),
        ("trip", 7, None, {}, "named by provider and model"),
        ("trip", "one", ["m"], {}, "named by provider and model"),
        ("trip", "one", "m\ud800", {}, "is no model's name"),
        ("hold", "one", "m", {"until": NOW}, "lies in the past"),
        ("hold", "one", "m", {"until": float("nan")}, "lies in the past"),
        ("hold", "one", "m", {"until": 10**400}, "more than a year away"),
        ("hold", "one", "m", {"until": True}, "is epoch seconds"),
        ("hold", "one", "m", {"until": "soon"}, "is epoch seconds"),
        ("hold", "one", "m", {"note": 7}, "as text"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    registry: Registry, act: str, provider: Any, model: Any, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        order(registry, act, provider, model, **more)


def test_a_provider_nobody_has_is_refused_with_the_nearest_name(registry: Registry) -> None:
    with pytest.raises(NotFound) as refused:
        order(registry, "trip", "opnai")

    assert refused.value.next_step == "Did you mean 'openai'?"


def test_a_model_nobody_has_heard_of_is_refused_and_nothing_is_written(
    registry: Registry, db: Connection
) -> None:
    with pytest.raises(NotFound) as refused:
        done(db, order(registry, "trip", "one", "mm"))

    assert refused.value.next_step == "Did you mean one/m? Known: m, n."
    assert states(db) == {}


def test_a_model_that_calls_have_used_may_be_named_though_it_is_not_listed(
    registry: Registry, db: Connection
) -> None:
    db.execute(
        "INSERT INTO usage_hour (hour, provider, model, task, client, project)"
        " VALUES (1, 'one', 'old', '', '', '')"
    )

    done(db, order(registry, "trip", "one", "old"))

    assert states(db) == {"one/old": "open"}


@pytest.mark.parametrize(("provider", "threshold_s"), [("one", 60), ("here", 5)])
def test_a_tripped_circuit_is_open_for_its_providers_own_time(
    registry: Registry, db: Connection, provider: str, threshold_s: float
) -> None:
    said = done(db, order(registry, "trip", provider, "m")).said

    assert circuit_rows.load(db)[provider, "m"].retry_at == NOW + threshold_s
    assert said.startswith(f"{provider}/m was tripped by hand; calls pass it by until 13:4")
    assert said.endswith(f"UTC (in {threshold_s} s)")


def test_the_whole_provider_can_be_tripped_and_reset_with_all_its_models(
    registry: Registry, db: Connection
) -> None:
    for model in (None, "m", "n"):
        done(db, order(registry, "trip", "one", model))
    done(db, order(registry, "trip", "here", "m"))

    reset = done(db, order(registry, "reset", "one"))

    assert reset == Steered(changed=3, said="one is reset (3 circuits); calls may use it")
    assert states(db) == {"here/m": "open", "one/*": "closed", "one/m": "closed", "one/n": "closed"}


def test_a_model_reset_alone_is_still_kept_out_by_its_provider(
    registry: Registry, db: Connection
) -> None:
    for model in (None, "m"):
        done(db, order(registry, "trip", "one", model))

    said = done(db, order(registry, "reset", "one", "m")).said

    assert said.startswith("one/m is reset, but it was tripped by hand; calls pass it by until ")


def test_a_reset_leaves_a_hold_and_says_so(registry: Registry, db: Connection) -> None:
    done(db, order(registry, "hold", "one"))
    done(db, order(registry, "trip", "one"))

    said = done(db, order(registry, "reset", "one")).said

    assert said == (
        "one is reset, but it is on hold (manual): set by hand; "
        "calls pass it by until `roundhouse circuit unhold one`"
    )


def test_a_hold_ends_by_itself_at_its_time(registry: Registry, db: Connection) -> None:
    said = done(db, order(registry, "hold", "one", "m", until=NOW + 86_400.0)).said
    later = done(db, order(registry, "reset", "one", "m"), at=NOW + 86_401.0).said

    assert said.endswith("until 1970-01-13 13:46:40 UTC (in 24 h)")
    assert later.endswith("calls may use it")


def test_a_hold_of_any_reason_is_lifted_by_hand(registry: Registry, db: Connection) -> None:
    circuit_rows.record_hold(
        db, ("one", "*"), epoch=0, now=NOW, reason="auth", error="locked", by="s1"
    )

    said = done(db, order(registry, "unhold", "one")).said

    assert said == "one is not on hold any more; calls may use it"


def test_the_hold_of_a_key_that_was_replaced_is_not_told_of(
    registry: Registry, db: Connection
) -> None:
    whole = ("one", "*")
    circuit_rows.record_hold(
        db, whole, epoch=0, now=NOW, reason="auth", error="locked", by="s1", mark="old"
    )
    reset = order(registry, "reset", "one")

    said = [done(db, replace(reset, mark=mark)).said for mark in ("new", "old")]

    assert said[0] == "one was closed already; calls may use it"
    assert said[1].startswith("one was closed already, but it is on hold (auth): ")


def test_the_reason_of_a_hold_is_told_as_one_plain_line_until_it_is_lifted(
    registry: Registry, db: Connection
) -> None:
    key, note = ("one", "*"), " moving\x1b]52;c;RQ==\x07 to\nthe new account " + "x" * 300
    said = done(db, order(registry, "hold", "one", note=note)).said
    held = circuit_rows.load(db)[key].hold_note
    done(db, order(registry, "unhold", "one"))

    assert held is not None
    assert held.startswith("moving ]52;c;RQ== to the new account xxx")
    assert len(held) == 200
    assert f"is on hold (manual): {held}; calls pass it by" in said
    assert circuit_rows.load(db)[key].hold_note is None
    assert db.execute("SELECT why FROM circuit_events ORDER BY id").fetchone() == (held,)


def test_a_probe_asked_for_is_made_by_the_next_call_through_both_circuits(
    registry: Registry, db: Connection
) -> None:
    for model in (None, "m"):
        done(db, order(registry, "trip", "one", model))

    said = done(db, order(registry, "probe", "one", "m"))

    assert said == Steered(
        changed=2, said="one/m waits no longer (2 circuits); the next call tests it"
    )
    assert states(db) == {"one/*": "open", "one/m": "open"}
    assert {row.retry_at for row in circuit_rows.load(db).values()} == {NOW}


@pytest.mark.parametrize(
    ("act", "words"),
    [("reset", "was closed"), ("unhold", "was not on hold"), ("probe", "was not waiting")],
)
def test_undoing_what_was_not_done_writes_nothing(
    registry: Registry, db: Connection, act: str, words: str
) -> None:
    said = done(db, order(registry, act, "one", "m"))

    assert said.changed == 0
    assert words in said.said
    assert states(db) == {}
    assert db.execute("SELECT COUNT(*) FROM circuit_events").fetchone() == (0,)


def test_every_change_by_hand_names_who_asked(registry: Registry, db: Connection) -> None:
    for act in ("trip", "reset", "hold", "unhold"):
        done(db, order(registry, act, "one", "m"))

    query = "SELECT to_state, by FROM circuit_events ORDER BY id"
    assert db.execute(query).fetchall() == [
        ("open", "cli"),
        ("closed", "cli"),
        ("hold", "cli"),
        ("closed", "cli"),
    ]


def test_the_policy_of_a_trip_is_the_configured_one(registry: Registry) -> None:
    settings = CircuitSettings(failure_threshold=7, reset_timeout_s=30)
    found = steering.understood("trip", {"provider": "one"}, registry, settings, NOW)

    assert found.policy == Policy(threshold=7, reset_s=30)
