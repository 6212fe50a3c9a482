"""Answers by schema: read out of what surrounds them, asked for in words where a service holds no
model to one, and asked for once more where they do not fit."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from seats import Seat, budget, chain, scripted, seated, served
from upstream import Script, Upstream, answer, in_turn, silence, spoken, upstream

from roundhouse_mcp.providers.types import Call, Completion, FinishReason, Message, Usage
from roundhouse_mcp.server import mending

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ASKED = Call(messages=(Message(role="user", text="n?"),), max_tokens=64, output_schema=SCHEMA)
FITS, UNFIT = '{"n": 3}', '{"n": "three"}'


@asynccontextmanager
async def one(home: Path, script: Script, more: str = "") -> AsyncGenerator[tuple[Upstream, Seat]]:
    """A provider named `one`, and a client of the server that knows it."""
    async with upstream(script) as server, seated(home, served("one", server.url, more=more)) as at:
        yield server, at


def completion(text: str, finish: FinishReason = "stop") -> Completion:
    return Completion(text=text, finish_reason=finish, usage=Usage())


@pytest.mark.parametrize(
    "text",
    [
        FITS,
        f"Sure:\n```json\n{FITS}\n```\nAnything else?",
        f"```\nnot this\n```\n```json\n{FITS}\n```",
        f"Here you are: {FITS} - as asked.",
    ],
)
def test_json_is_found_among_the_words_around_it(text: str) -> None:
    assert mending.fitted(ASKED, completion(text)) == ({"n": 3}, None)


@pytest.mark.parametrize(
    ("text", "finish", "complaint"),
    [
        ("three", "stop", mending.NO_JSON),
        ('{"n": ', "length", mending.CUT),
        (UNFIT, "stop", "the answer does not fit the schema at $.n"),
        ("[" * 100_000, "stop", mending.NO_JSON),
    ],
)
def test_what_does_not_fit_is_said(text: str, finish: Any, complaint: str) -> None:
    assert mending.fitted(ASKED, completion(text, finish))[1] == complaint


@pytest.mark.parametrize("finish", ["length", "content_filter", "refusal"])
def test_a_cut_or_refused_answer_is_not_asked_for_again(finish: FinishReason) -> None:
    assert mending.may_be_mended(ASKED, completion("x", finish)) is None


async def test_an_answer_that_does_not_fit_is_asked_for_once_more(tmp_path: Path) -> None:
    async with one(tmp_path, in_turn(spoken(UNFIT), spoken(FITS))) as (server, seat):
        said = await seat.said("complete", prompt="n?", model="one/m", output_schema=SCHEMA)
        attempts = seat.rows("SELECT outcome, cost_kind FROM attempts ORDER BY n")
        calls = seat.rows("SELECT status, attempts, input_tokens, cost_nano FROM calls")

    again = server.posts[1].json["messages"]
    assert said["structured"] == {"n": 3}
    assert "warnings" not in said
    assert [m["role"] for m in again] == ["user", "assistant", "user"]
    assert again[1]["content"] == UNFIT
    assert "does not fit the schema at $.n" in again[2]["content"]
    assert [row["outcome"] for row in attempts] == ["misfit", "ok"]
    assert calls == [{"status": "ok", "attempts": 2, "input_tokens": 14, "cost_nano": 24_000}]


@pytest.mark.parametrize(
    "second", [spoken(UNFIT), answer('{"error": {"message": "no"}}', status=400)]
)
async def test_what_could_not_be_mended_goes_back_with_a_warning(
    tmp_path: Path, second: Script
) -> None:
    async with one(tmp_path, in_turn(spoken(UNFIT), second)) as (server, seat):
        said = await seat.said("complete", prompt="n?", model="one/m", output_schema=SCHEMA)
        calls = seat.rows("SELECT status, finish_reason FROM calls")

    assert (said["structured"], said["text"]) == ({"n": "three"}, UNFIT)
    assert "does not fit the schema at $.n" in said["warnings"][0]
    assert len(server.posts) == 2
    assert calls == [{"status": "ok", "finish_reason": "stop"}]


async def test_a_model_that_is_silent_when_asked_again_does_not_cost_the_answer(
    tmp_path: Path,
) -> None:
    async with one(tmp_path, in_turn(spoken(UNFIT), silence)) as (_, seat):
        said = await seat.said(
            "complete", prompt="n?", model="one/m", output_schema=SCHEMA, timeout_s=0.5
        )
        calls = seat.rows("SELECT status FROM calls")

    assert said["structured"] == {"n": "three"}
    assert calls == [{"status": "ok"}]


async def test_asking_again_stays_under_what_the_call_may_cost(tmp_path: Path) -> None:
    config = scripted("one", "text=none", price=("0", "1000"))
    async with seated(tmp_path, config) as seat:
        wish: dict[str, Any] = {"model": "one/m", "output_schema": SCHEMA, "max_tokens": 300}
        once = await seat.said("complete", prompt="n?", max_cost_usd=0.5, **wish)
        twice = await seat.said("complete", prompt="n?", max_cost_usd=0.7, **wish)

    assert "attempts" not in once
    assert len(twice["attempts"]) == 2


async def test_a_budget_without_room_for_asking_again_does_not_cost_the_answer(
    tmp_path: Path,
) -> None:
    # One answer of ten thousand tokens is all the budget has room for.
    config = scripted("one", "text=none", price=("0", "1000"))
    async with seated(tmp_path, config, budget("0.3005")) as seat:
        said = await seat.said(
            "complete", prompt="n?", model="one/m", output_schema=SCHEMA, max_tokens=300
        )

    assert said["text"] == "none"
    assert mending.NO_JSON in said["warnings"]


WORDS_ONLY = 'capabilities = ["chat", "streaming"]'


async def test_a_model_that_cannot_be_held_to_a_schema_is_asked_in_words(tmp_path: Path) -> None:
    async with one(tmp_path, spoken(FITS), more=WORDS_ONLY) as (server, seat):
        said = await seat.said("complete", prompt="n?", output_schema=SCHEMA)

    body = server.posts[0].json
    assert said["structured"] == {"n": 3}
    assert "response_format" not in body
    assert json.dumps(SCHEMA) in body["messages"][0]["content"]


async def test_models_that_can_be_held_to_a_schema_come_alone_unless_others_are_named(
    tmp_path: Path,
) -> None:
    able = scripted("able", "text=%7B%22n%22%3A%203%7D")
    wordy = scripted("wordy", "text=%7B%22n%22%3A%203%7D", more=WORDS_ONLY)
    async with seated(tmp_path, chain("wordy", "able"), able, wordy) as seat:
        route = await seat.said("route_for_task", prompt="n?", needs=["schema"])
        named = await seat.said("complete", prompt="n?", model="wordy/m", output_schema=SCHEMA)

    out = {each["provider"]: each for each in route["excluded"]}
    assert [each["provider"] for each in route["candidates"]] == ["able"]
    assert out["wordy"]["reason"] == "capability"
    assert named["provider"] == "wordy"


async def test_what_a_model_does_not_take_is_not_sent_and_said(tmp_path: Path) -> None:
    more = "[providers.one.facts.m]\nsampling = false\nreasoning = false\n"
    async with one(tmp_path, spoken("ok"), more=more) as (server, seat):
        said = await seat.said(
            "complete", prompt="Hi", model="one/m", temperature=0.5, effort="low"
        )

    assert said["warnings"] == [
        "one/m takes no temperature; it was not sent",
        "one/m does not reason; effort was not sent",
    ]
    assert not {"temperature", "reasoning_effort"} & set(server.posts[0].json)
