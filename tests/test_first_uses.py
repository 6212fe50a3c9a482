"""The user is asked before a project's first call to a provider: in their client or outside."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult
from seats import Era, Inside, budget, chain, launch, scripted, seated, settled, write_config

from roundhouse_mcp.server.commands.root import root
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.serve import build, lifetime

FIRST = "[approvals]\nfirst_use = true\n"
ONE, TWO = scripted("one", "text=one"), scripted("two", "text=two")
PAIR = chain("one", "two") + ONE + TWO
ACCEPT = ElicitResult(action="accept", content={"allow": True})
DECLINE = ElicitResult(action="decline")
BOTH = pytest.mark.parametrize("era", ["auto", "legacy"])
KNOWN = "SELECT provider, allowed, by FROM first_uses ORDER BY provider"


class User:
    """Answers what their client asks, in this order; the last answer is given again."""

    def __init__(self, *answers: ElicitResult) -> None:
        self.answers = answers
        self.seen: list[str] = []

    async def __call__(self, context: object, params: ElicitRequestParams) -> ElicitResult:
        self.seen.append(params.message)
        return self.answers[min(len(self.seen), len(self.answers)) - 1]


@asynccontextmanager
async def asked(home: Path, user: User, era: Era, *config: str) -> AsyncGenerator[Inside]:
    write_config(home, FIRST, *config)
    server, desk = build(Home(home), environ={})
    try:
        async with lifetime(desk), Client(server, mode=era, elicitation_callback=user) as client:
            yield Inside(client, home, desk)
    finally:
        desk.ledger.close()


def approve(home: Path, *arguments: str) -> str:
    done = CliRunner().invoke(root, ["approve", *arguments], env={"ROUNDHOUSE_HOME": str(home)})
    return done.output


@BOTH
async def test_a_provider_is_asked_about_once_for_a_project(tmp_path: Path, era: Era) -> None:
    """Over stdio: a second process of the same project asks nobody."""
    write_config(tmp_path, FIRST, ONE)
    user = User(ACCEPT)
    for _ in range(2):
        async with Client(launch(tmp_path), mode=era, elicitation_callback=user) as client:
            result = await client.call_tool("complete", {"prompt": "Hi"})
            assert not result.is_error

    (question,) = user.seen
    assert question == (
        f"mcp wants to send a prompt of the project {os.getcwd()} to one, for the first time. "
        "Allow this provider for this project?"
    )


@BOTH
async def test_a_refused_provider_is_left_out_from_now_on(tmp_path: Path, era: Era) -> None:
    user = User(DECLINE, ACCEPT)
    async with asked(tmp_path, user, era, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi")
        again = await seat.refused("complete", prompt="Other")
        attempts = seat.rows("SELECT * FROM attempts")
        known = seat.rows(KNOWN)

    assert "was not allowed for this project" in text
    assert "Nothing was sent, no cost." in text
    assert "one/m was not allowed for this project" in again
    assert "The user can change that with `roundhouse approve --provider one`." in again
    assert len(user.seen) == 1
    assert attempts == []
    assert known == [{"provider": "one", "allowed": 0, "by": "the user of mcp"}]


async def test_an_allowed_provider_takes_the_call_of_a_refused_one(tmp_path: Path) -> None:
    async with asked(tmp_path, User(DECLINE), "auto", PAIR) as seat:
        approve(tmp_path, "--provider", "two")
        said = await seat.said("complete", prompt="Hi")

    assert said["provider"] == "two"


async def test_a_call_that_fails_goes_on_only_at_what_is_allowed_already(tmp_path: Path) -> None:
    broken = chain("one", "two") + scripted("one", "status=503") + TWO
    user = User(ACCEPT)
    async with asked(tmp_path, user, "auto", broken) as seat:
        route = await seat.said("route_for_task")
        text = await seat.refused("complete", prompt="Hi")

    (first,) = route["candidates"]
    assert first["why"].endswith("the user is asked before this project's first call to it")
    assert ("two", "not_approved") in [(e["provider"], e["reason"]) for e in route["excluded"]]
    assert "two" not in text.partition("attempts:")[2]
    assert len(user.seen) == 1


async def test_a_client_that_cannot_ask_leaves_it_to_the_command(tmp_path: Path) -> None:
    async def answer(number: str) -> None:
        await settled(tmp_path, "SELECT * FROM approvals WHERE state = 'waiting'")
        listed.append(await anyio.to_thread.run_sync(approve, tmp_path))
        listed.append(await anyio.to_thread.run_sync(approve, tmp_path, number))

    listed: list[str] = []
    async with seated(tmp_path, FIRST, ONE) as seat, anyio.create_task_group() as group:
        group.start_soon(answer, "1")
        said = await seat.said("complete", prompt="Hi")

        assert said["text"] == "one"

    assert f"first use of one in {os.getcwd()}"[:60] in listed[0]
    assert listed[1] == f"Approved 1: one for the project {os.getcwd()}, for good.\n"


async def test_a_call_nobody_answers_for_says_how_to_allow_it(tmp_path: Path) -> None:
    async with seated(tmp_path, FIRST, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi", timeout_s=5)
        approve(tmp_path, "1")
        said = await seat.said("complete", prompt="Another", timeout_s=5)
        calls = seat.rows("SELECT status, error_kind FROM calls ORDER BY id")

    assert calls[0] == {"status": "refused", "error_kind": "not_approved"}
    assert text.startswith("The provider one is new to this project, and was not approved in ")
    assert "`roundhouse approve 1`" in text
    assert "code: not_approved\n" in text
    assert "retryable: true" in text
    assert said["text"] == "one"


async def test_a_provider_is_allowed_and_its_budget_asks_too(tmp_path: Path) -> None:
    user = User(ACCEPT)
    dear = scripted("dear", "text=dear", price=("1000", "1000"))
    ask = budget("0.01") + 'at_limit = "ask"\n'
    async with asked(tmp_path, user, "auto", dear, ask) as seat:
        said = await seat.said("complete", prompt="Hi", max_tokens=1000)

    assert said["text"] == "dear"
    assert [("first time" in text, "does not cover" in text) for text in user.seen] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("config", ["", FIRST])
async def test_nobody_is_asked_by_default_or_about_this_machine(
    tmp_path: Path, config: str
) -> None:
    home = scripted("here", "text=here", price=None).replace("local = false", "local = true")
    async with seated(tmp_path, config, home if config else ONE) as seat:
        said = await seat.said("complete", prompt="Hi")
        asked = seat.rows("SELECT * FROM approvals")

    assert said["text"] == ("here" if config else "one")
    assert asked == []


def test_the_command_decides_for_a_directory_in_advance(tmp_path: Path) -> None:
    write_config(tmp_path / "home", ONE)

    said = approve(tmp_path / "home", "--provider", "one", "--project", str(tmp_path), "--deny")
    wrong = approve(tmp_path / "home", "--provider", "onne")

    assert said == f"Denied: one for {tmp_path}.\n"
    assert "There is no provider 'onne'. Did you mean 'one'?" in wrong
