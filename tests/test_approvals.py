"""Budgets that ask: the question, the answer in the client or from outside, and its exact worth."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult
from seats import Era, Inside, budget, scripted, seated, settled, text_of, write_config

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.commands.root import root
from roundhouse_mcp.server.errors import OverBudget
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.ledger import approval_rows, reservations
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.serve import build, lifetime

DEAR = scripted("dear", "text=dear", price=("1000", "1000"))
ASK = budget("0.01") + 'at_limit = "ask"\n'
LONG = {"prompt": "Hi", "max_tokens": 1000}
QUESTION = "SELECT * FROM approvals ORDER BY id"


def approve(home: Path, *arguments: str) -> str:
    done = CliRunner().invoke(root, ["approve", *arguments], env={"ROUNDHOUSE_HOME": str(home)})
    return done.output


async def answer_from_outside(home: Path, *more: str) -> None:
    question = (await settled(home, QUESTION))[-1]  # as soon as there is one
    await anyio.to_thread.run_sync(approve, home, str(question["id"]), *more)


@asynccontextmanager
async def asking(
    home: Path, answers: list[ElicitResult], era: Era, *config: str
) -> AsyncGenerator[tuple[Inside, list[str]]]:
    """A client that can ask its user, who answers as given; and the questions they saw."""
    seen: list[str] = []

    async def ask(context: object, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params.message)
        return answers[min(len(seen), len(answers)) - 1]

    write_config(home, *config)
    server, desk = build(Home(home), environ={})
    try:
        async with lifetime(desk), Client(server, mode=era, elicitation_callback=ask) as client:
            yield Inside(client, home, desk), seen
    finally:
        desk.ledger.close()


ACCEPT = ElicitResult(action="accept", content={"allow": True})
REFUSE = ElicitResult(action="accept", content={"allow": False})
DECLINE = ElicitResult(action="decline")
CANCEL = ElicitResult(action="cancel")
BOTH = pytest.mark.parametrize("era", ["auto", "legacy"])


@BOTH
async def test_a_user_asked_in_their_client_allows_a_call(tmp_path: Path, era: Era) -> None:
    async with asking(tmp_path, [ACCEPT], era, DEAR, ASK) as (seat, seen):
        said = await seat.said("complete", **LONG)
        (question,) = seat.rows(QUESTION)
        window = seat.rows("SELECT spent_nano, reserved_nano, limit_nano FROM budget_windows")[0]
        event = seat.rows("SELECT amount_nano, by FROM budget_events WHERE kind = 'overrun'")[0]

    assert said["text"] == "dear"
    assert len(seen) == 1
    assert "which budget global/total does not cover. Allow this one call?" in seen[0]
    assert (question["state"], question["by"]) == ("approved", "the user of mcp")
    assert question["fingerprint"] == ""
    assert window["reserved_nano"] == 0
    assert event == {"amount_nano": question["amount_nano"], "by": "approval 1"}


@BOTH
@pytest.mark.parametrize("answer", [DECLINE, REFUSE])
async def test_a_user_asked_in_their_client_refuses_once_for_all(
    tmp_path: Path, era: Era, answer: ElicitResult
) -> None:
    async with asking(tmp_path, [answer], era, DEAR, ASK) as (seat, seen):
        text = await seat.refused("complete", **LONG)
        again = await seat.refused("complete", **LONG)
        attempts = seat.rows("SELECT * FROM attempts")

    assert "dear/m does not fit budget global/total, and was not allowed by the user of" in text
    assert "code: over_budget" in text
    assert "code: over_budget" in again
    assert len(seen) == 1
    assert attempts == []


@BOTH
async def test_a_question_closed_without_choosing_can_be_answered_from_outside(
    tmp_path: Path, era: Era
) -> None:
    async with (
        asking(tmp_path, [CANCEL], era, DEAR, ASK) as (seat, seen),
        anyio.create_task_group() as group,
    ):
        group.start_soon(answer_when_the_client_gave_up, seat, seen)
        said = await seat.said("complete", **LONG)

        assert said["text"] == "dear"
        assert len(seen) == 1


async def until(condition: Callable[[], object]) -> None:
    """Looks often: what is waited for happens in another task, and tells nobody."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.02)


async def answer_when_the_client_gave_up(seat: Inside, seen: list[str]) -> None:
    await until(lambda: seen)
    await until(lambda: any(run.awaits for run in seat.desk.calls.shelf.running()))
    number = seat.rows(QUESTION)[-1]["id"]
    await anyio.to_thread.run_sync(approve, seat.home, str(number))


async def test_a_client_that_cannot_ask_waits_for_the_command_and_says_so(tmp_path: Path) -> None:
    heard: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with seated(tmp_path, DEAR, ASK) as seat, anyio.create_task_group() as group:
        group.start_soon(answer_after_a_report, seat, heard)
        result = await seat.client.call_tool("complete", LONG, progress_callback=listen)

        assert not result.is_error, text_of(result)
        assert "waiting for approval: roundhouse approve 1" in heard


async def answer_after_a_report(seat: Inside, heard: list[str]) -> None:
    await until(lambda: heard)
    await answer_from_outside(seat.home)


async def test_a_call_that_is_denied_from_outside_is_refused_at_once(tmp_path: Path) -> None:
    async with seated(tmp_path, DEAR, ASK) as seat, anyio.create_task_group() as group:
        group.start_soon(answer_from_outside, tmp_path, "--deny")
        text = await seat.refused("complete", **LONG)

        assert "was not allowed by " in text


