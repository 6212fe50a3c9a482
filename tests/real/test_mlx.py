"""An editor's client, `roundhouse serve`, and the real server of mlx-lm behind it. On Linux it runs
on the processor."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ..seats import Seat, quiet, rows, settled, started
from .programs import MODEL, Program, mlx, model_path, needs, running, write_model

pytestmark = [pytest.mark.real, pytest.mark.anyio]

ENDLESS = 1_000_000
SCHEMA = {
    "type": "object",
    "properties": {"sky": {"enum": ["blue", "grey"]}, "sure": {"type": "boolean"}},
    "required": ["sky", "sure"],
    "additionalProperties": False,
}
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("mlx_lm")
    folder = tmp_path_factory.mktemp("mlx")
    write_model(folder)
    return folder


@pytest.fixture(scope="session")
async def server(downloads: Path) -> AsyncGenerator[Program]:
    async with running(*mlx(downloads)) as program:
        yield program


@pytest.fixture
def home(tmp_path: Path, server: Program) -> Path:
    return configured(tmp_path, server)


def configured(home: Path, server: Program) -> Path:
    config = f'{quiet("mlx")}[providers.mlx]\nbase_url = "{server.url}/v1"\n'
    (home / "config.toml").write_text(config, "utf-8")
    return home


def nothing_is_held(home: Path) -> bool:
    return not rows(home, "SELECT * FROM reservations WHERE state = 'held'")


async def said(home: Path, **asked: Any) -> dict[str, Any]:
    with anyio.fail_after(40):
        async with started(home) as seat:
            return await seat.said("complete", **{"provider": "mlx", "temperature": 0, **asked})


async def test_a_plain_answer_has_its_usage_and_costs_nothing(home: Path) -> None:
    answer = await said(home, prompt="Hi", max_tokens=16)

    assert (answer["text"], answer["finish_reason"]) == ("Steam is up.", "stop")
    assert (answer["provider"], answer["model"]) == ("mlx", "default_model")
    assert answer["usage"]["output"] == 5
    assert answer["usage"]["input"] > 5
    assert "estimated" not in answer["usage"]
    assert answer["cost_usd"] == 0
    assert nothing_is_held(home)


async def test_a_model_it_lists_is_asked_for_by_its_name(home: Path) -> None:
    answer = await said(home, prompt="Hi", model=f"mlx/{MODEL}", max_tokens=16)

    assert (answer["text"], answer["model"]) == ("Steam is up.", MODEL)


async def test_the_cap_and_a_stop_end_an_answer(home: Path) -> None:
    capped = await said(home, prompt="Hi", max_tokens=2)
    stopped = await said(home, prompt="Hi", max_tokens=16, stop=[" up"])

    assert (capped["text"], capped["finish_reason"]) == ("Steam is", "length")
    assert (stopped["text"], stopped["finish_reason"]) == ("Steam is", "stop")


async def test_a_tool_call_arrives_whole_or_not_at_all(home: Path) -> None:
    whole = await said(home, prompt="Weather?", tools=[WEATHER], max_tokens=32)
    cut = await said(home, prompt="Weather?", tools=[WEATHER], max_tokens=3)

    assert whole["finish_reason"] == "tool_calls"
    assert [(c["name"], c["arguments"]) for c in whole["tool_calls"]] == [
        ("weather", {"city": "Oslo"})
    ]
    assert cut["finish_reason"] == "length"
    assert not cut.get("tool_calls")


async def test_a_schema_is_asked_for_in_words_and_the_answer_checked(home: Path) -> None:
    answer = await said(home, prompt="The sky?", output_schema=SCHEMA, max_tokens=32)

    assert answer["structured"] == {"sky": "grey", "sure": True}


@pytest.mark.parametrize("name", ["gpt-5", "someone/a-model-of-many-gigabytes"])
async def test_a_model_it_does_not_list_is_refused_here_and_never_asked_for(
    home: Path, server: Program, name: str
) -> None:
    before = server.asked()

    with anyio.fail_after(20):
        async with started(home) as seat:
            words = await seat.refused("complete", prompt="Hi", provider="mlx", model=name)
            await seat.said("complete", prompt="Hi", provider="mlx", max_tokens=1)

    assert f"has no model '{name}'" in words
    assert f"It has default_model, {MODEL}." in words
    assert server.asked() == before + 1


async def test_a_cancelled_call_leaves_nothing_held_and_the_server_free(
    home: Path, server: Program
) -> None:
    speaking = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        speaking.set()

    async def ask(seat: Seat) -> None:
        asked = {"prompt": "Go on", "provider": "mlx", "max_tokens": ENDLESS}
        await seat.client.call_tool("complete", asked, progress_callback=note)

    with anyio.fail_after(40):
        async with started(home) as seat:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, seat)
                await speaking.wait()
                group.cancel_scope.cancel()
            found = await settled(home, "SELECT * FROM calls")
            after = await seat.said("complete", prompt="Hi", provider="mlx", max_tokens=16)

    assert [row["status"] for row in found] == ["cancelled"]
    assert after["text"] == "Steam is up."
    assert nothing_is_held(home)


async def test_it_says_what_it_was_started_with_and_what_else_it_has(home: Path) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            health = await seat.said("provider_health", provider="mlx", probe=True)

    found = health["providers"][0]
    assert found["reachable"] is True
    assert found["models"] == ["default_model", MODEL]
    assert found["loaded"] == ["default_model"]


async def test_it_is_found_where_nothing_was_ever_downloaded(
    downloads: Path, tmp_path: Path
) -> None:
    """Its list of models is an empty body then."""
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    with anyio.fail_after(60):
        async with running(*mlx(elsewhere, str(model_path(downloads)))) as server:
            answer = await said(configured(tmp_path, server), prompt="Hi", max_tokens=16)

    assert answer["text"] == "Steam is up."


async def test_it_makes_no_embeddings(home: Path) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            words = await seat.refused("embed", texts=["a"], provider="mlx")

    assert "makes no embeddings" in words
