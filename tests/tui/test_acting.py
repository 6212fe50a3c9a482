"""Asking servers to act: every request ends as done, failed or no answer."""

import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

import pytest
import seeds
from screens import HOME, screen_text, until, watched

from roundhouse_mcp.server.ledger import control_rows
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.server.ledger.owners import Owner
from roundhouse_mcp.tui import acting
from roundhouse_mcp.tui.acting import NOBODY, Outcome, Request, act

SHORT_S = 0.05


@pytest.fixture
def living() -> Iterator[None]:
    """A ledger whose server s1 lives, as long as the test."""
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")
    owner = Owner.claim(HOME / "run", "o1")
    yield
    owner.release()


def asked(answer_s: float = 5.0) -> Outcome:
    return Request(HOME, kind="cancel", argument='{"call_id": "c1"}').carried_out(answer_s)


def waiting(db: Connection) -> list[control_rows.Control]:
    return control_rows.waiting(db, "s1", 0.0, alive=lambda owner: True)


@contextmanager
def attending(answer: Callable[[Connection, control_rows.Control], None]) -> Generator[None]:
    """A server that answers the first request as the test wants it."""
    done = threading.Event()

    def attend() -> None:
        with closing(connect(HOME / "ledger.db")) as db:
            while not done.is_set():
                for control in waiting(db):
                    answer(db, control)
                    return
                done.wait(0.01)

    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def saying(said: dict[str, object]) -> Callable[[Connection, control_rows.Control], None]:
    def answer(db: Connection, control: control_rows.Control) -> None:
        control_rows.take(db, control, "s1", 1.0)
        control_rows.finish(db, control.id, json.dumps(said), 2.0)

    return answer


@pytest.mark.usefixtures("living")
def test_what_a_server_did_is_done() -> None:
    with attending(saying({"ok": True, "said": "Call c1 is cancelled.", "changed": 1})):
        outcome = asked()

    assert (outcome.state, outcome.said) == ("done", "Call c1 is cancelled.")
    assert outcome.data["changed"] == 1


@pytest.mark.usefixtures("living")
def test_what_a_server_declined_failed_in_its_words_without_control_characters() -> None:
    with attending(saying({"ok": False, "said": "No call\x1b]52;c;x\x07 runs."})):
        outcome = asked()

    assert outcome == Outcome(state="failed", said="No call␛]52;c;x␇ runs.", data=outcome.data)


@pytest.mark.usefixtures("living")
def test_an_unreadable_answer_failed() -> None:
    with attending(lambda db, control: control_rows.finish(db, control.id, "[" * 9999, 2.0)):
        assert asked().state == "failed"


@pytest.mark.usefixtures("living")
def test_a_request_nobody_takes_is_withdrawn() -> None:
    outcome = asked(SHORT_S)

    assert outcome.state == "no answer"
    assert "withdrawn" in outcome.said
    with seeds.ledger(HOME) as db:
        assert waiting(db) == []


@pytest.mark.usefixtures("living")
def test_a_server_that_dies_with_the_request_gives_no_answer() -> None:
    def take(db: Connection, control: control_rows.Control) -> None:
        control_rows.take(db, control, "s1", 1.0)

    with attending(take):
        outcome = asked(0.5)

    assert outcome == Outcome(state="no answer", said="server s1 took it and has not answered yet")


def test_two_who_ask_a_server_that_dies_both_hear_what_became_of_it() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")
    owner = Owner.claim(HOME / "run", "o1")

    def answer_and_die(db: Connection, control: control_rows.Control) -> None:
        saying({"ok": True, "said": "done"})(db, control)
        owner.release()

    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(asked(0.5))) for _ in range(2)]
    with attending(answer_and_die):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(one.state for one in outcomes) == ["done", "no answer"]


def test_without_a_living_server_nothing_is_asked() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")

    assert asked() == Outcome(state="no answer", said=NOBODY)
    with seeds.ledger(HOME) as db:
        assert db.execute("SELECT count(*) FROM control").fetchone() == (0,)


@pytest.mark.usefixtures("living")
def test_a_busy_ledger_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "GATE_S", SHORT_S)

    with closing(Gate(HOME / "ledger.gate")) as gate, gate.held(1.0):
        outcome = asked()

    assert outcome.state == "failed"
    assert "busy" in outcome.said


def test_a_missing_or_broken_ledger_fails_and_none_is_made() -> None:
    assert asked().state == "failed"
    assert not (HOME / "ledger.db").exists()
    HOME.mkdir()
    (HOME / "ledger.db").write_bytes(b"garbage" * 1000)

    assert asked().state == "failed"


@pytest.mark.usefixtures("living")
async def test_the_screen_says_that_it_was_asked_and_what_became_of_it() -> None:
    outcomes: list[Outcome] = []

    async with watched() as (app, pilot):
        with attending(saying({"ok": True, "said": "[/oops] gone"})):
            act(app, "cancel", {"call_id": "c1"}, what="cancel c1", then=outcomes.append)
            assert "cancel c1: asked" in app.doing()
            await until(pilot, lambda: bool(outcomes))

        assert "done: [/oops] gone" in screen_text(app)


@pytest.mark.usefixtures("living")
async def test_read_only_asks_nothing_and_says_so() -> None:
    async with watched(read_only=True) as (app, pilot):
        act(app, "cancel", {"call_id": "c1"}, what="cancel c1")
        await pilot.pause()

        assert "cancel c1: actions are off: read-only" in screen_text(app)
    with seeds.ledger(HOME) as db:
        assert waiting(db) == []
