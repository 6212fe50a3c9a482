"""An editor's client, `roundhouse serve`, and the real `transformers serve` behind it."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ..seats import Seat, quiet, rows, settled, started
from .programs import MODEL, Program, needs, running, transformers, write_model

pytestmark = [pytest.mark.real, pytest.mark.anyio]

LONG = 12_000
SCHEMA = {
    "type": "object",
    "properties": {"sky": {"enum": ["blue", "grey"]}, "sure": {"type": "boolean"}},
    "required": ["sky", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Program]:
    needs("transformers", "torch", "fastapi", "uvicorn")
    folder = tmp_path_factory.mktemp("transformers")
    write_model(folder)
    async with running(*transformers(folder)) as program:
        yield program


@pytest.fixture
def home(tmp_path: Path, server: Program) -> Path:
    row = f'[providers.transformers]\nbase_url = "{server.url}/v1"\n'
    (tmp_path / "config.toml").write_text(quiet("transformers") + row, "utf-8")
    return tmp_path


async def said(home: Path, **asked: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        async with started(home) as seat:
            return await seat.said(
                "complete", **{"provider": "transformers", "temperature": 0, **asked}
            )


async def test_a_plain_answer_has_its_usage_and_costs_nothing(home: Path) -> None:
    answer = await said(home, prompt="Hi", max_tokens=16)

    assert (answer["text"], answer["finish_reason"]) == ("Steam is up.", "stop")
    assert (answer["provider"], answer["model"]) == ("transformers", MODEL)
    assert answer["usage"]["output"] == 5
    assert answer["usage"]["input"] > 5
    assert "estimated" not in answer["usage"]
    assert answer["cost_usd"] == 0


async def test_the_cap_and_a_stop_end_an_answer(home: Path) -> None:
    capped = await said(home, prompt="Hi", max_tokens=2)
    stopped = await said(home, prompt="Hi", max_tokens=16, stop=[" up"])

    assert (capped["text"], capped["finish_reason"]) == ("Steam is", "length")
    assert stopped["text"].startswith("Steam is")
    assert stopped["finish_reason"] == "stop"
    assert "." not in stopped["text"]


async def test_a_schema_is_asked_for_in_words_and_the_answer_checked(home: Path) -> None:
    answer = await said(home, prompt="The sky?", output_schema=SCHEMA, max_tokens=32)

    assert answer["structured"] == {"sky": "grey", "sure": True}


async def test_a_model_it_does_not_list_is_refused_here_and_never_asked_for(
    home: Path, server: Program
) -> None:
    before = server.asked()

    with anyio.fail_after(60):
        async with started(home) as seat:
            words = await seat.refused(
                "complete", prompt="Hi", provider="transformers", model="gpt-5"
            )
            await seat.said("complete", prompt="Hi", provider="transformers", max_tokens=1)

    assert f"It has {MODEL}." in words
    assert server.asked() == before + 1


async def test_a_cancelled_call_leaves_nothing_held_and_the_server_free(
    home: Path, server: Program
) -> None:
    speaking = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        speaking.set()

    async def ask(seat: Seat) -> None:
        asked = {"prompt": "Go on", "provider": "transformers", "max_tokens": LONG}
        await seat.client.call_tool("complete", asked, progress_callback=note)

    with anyio.fail_after(60):
        async with started(home) as seat:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, seat)
                await speaking.wait()
                group.cancel_scope.cancel()
            found = await settled(home, "SELECT * FROM calls")
            after = await seat.said("complete", prompt="Hi", provider="transformers", max_tokens=16)

    assert [row["status"] for row in found] == ["cancelled"]
    assert after["text"] == "Steam is up."
    assert not rows(home, "SELECT * FROM reservations WHERE state = 'held'")


async def test_it_lists_what_was_downloaded(home: Path) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            health = await seat.said("provider_health", provider="transformers", probe=True)

    found = health["providers"][0]
    assert (found["reachable"], found["models"]) == (True, [MODEL])
