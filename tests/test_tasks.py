"""Tasks, rules and aliases: what a call without a model's name is for."""

from pathlib import Path
from typing import Any

import pytest
from seats import chain, scripted, seated

from roundhouse_mcp.server.config import understood
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.tasks import SHIPPED

THREE = (
    scripted("first", "text=1", price=("3", "3")),
    scripted("second", "text=2", price=("2", "2")),
    scripted("third", "text=3", price=("1", "1")),
)
ORDERED = (chain("first", "second", "third"), *THREE)


def candidates(route: dict[str, Any]) -> list[str]:
    return [c["provider"] for c in route["candidates"]]


@pytest.mark.parametrize("task", ["summarization", "quick", "general", "coding"])
async def test_a_shipped_task_keeps_the_order_the_user_gave(tmp_path: Path, task: str) -> None:
    async with seated(tmp_path, *ORDERED) as seat:
        route = await seat.said("route_for_task", task=task, prompt="Hi")

    assert candidates(route) == ["first", "second", "third"]


async def test_a_shipped_task_has_preferences_where_the_user_has_none(tmp_path: Path) -> None:
    async with seated(tmp_path, *THREE) as seat:
        cheap = await seat.said("route_for_task", task="summarization", prompt="Hi")
        plain = await seat.said("route_for_task", task="chat", prompt="Hi")

    assert (cheap["strategy"], candidates(cheap)) == ("cheapest", ["third", "second", "first"])
    assert (plain["strategy"], candidates(plain)) == ("priority", ["first", "second", "third"])


async def test_a_task_may_be_a_bare_string(tmp_path: Path) -> None:
    config = '[routing.tasks]\ncode_generation = "second:m"\nmine = ["third/m", "first/m"]\n'
    async with seated(tmp_path, config, *THREE) as seat:
        code = await seat.said("route_for_task", task="code_generation", prompt="Hi")
        alias = await seat.said("route_for_task", task="coding", prompt="Hi")
        mine = await seat.said("route_for_task", task="mine", prompt="Hi")

    assert candidates(code) == candidates(alias) == ["second", "first", "third"]
    assert candidates(mine) == ["third", "first", "second"]


RULES = """
[[routing.rules]]
when = { max_input_tokens = 100 }
models = ["third/m"]
[[routing.rules]]
when = { min_input_tokens = 1000, needs = ["tools"] }
models = ["second/m"]
only = true
"""


@pytest.mark.parametrize(
    ("wish", "want"),
    [
        ({"prompt": "Hi"}, ["third", "first", "second"]),
        ({"input_tokens": 500}, ["first", "second", "third"]),
        ({"input_tokens": 5000, "needs": ["tools"]}, ["second"]),
        ({"input_tokens": 5000}, ["first", "second", "third"]),
        ({"prompt": "Hi", "task": "chat"}, ["first", "second", "third"]),
        ({"prompt": "Hi", "provider": "first"}, ["first"]),
    ],
)
async def test_rules_choose_by_the_shape_of_a_call(
    tmp_path: Path, wish: dict[str, Any], want: list[str]
) -> None:
    async with seated(tmp_path, *ORDERED, RULES) as seat:
        route = await seat.said("route_for_task", **wish)

    assert candidates(route) == want


ALIASES = """
[routing.aliases]
smart = ["second/m", "first/m"]
clever = "smart"
fast = "third/m"
"""


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("smart", ["second", "first", "third"]),
        ("clever", ["second", "first", "third"]),
        ("fast", ["third", "first", "second"]),
        ("cheap", ["third", "second", "first"]),
        ("best", ["first", "second", "third"]),
        ("local", []),
    ],
)
async def test_an_alias_stands_for_models_or_for_what_matters(
    tmp_path: Path, model: str, want: list[str]
) -> None:
    async with seated(tmp_path, ALIASES, *ORDERED) as seat:
        route = await seat.said("route_for_task", model=model, prompt="Hi")

    assert candidates(route) == want


@pytest.mark.parametrize(
    "name",
    ["fallback", "round-robin", "cost-optimized", "cost_optimized", "quality", "speed"],
)
async def test_strategies_answer_to_the_names_other_programs_give_them(
    tmp_path: Path, name: str
) -> None:
    async with seated(tmp_path, *THREE, f'[routing]\nstrategy = "{name}"\n') as seat:
        configured = await seat.said("route_for_task", prompt="Hi")
        asked = await seat.said("route_for_task", prompt="Hi", strategy=name)

    assert configured["strategy"] == asked["strategy"]


async def test_turns_are_taken_by_calls_alone(tmp_path: Path) -> None:
    config = '[routing]\nstrategy = "round_robin"\n'
    seen: list[str] = []
    async with seated(tmp_path, *THREE, config) as seat:
        for _ in range(6):
            route = await seat.said("route_for_task", prompt="Hi")
            again = await seat.said("route_for_task", prompt="Hi")
            said = await seat.said("complete", prompt="Hi")
            assert candidates(route)[0] == candidates(again)[0] == said["provider"]
            seen.append(said["provider"])

    assert seen == ["first", "second", "third"] * 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[routing.aliases]\na = "b"\nb = "a"',
            "routing.aliases.a: the alias leads back to itself: a -> b -> a",
        ),
        (
            "[routing.tasks]\nmine = { only = true }",
            "routing.tasks.mine.only: the task routes to nothing",
        ),
        ('[routing.tasks]\nmine = "nobody/x"', "there is no provider 'nobody'"),
        (
            '[[routing.rules]]\nmodels = ["mock/a"]\n'
            '[[routing.rules]]\nwhen = { max_input_tokens = 5 }\nmodels = ["mock/b"]',
            "no call reaches this rule: rule 1 takes all it is for",
        ),
        (
            "[[routing.rules]]\nwhen = { max_input_tokens = 5, min_input_tokens = 9 }\n"
            'models = ["mock/b"]',
            "no call has fewer tokens",
        ),
        ("[[routing.rules]]\nmodels = []", "routing.rules[0].models"),
        ('[routing]\nstrategy = "fastests"', "did you mean 'fastest'?"),
    ],
)
def test_a_mistake_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        understood(text, Path("config.toml"), {})

    assert problem in str(refused.value)
    assert "line" in str(refused.value)


def test_every_shipped_task_is_known() -> None:
    assert set(SHIPPED) == {
        "agents",
        "analysis",
        "chat",
        "code",
        "complex_reasoning",
        "documentation",
        "embeddings",
        "private",
        "quick",
        "security",
        "summarization",
        "testing",
    }
