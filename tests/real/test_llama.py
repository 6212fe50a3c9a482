"""An editor's client, `roundhouse serve`, and the real llama.cpp server behind it.

The weights are random: the words mean nothing, their shape is what is asserted.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from ..seats import Era, Seat, rows, settled, started, text_of
from .llama import Llama, is_free, llama

pytestmark = [pytest.mark.real, pytest.mark.anyio]

ZERO_CONFIG_PORT = 8080
LONG = 12_000
SOME = 3_000
SCHEMA = {
    "type": "object",
    "properties": {"sky": {"enum": ["blue", "grey"]}, "sure": {"type": "boolean"}},
    "required": ["sky", "sure"],
    "additionalProperties": False,
}
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "required": ["city"],
    },
}

both_eras = pytest.mark.parametrize("era", ["auto", "legacy"])
both_wires = pytest.mark.parametrize("provider", ["llamacpp", "claude-like"])


def nothing_is_held(home: Path) -> bool:
    held = rows(home, "SELECT * FROM reservations WHERE state = 'held'")
    return not held and not rows(home, "SELECT * FROM inflight")


@both_wires
@both_eras
async def test_a_plain_answer_has_its_usage_and_costs_nothing(
    home: Path, provider: str, era: Era
) -> None:
    with anyio.fail_after(20):
        async with started(home, era=era) as seat:
            said = await seat.said(
                "complete", prompt="Hi", model=f"{provider}/tiny", max_tokens=8, temperature=0
            )

    assert said["finish_reason"] == "length"
    assert said["text"]
    assert (said["provider"], said["model"]) == (provider, "tiny")
    assert said["usage"]["output"] == 8
    assert said["usage"]["input"] > 0
    assert "estimated" not in said["usage"]
    assert said["cost_usd"] == 0
    assert nothing_is_held(home)


@both_wires
@both_eras
async def test_a_long_answer_reports_growing_progress_while_it_streams(
    home: Path, provider: str, era: Era
) -> None:
    seen: list[float] = []
    messages: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)
        messages.append(message or "")

    with anyio.fail_after(40):
        async with started(home, era=era) as seat:
            result = await seat.client.call_tool(
                "complete",
                {"prompt": "Hi", "provider": provider, "max_tokens": SOME, "temperature": 0},
                progress_callback=note,
            )

    assert not result.is_error, text_of(result)
    assert seen
    assert all(earlier < later for earlier, later in pairwise(seen))
    assert any(f"{provider}/tiny: " in message and "characters" in message for message in messages)


@both_wires
@both_eras
async def test_a_cancelled_call_frees_the_slot_and_holds_no_money(
    home: Path, chat: Llama, provider: str, era: Era
) -> None:
    speaking = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        speaking.set()

    async def ask(seat: Seat) -> None:
        await seat.client.call_tool(
            "complete",
            {"prompt": "Hi", "provider": provider, "max_tokens": LONG, "temperature": 0},
            progress_callback=note,
        )

    with anyio.fail_after(30):
        async with started(home, era=era) as seat:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, seat)
                await speaking.wait()
                await chat.wait_for_slots(busy=1)
                group.cancel_scope.cancel()
            await chat.wait_for_slots(busy=0)
            found = await settled(home, "SELECT * FROM calls")

    assert [row["status"] for row in found] == ["cancelled"]
    assert nothing_is_held(home)


@both_wires
async def test_at_the_deadline_the_text_so_far_comes_back_and_the_rest_can_be_read(
    home: Path, chat: Llama, provider: str
) -> None:
    with anyio.fail_after(30):
        async with started(home) as seat:
            first = await seat.said(
                "complete",
                prompt="Hi",
                provider=provider,
                max_tokens=LONG,
                temperature=0,
                timeout_s=1,
            )
            more = await seat.said(
                "complete", call_id=first["call_id"], offset=len(first["text"]), timeout_s=1
            )
        await chat.wait_for_slots(busy=0)

    assert first["finish_reason"] == "timeout"
    assert first["text"]
    assert more["call_id"] == first["call_id"]
    assert more["text"]
    assert nothing_is_held(home)


@both_wires
@both_eras
async def test_tool_definitions_reach_the_model(home: Path, provider: str, era: Era) -> None:
    asked = {"prompt": "Weather?", "provider": provider, "max_tokens": 8, "temperature": 0}
    with anyio.fail_after(20):
        async with started(home, era=era) as seat:
            bare = await seat.said("complete", **asked)
            armed = await seat.said("complete", **asked, tools=[WEATHER], tool_choice="required")

    assert armed["finish_reason"] in ("length", "tool_calls")
    assert armed["usage"]["input"] > bare["usage"]["input"] + 100


@both_eras
async def test_an_answer_by_schema_is_valid_data(home: Path, era: Era) -> None:
    with anyio.fail_after(20):
        async with started(home, era=era) as seat:
            said = await seat.said(
                "complete",
                prompt="The sky?",
                provider="llamacpp",
                output_schema=SCHEMA,
                max_tokens=200,
                temperature=0,
            )

    assert said["finish_reason"] == "stop"
    assert said["structured"]["sky"] in ("blue", "grey")
    assert said["structured"]["sure"] in (True, False)
    assert json.loads(said["text"]) == said["structured"]


@both_eras
async def test_an_answer_that_ignores_the_schema_is_marked_and_not_passed_on_as_data(
    home: Path, era: Era
) -> None:
    """llama.cpp takes no schema on its Anthropic surface."""
    with anyio.fail_after(20):
        async with started(home, era=era) as seat:
            said = await seat.said(
                "complete",
                prompt="The sky?",
                provider="claude-like",
                output_schema=SCHEMA,
                max_tokens=20,
                temperature=0,
            )

    assert "structured" not in said
    assert any("its JSON was complete" in warning for warning in said["warnings"])


@both_eras
async def test_an_embedding_ranks_the_texts_without_showing_vectors(home: Path, era: Era) -> None:
    texts = ["rails and engines", "a turntable", "tea"]
    with anyio.fail_after(20):
        async with started(home, era=era) as seat:
            said = await seat.said("embed", texts=texts, query="a turntable", provider="embedder")

    ranking: list[dict[str, Any]] = said["ranking"]
    assert said["dimensions"] == 64
    assert (ranking[0]["index"], ranking[0]["text"]) == (1, "a turntable")
    assert [entry["rank"] for entry in ranking] == [1, 2, 3]
    assert ranking[0]["score"] > ranking[1]["score"] > ranking[2]["score"]
    assert "vectors" not in said


async def test_a_script_gets_the_vectors_when_it_asks(home: Path) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            said = await seat.said(
                "embed", texts=["one", "two"], provider="embedder", vectors="inline"
            )

    assert [len(vector) for vector in said["vectors"]] == [64, 64]


@both_wires
async def test_a_prompt_over_the_context_is_refused_in_one_sentence(
    home: Path, provider: str
) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            words = await seat.refused(
                "complete", prompt="word " * 8_000, provider=provider, max_tokens=8
            )

    assert "context" in words.splitlines()[0].lower()
    assert "retryable: false" in words
    assert len(words.encode()) <= 1024
    assert nothing_is_held(home)


@both_wires
async def test_the_ledger_says_which_model_answered_when_it_was_another(
    home: Path, provider: str
) -> None:
    with anyio.fail_after(20):
        async with started(home) as seat:
            await seat.said(
                "complete",
                prompt="Hi",
                model=f"{provider}/no-such-model",
                max_tokens=4,
                temperature=0,
            )

    attempts = rows(home, "SELECT model, answered_by FROM attempts")
    assert attempts[0]["model"] == "no-such-model"
    assert attempts[0]["answered_by"] in ("tiny", None)


async def test_a_server_that_is_not_there_is_named_with_what_to_do(
    home: Path, chat: Llama, tmp_path: Path
) -> None:
    config = home / "config.toml"
    nobody = "http://127.0.0.1:9"
    config.write_text(config.read_text("utf-8").replace(chat.url, nobody), "utf-8")

    with anyio.fail_after(20):
        async with started(home) as seat:
            words = await seat.refused("complete", prompt="Hi", model="claude-like/tiny")

    assert "claude-like" in words
    assert "attempts:" in words
    assert nothing_is_held(home)


@both_eras
async def test_without_any_config_llama_cpp_is_found_on_its_own_port(
    tmp_path: Path, model: Path, era: Era
) -> None:
    if not is_free(ZERO_CONFIG_PORT):
        pytest.skip("something else listens on port 8080")
    with anyio.fail_after(40):
        async with llama(model, "chat", ZERO_CONFIG_PORT), started(tmp_path, era=era) as seat:
            said = await seat.said("complete", prompt="Hi", max_tokens=4, privacy="local")
            health = await seat.said("provider_health", provider="llamacpp", probe=True)

    assert (said["provider"], said["model"]) == ("llamacpp", "tiny")
    assert said["cost_usd"] == 0
    assert health["providers"][0]["reachable"] is True
