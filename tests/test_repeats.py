"""A call marked with an idempotency key is made once, whoever asks again."""

import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import scripted, seated, served, started, write_config
from upstream import spoken, upstream

from roundhouse_mcp.providers.types import Call, Message
from roundhouse_mcp.server.asks import Ask, Wish

WISH: dict[str, Any] = {"prompt": "Hi", "idempotency_key": "k-1"}


async def test_asking_again_brings_the_first_answer(tmp_path: Path) -> None:
    async with (
        upstream(spoken("Once.")) as server,
        seated(tmp_path, served("one", server.url)) as seat,
    ):
        first = await seat.said("complete", **WISH)
        again = await seat.said("complete", **WISH)
        other = await seat.said("complete", prompt="Hi", idempotency_key="k-2")

    assert again == first
    assert other["call_id"] != first["call_id"]
    assert len(server.posts) == 2


async def test_asking_again_while_it_runs_joins_it(tmp_path: Path) -> None:
    pause, said, results = anyio.Event(), anyio.Event(), list[dict[str, Any]]()
    async with (
        upstream(spoken("On", "ce.", pause=pause, said=said)) as server,
        seated(tmp_path, served("one", server.url)) as seat,
        anyio.create_task_group() as group,
    ):

        async def ask() -> None:
            results.append(await seat.said("complete", **WISH))

        group.start_soon(ask)
        group.start_soon(ask)
        await said.wait()
        group.start_soon(ask)
        pause.set()

    assert [result["text"] for result in results] == ["Once."] * 3
    assert len({result["call_id"] for result in results}) == 1
    assert len(server.posts) == 1


async def test_a_key_belongs_to_one_request(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        await seat.said("complete", **WISH)
        text = await seat.refused("complete", prompt="Bye", idempotency_key="k-1")

    assert text.startswith("This idempotency_key belongs to another request.")


async def test_one_who_leaves_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    pause, said, results = anyio.Event(), anyio.Event(), list[dict[str, Any]]()
    async with (
        upstream(spoken("On", "ce.", pause=pause, said=said)) as server,
        seated(tmp_path, served("one", server.url)) as seat,
        anyio.create_task_group() as group,
    ):

        async def ask() -> None:
            results.append(await seat.said("complete", **WISH))

        group.start_soon(ask)
        await said.wait()
        with anyio.move_on_after(0.05):
            await seat.call("complete", **WISH)
        pause.set()

    assert [result["text"] for result in results] == ["Once."]
    assert len(server.posts) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "a\nb"])
async def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        text = await seat.refused("complete", prompt="Hi", idempotency_key=key)

    assert text.startswith("idempotency_key must have 1 to 200 printable characters.")


async def test_another_process_is_told_of_the_first_call_and_makes_none(tmp_path: Path) -> None:
    async with upstream(spoken("Once.")) as server:
        write_config(tmp_path, served("one", server.url))
        async with started(tmp_path) as one, started(tmp_path) as two:
            first = await one.said("complete", **WISH)
            told = await two.refused("complete", **WISH)
            other = await two.refused("complete", prompt="Bye", idempotency_key="k-1")

    assert f"{first['call_id']} ended as ok, $0.0000" in told
    assert "code: already_made" in told
    assert "Nothing was sent, no cost." in told
    assert "belongs to another request" in other
    assert len(server.posts) == 1


async def test_a_key_is_of_no_use_in_the_ledger(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        await seat.said("complete", prompt="A secret", idempotency_key="my key")
        row = seat.rows("SELECT * FROM idempotency")[0]

    assert "my key" not in str(row)
    assert "secret" not in str(row)


async def test_one_who_leaves_before_the_call_begins_leaves_the_key_free(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        await seat.said("complete", prompt="Hi")  # the ledger is open
        ask = Ask(
            wish=Wish(tool="complete"),
            call=Call(messages=(Message(role="user", text="Hi"),), max_tokens=9),
            timeout_s=5.0,
            capped=False,
            key="k-1",
        )
        assert seat.desk.met is not None
        busy = threading.Event()
        seat.desk.ledger.write_soon(lambda db: busy.wait(5))
        async with anyio.create_task_group() as group:
            group.start_soon(seat.desk.calls.once, ask, "k-1", seat.desk.met, None)
            await anyio.wait_all_tasks_blocked()  # the claim waits for the ledger
            group.cancel_scope.cancel()
            busy.set()
        again = await seat.said("complete", **WISH)

    assert again["text"] == "1"


async def test_a_server_that_shuts_down_leaves_the_key_free(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        group, seat.desk.group = seat.desk.group, None
        refused = await seat.refused("complete", **WISH)
        seat.desk.group = group
        again = await seat.said("complete", **WISH)

    assert "shutting down" in refused
    assert again["text"] == "1"
