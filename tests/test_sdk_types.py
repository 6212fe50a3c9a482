"""What the judges by type find, on types made for it, and what the SDKs' own find in our bodies."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NotRequired

import pytest
from judge_types import cases, place_is, verdict
from pydantic import BaseModel
from sdk_types import Body, Judge, against, made, several, typed
from typing_extensions import TypedDict

from roundhouse_mcp.providers.catalog import provider

HERE = Path(__file__).parent
SDKS = ("openai", "anthropic", "groq", "together", "ollama")


class Part(TypedDict):
    text: str


class Message(TypedDict):
    role: str
    parts: NotRequired[Iterable[Part]]


class Options(BaseModel):
    cap: int = 0


class Asked(TypedDict):
    model: str
    messages: Iterable[Message]
    options: NotRequired[Options]
    anything: NotRequired[dict[str, object]]


WELL: Body = {
    "model": "m",
    "messages": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "options": {"cap": 5},
    "anything": {"goes": {"here": 1}},
}


WRONG: list[tuple[Body, list[str]]] = [
    ({}, []),
    ({"messages": []}, []),
    ({"cap": 5}, ["cap: unknown field"]),
    ({"model": 5}, ["model: Input should be a valid string"]),
    ({"messages": [{"parts": []}]}, ["messages[].role: Field required"]),
    (
        {"messages": [{"role": "user", "parts": [{"text": "a"}, {"tex": "b"}]}]},
        ["messages[].parts[].text: Field required"],
    ),
    (
        {"messages": [{"role": "user", "parts": [{"text": "a", "size": 1}]}]},
        ["messages[].parts[].size: unknown field"],
    ),
    ({"options": {"cap": 5, "floor": 1}}, ["options.floor: unknown field"]),
]


@pytest.mark.parametrize(("change", "problem"), WRONG)
def test_a_body_is_held_against_a_type_at_every_depth(change: Body, problem: list[str]) -> None:
    assert against(Asked)({**WELL, **change}) == problem


def test_a_list_of_requests_is_judged_one_by_one() -> None:
    judge = several("requests", lambda: against(Part))()

    assert judge({"requests": [{"text": "a"}, {"text": "b"}]}) == []
    assert judge({}) == ["requests: Field required"]
    assert judge({"requests": [{"text": "a"}, {}], "size": 2}) == [
        "size: unknown field",
        "requests[].text: Field required",
    ]


def test_an_accepted_place_covers_what_is_inside_it_and_nothing_beside_it() -> None:
    assert place_is("tools: unknown field", "tools")
    assert place_is("tools[].index: Field required", "tools")
    assert place_is("tools.index: Field required", "tools")
    assert not place_is("tools_too: unknown field", "tools")


def nothing() -> Judge:
    return lambda body: []


def test_a_missing_sdk_or_wire_is_skipped_with_its_reason() -> None:
    row = {"wire": "soap", "base_url": "https://x.example", "models": {"m[12]-*": {"tools": True}}}

    said = {(case.model, *verdict(case)) for case in cases(provider("x", row))}
    unheard = {verdict(replace(case, make=nothing)) for case in cases(provider("x", row))}

    assert said == {("m1-", "skipped", ("no SDK has types for it",))}
    assert unheard == {("skipped", ("there is no wire named soap",))}
    with pytest.raises(ModuleNotFoundError):
        made(typed("no_such_sdk", "Body"))


@pytest.mark.skipif(
    not all(map(find_spec, SDKS)), reason="needs the official SDKs: uv sync --group judges"
)
def test_our_bodies_are_what_the_official_sdks_types_say() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "judge_types.py")],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