async def test_a_call_gives_up_before_its_deadline_and_a_late_answer_is_good_for_it(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, DEAR, ASK) as seat:
        text = await seat.refused("complete", **LONG, timeout_s=10.5)
        listed = approve(tmp_path, "list")
        approved = approve(tmp_path, "1")
        other = await seat.refused("complete", prompt="Other", max_tokens=1000, timeout_s=5)
        said = await seat.said("complete", **LONG, timeout_s=5)
        again = await seat.refused("complete", **LONG, timeout_s=5)

    assert "and was not approved in time. The user can allow it with `roundhouse approve 1`" in text
    assert "\napproval: 1\n" in text
    assert "gave up; good when asked again" in listed
    assert "it is good for 10 minutes" in approved
    assert "\napproval: 2\n" in other
    assert said["text"] == "dear"
    assert "\napproval: 3\n" in again


async def test_an_approval_is_good_for_ten_minutes(tmp_path: Path) -> None:
    async with seated(tmp_path, DEAR, ASK) as seat:
        await seat.refused("complete", **LONG, timeout_s=5)
        approve(tmp_path, "1")
        now = seat.desk.clock()
        seat.desk.clock = lambda: now + 601
        text = await seat.refused("complete", **LONG, timeout_s=5)

    assert "\napproval: 2\n" in text


async def test_an_approved_call_may_try_again_within_what_was_approved(tmp_path: Path) -> None:
    shaky = scripted("shaky", "status=503", price=("1000", "1000"))
    async with seated(tmp_path, shaky, ASK) as seat:
        await seat.refused("complete", **LONG, timeout_s=5)
        approve(tmp_path, "1")
        result = await seat.call("complete", **LONG, timeout_s=5)
        attempts = seat.rows("SELECT outcome FROM attempts ORDER BY n")
        question = seat.rows(QUESTION)[0]

    assert len(attempts) == 2, text_of(result)
    assert len(question["reservations"].split()) == 2


async def test_an_approval_opens_no_budget_that_does_not_ask(tmp_path: Path) -> None:
    strict = budget("0.02", scope="provider:dear")
    async with seated(tmp_path, DEAR, ASK, strict) as seat:
        text = await seat.refused("complete", **LONG, timeout_s=5)
        questions = seat.rows(QUESTION)

    assert "code: over_budget" in text
    assert questions == []


async def test_a_budget_asks_only_where_nothing_else_fits(tmp_path: Path) -> None:
    cheap = scripted("cheap", "text=cheap", price=("0.01", "0.01"))
    async with seated(tmp_path, DEAR, cheap, ASK) as seat:
        said = await seat.said("complete", **LONG)

    assert said["text"] == "cheap"


async def test_a_key_stays_good_while_the_user_is_asked(tmp_path: Path) -> None:
    async with asking(tmp_path, [ACCEPT], "auto", DEAR, ASK) as (seat, _):
        said = await seat.said("complete", **LONG, idempotency_key="once")
        again = await seat.said("complete", **LONG, idempotency_key="once")

    assert said["call_id"] == again["call_id"]


async def test_a_call_that_is_cancelled_while_it_asks_is_listed_as_gone(tmp_path: Path) -> None:
    async with seated(tmp_path, DEAR, ASK) as seat:
        with anyio.move_on_after(0.5):
            await seat.call("complete", **LONG)
        await settled(tmp_path, "SELECT * FROM approvals WHERE waits_until <= ?", seat.desk.clock())
        listed = approve(tmp_path)
        reserved = seat.rows("SELECT * FROM reservations")

    assert "gave up; good when asked again" in listed
    assert reserved == []


def test_an_approval_is_worth_exactly_its_amount_for_one_call(tmp_path: Path) -> None:
    window = Window(
        budget="global/total",
        scope="global",
        period="total",
        start=0.0,
        end=None,
        limit_nano=100,
        at_limit="ask",
    )
    question = approval_rows.Question(
        call_id="a",
        budget=window.budget,
        client="c",
        project="p",
        provider="dear",
        model="m",
        amount_nano=70,
        fingerprint="f",
        asked_at=1.0,
        waits_until=2.0,
    )

    def reserve(db: Connection, call: str, amount: int) -> bool:
        try:
            reservations.reserve(
                db,
                reservation=f"{call}{amount}",
                amount_nano=amount,
                windows=[window],
                approval=1,
                call_id=call,
                attempt=1,
                owner="o",
                now=1.0,
                lease_until=9.0,
            )
        except OverBudget:
            return False
        return True

    with closing(connect(tmp_path / "ledger.db")) as db:
        migrate(db)
        assert reserve(db, "within", 90)
        approval_rows.ask(db, question)
        assert not reserve(db, "a", 70)
        approval_rows.answer(db, 1, approved=True, by="me", now=1.0)
        tried = [reserve(db, *each) for each in (("a", 71), ("a", 60), ("b", 10), ("a", 11))]
        assert tried == [False, True, False, False]
        assert reserve(db, "a", 10)
        assert reservations.standing(db, window).committed_nano == 160


def test_with_nothing_to_answer_the_command_says_so(tmp_path: Path) -> None:
    assert approve(tmp_path) == "No call asks for approval.\n"
    assert "no number" in approve(tmp_path, "abc")
    assert "No call asks for approval as 7." in approve(tmp_path, "7")
