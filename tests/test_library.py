"""Roundhouse from Python, without MCP in between."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import budget, rows, scripted, settled, write_config

from roundhouse_mcp.server import library
from roundhouse_mcp.server.errors import OverBudget


async def test_many_tasks_ask_at_once_and_every_call_is_in_the_ledger(tmp_path: Path) -> None:
    write_config(tmp_path, scripted("steady", "text=Yes"))
    answers: list[library.Answer] = []

    async with library.opened(tmp_path, client="script", environ={}) as models:

        async def one(n: int) -> None:
            answers.append(await models.complete(f"{n}?", model="steady/m"))

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(one, n)

    assert {answer.text for answer in answers} == {"Yes"}
    assert all(answer.cost_usd for answer in answers)
    found = rows(tmp_path, "SELECT client, status FROM calls")
    assert found == [{"client": "script", "status": "ok"}] * 8


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"model": "steady/m", "max_tokens": 100}, "over_budget"),
        ({"model": "nowhere/m"}, "not_found"),
        ({"colour": "red"}, "bad_request"),
        ({}, "over_budget"),
    ],
)
async def test_what_is_refused_says_why_in_a_word_a_program_can_read(
    tmp_path: Path, arguments: dict[str, Any], code: str
) -> None:
    write_config(tmp_path, scripted("steady"), budget("0.00000001"))

    async with library.opened(tmp_path, environ={}) as models:
        with pytest.raises(library.Refused) as refused:
            await models.complete("Why?", **arguments)

    assert refused.value.code == code
    assert isinstance(refused.value.declined, OverBudget) == (code == "over_budget")


async def test_an_answer_comes_whole_however_little_a_result_may_show(tmp_path: Path) -> None:
    text = "0123456789" * 250
    pages = "[limits]\nmax_result_chars = 1000\n"
    write_config(tmp_path, scripted("steady", f"text={text}"), pages)

    async with library.opened(tmp_path, environ={}) as models:
        answer = await models.complete("Count.", model="steady/m")

    assert (answer.text, answer.said["text"], answer.warnings) == (text, text, ())


async def test_leaving_ends_what_runs_and_it_is_settled(tmp_path: Path) -> None:
    write_config(tmp_path, scripted("silent", "hang=1"), budget("5"))
    with anyio.fail_after(10):
        async with (
            library.opened(tmp_path, environ={}) as models,
            anyio.create_task_group() as group,
        ):
            group.start_soon(models.complete, "Hm?")
            await settled(tmp_path, "SELECT call_id FROM inflight WHERE phase != 'queue'")
            group.cancel_scope.cancel()

    assert rows(tmp_path, "SELECT status FROM calls") == [{"status": "cancelled"}]
    assert rows(tmp_path, "SELECT state FROM reservations WHERE state = 'held'") == []


async def test_texts_are_embedded_with_their_vectors(tmp_path: Path) -> None:
    write_config(tmp_path, scripted("steady", more='embedding_model = "m"'))

    async with library.opened(tmp_path, environ={}) as models:
        said = await models.embed(["a b", "c"], model="steady/m")

    assert [len(vector) for vector in said["vectors"]] == [64, 64]
