"""Many texts go out in bounded batches, side by side, and are paid for as far as they were read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import budget, scripted, seated, served
from upstream import Request, Script, Send, answer, upstream

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.types import EmbedCall
from roundhouse_mcp.server import batches
from roundhouse_mcp.server.batches import LANES
from roundhouse_mcp.server.candidates import Offer

FINDER = 'embedding_model = "m"'


def vectors(request: Request, *, usage: bool = True) -> str:
    """The first number of a vector is the number its text ends in."""
    texts = request.json["input"]
    data = [{"index": n, "embedding": [float(t.split()[-1]), 1.0]} for n, t in enumerate(texts)]
    return json.dumps({"data": data} | ({"usage": {"prompt_tokens": len(texts)}} if usage else {}))


async def embeds(request: Request, send: Send) -> None:
    await answer(vectors(request))(request, send)


async def uncounted(request: Request, send: Send) -> None:
    await answer(vectors(request, usage=False))(request, send)


def texts(count: int) -> list[str]:
    return [f"text {n}" for n in range(count)]


def offer(provider: str, model: str, **changes: Any) -> Offer:
    row = replace(shipped()[provider], **changes)
    return Offer(provider=row, model=model, facts=row.facts(model))


def sizes(call: EmbedCall, offered: Offer) -> list[int]:
    return [len(batch.texts) for batch in batches.batches(call, offered)]


def test_a_batch_has_no_more_texts_than_the_provider_takes() -> None:
    call = EmbedCall(texts=tuple(texts(150)))

    assert sizes(call, offer("ollama", "m")) == [64, 64, 22]


def test_a_batch_has_no_more_tokens_than_the_provider_takes() -> None:
    call = EmbedCall(texts=("word " * 100,) * 5)

    assert sizes(call, offer("openai", "m", embed_tokens=250)) == [2, 2, 1]


def test_a_text_that_is_too_long_goes_out_alone() -> None:
    call = EmbedCall(texts=("short", "word " * 100, "short"))

    assert sizes(call, offer("openai", "m", embed_tokens=50)) == [1, 1, 1]


@pytest.mark.parametrize(("dimensions", "most"), [(3072, 227), (256, 2048), (None, 170)])
def test_the_answer_to_a_batch_stays_under_16_mib(dimensions: int | None, most: int) -> None:
    call = EmbedCall(texts=("a",) * 3000, dimensions=dimensions)

    assert sizes(call, offer("openai", "m", embed_tokens=None))[0] == most


async def test_many_texts_come_back_in_order(tmp_path: Path) -> None:
    async with (
        upstream(embeds) as server,
        seated(tmp_path, served("one", server.url, more=FINDER)) as seat,
    ):
        said = await seat.said("embed", texts=texts(600), vectors="inline")

    assert [vector[0] for vector in said["vectors"]] == [float(n) for n in range(600)]
    assert said["usage"]["input"] == 600
    assert len(server.posts) == 4


async def test_batches_are_under_way_side_by_side(tmp_path: Path) -> None:
    together, waiting = anyio.Event(), 0

    async def script(request: Request, send: Send) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == LANES:
            together.set()
        await together.wait()
        await embeds(request, send)

    async with (
        upstream(script) as server,
        seated(tmp_path, served("one", server.url, more=FINDER)) as seat,
    ):
        with anyio.fail_after(20):
            said = await seat.said("embed", texts=texts(170 * LANES), vectors="inline")

    assert len(said["vectors"]) == 170 * LANES


async def test_every_batch_is_a_request_that_may_have_its_price(tmp_path: Path) -> None:
    config = served("one", "{url}", more=FINDER) + 'per_request = "0.001"\n'
    async with (
        upstream(embeds) as server,
        seated(tmp_path, config.replace("{url}", server.url), budget("10")) as seat,
    ):
        await seat.said("embed", texts=texts(300))
        (attempt,) = seat.rows("SELECT cost_nano, reserved_nano FROM attempts")

    assert attempt["cost_nano"] == 2_000_000 + 300_000
    assert attempt["reserved_nano"] >= attempt["cost_nano"]


def failing_once(on: str) -> Script:
    """Fails the first request whose texts begin with `on`."""
    failed = False

    async def script(request: Request, send: Send) -> None:
        nonlocal failed
        if request.json["input"][0] == on and not failed:
            failed = True
            await answer("oops", status=500)(request, send)
        else:
            await embeds(request, send)

    return script


async def test_batches_that_came_back_before_one_failed_are_paid_for(tmp_path: Path) -> None:
    async with (
        upstream(failing_once(on="text 170")) as server,
        seated(tmp_path, served("one", server.url, more=FINDER), budget("10")) as seat,
    ):
        said = await seat.said("embed", texts=texts(300))
        attempts = seat.rows("SELECT outcome, cost_nano, input_tokens FROM attempts")
        spent = seat.rows("SELECT spent_nano FROM budget_windows")[0]["spent_nano"]

    assert [row["outcome"] for row in attempts] == ["faulted", "ok"]
    assert [row["input_tokens"] for row in attempts] == [170, 300]
    assert sum(row["cost_nano"] for row in attempts) == spent == 470_000
    assert said["cost_usd"] == 0.00047


def half_answered(first: anyio.Event) -> Script:
    """Answers the first batch once the second is under way, and never that."""
    second = anyio.Event()

    async def script(request: Request, send: Send) -> None:
        if request.json["input"][0] != "text 0":
            second.set()
            await anyio.sleep_forever()
        await second.wait()
        await embeds(request, send)
        first.set()

    return script


async def test_a_batch_under_way_when_the_caller_leaves_is_counted_as_an_estimate(
    tmp_path: Path,
) -> None:
    first = anyio.Event()
    async with (
        upstream(half_answered(first)) as server,
        seated(tmp_path, served("one", server.url, more=FINDER)) as seat,
    ):
        await seat.refused("embed", texts=texts(300), timeout_s=0.5)
        attempts = seat.rows("SELECT cost_kind, input_tokens, usage_estimated FROM attempts")

    assert first.is_set()
    assert attempts[0]["usage_estimated"]
    assert attempts[0]["cost_kind"] == "estimated"
    assert attempts[0]["input_tokens"] > 170


async def test_usage_nobody_reports_is_estimated_and_flagged(tmp_path: Path) -> None:
    async with (
        upstream(uncounted) as server,
        seated(tmp_path, served("one", server.url, more=FINDER)) as seat,
    ):
        said = await seat.said("embed", texts=texts(10))

    assert said["usage"] == {"input": 20, "output": 0, "estimated": True}
    assert said["cost_usd"] == 0.00002


@pytest.mark.parametrize(("reserve", "cost"), [("bound", 220_000), ("expected", 25_000)])
async def test_usage_nobody_reports_counts_in_full_where_a_budget_is_strict(
    tmp_path: Path, reserve: str, cost: int
) -> None:
    limit = budget("10") + f'reserve = "{reserve}"\n'
    async with (
        upstream(uncounted) as server,
        seated(tmp_path, served("one", server.url, more=FINDER), limit) as seat,
    ):
        await seat.said("embed", texts=texts(10))
        (attempt,) = seat.rows("SELECT cost_nano, cost_kind, usage_estimated FROM attempts")
        (window,) = seat.rows("SELECT spent_nano FROM budget_windows")

    assert attempt == {"cost_nano": cost, "cost_kind": "estimated", "usage_estimated": 1}
    assert window["spent_nano"] == cost


@pytest.mark.parametrize("reserve", ["bound", "expected"])
async def test_batches_cut_midway_count_in_full_where_a_budget_is_strict(
    tmp_path: Path, reserve: str
) -> None:
    first = anyio.Event()
    limit = budget("10") + f'reserve = "{reserve}"\n'
    async with (
        upstream(half_answered(first)) as server,
        seated(tmp_path, served("one", server.url, more=FINDER), limit) as seat,
    ):
        await seat.refused("embed", texts=texts(300), timeout_s=0.5)
        (attempt,) = seat.rows("SELECT cost_nano, reserved_nano, cost_kind FROM attempts")
        (window,) = seat.rows("SELECT spent_nano FROM budget_windows")

    assert first.is_set()
    assert attempt["cost_kind"] == "estimated"
    assert window["spent_nano"] == attempt["cost_nano"]
    whole = attempt["cost_nano"] == attempt["reserved_nano"]
    assert whole == (reserve == "bound")


async def test_a_batch_whose_fate_is_unknown_counts_though_another_failed_for_nothing(
    tmp_path: Path,
) -> None:
    async def script(request: Request, send: Send) -> None:
        if request.json["input"][0] == "text 0":
            await answer("oops", status=500)(request, send)
        # the others are read, and never answered

    retries = "[retries]\nper_provider = 1\n"
    async with (
        upstream(script) as server,
        seated(tmp_path, served("one", server.url, more=FINDER), budget("10"), retries) as seat,
    ):
        await seat.refused("embed", texts=texts(300))
        (attempt,) = seat.rows("SELECT cost_nano, reserved_nano, cost_kind FROM attempts")

    assert attempt["cost_kind"] == "presumed"
    assert attempt["cost_nano"] == attempt["reserved_nano"] > 0


async def test_dimensions_a_model_does_not_have_are_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    more = "embedding_model = 'm'\n[providers.one.facts.m]\ndimensions = [2]\nembeddings = true\n"
    async with (
        upstream(embeds) as server,
        seated(tmp_path, served("one", server.url, more=more)) as seat,
    ):
        text = await seat.refused("embed", texts=["text 1"], dimensions=3)

    assert "has no 3 dimensions (it has 2)" in text
    assert server.posts == []


async def test_scripted_models_embed_many_texts_too(tmp_path: Path) -> None:
    config = scripted("one", price=None, more='embedding_model = "finder"')
    async with seated(tmp_path, config) as seat:
        said = await seat.said("embed", texts=texts(600), vectors="inline")
        last = await seat.said("embed", texts=["text 599"], vectors="inline")

    assert said["vectors"][-1] == last["vectors"][0]
