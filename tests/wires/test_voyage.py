"""What Voyage AI is asked for, what it answers, and a provider that only makes embeddings seen
through the tools. The bodies are hand-made."""

import base64
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import seated
from upstream import Script, answer, upstream
from ways import SLOW

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.request import url
from roundhouse_mcp.providers.types import EmbedCall
from roundhouse_mcp.providers.wires import voyage

ROW = shipped()["voyage"]
TEXTS = EmbedCall(texts=("a", "b"))
KEY = {"VOYAGE_API_KEY": "pa-key"}


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


VECTORS: dict[str, Any] = {
    "object": "list",
    "data": [
        {"object": "embedding", "embedding": packed(0, 1), "index": 1},
        {"object": "embedding", "embedding": packed(1, 0), "index": 0},
    ],
    "model": "voyage-4",
    "usage": {"total_tokens": 6},
}


def test_texts_are_asked_for_whole_and_packed() -> None:
    asked = voyage.encode(
        replace(TEXTS, input_type="query", dimensions=256), model="voyage-4", provider=ROW
    )
    plain = voyage.encode(TEXTS, model="voyage-4", provider=ROW)

    assert url(ROW, asked) == "https://api.voyageai.com/v1/embeddings"
    assert asked.body == {
        "model": "voyage-4",
        "input": ["a", "b"],
        "truncation": False,
        "encoding_format": "base64",
        "input_type": "query",
        "output_dimension": 256,
    }
    assert plain.body is not None
    assert {"input_type", "output_dimension"} & set(plain.body) == set()


def test_vectors_are_unpacked_in_the_order_of_the_texts() -> None:
    found = voyage.decode(VECTORS, provider="p")

    assert found.vectors == ((1.0, 0.0), (0.0, 1.0))
    assert (found.usage.input, found.model) == (6, "voyage-4")


async def failing(script: Script) -> UpstreamError | None:
    with anyio.fail_after(10):
        async with upstream(script) as server, Http() as http:
            row = replace(ROW, base_url=server.url)
            try:
                await http.embed(row, "key", TEXTS, model="voyage-4", limits=SLOW)
            except UpstreamError as error:
                return error
    return None


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (400, "Model voyage-0 is not supported. Supported models are ['voyage-4'].", "misdirected"),
        (400, "Value 3 supplied for argument 'output_dimension' is not valid.", "refused"),
        (
            400,
            "The example at index 0 in your batch has too many tokens and does not fit into the "
            "model's context window of 32000 tokens.",
            "too_long",
        ),
        (
            400,
            "The max allowed tokens per submitted batch is 120000. Your batch has 130000 tokens.",
            "too_long",
        ),
        (401, "Provided API key is invalid.", "locked"),
        (403, "Your IP address is not allowed.", "locked"),
        (429, "You have exceeded your rate limits.", "throttled"),
        (500, "An unexpected error occurred.", "faulted"),
        (503, "The servers are overloaded.", "faulted"),
        (529, "Overloaded.", "faulted"),
    ],
)
async def test_an_error_is_what_its_status_and_detail_say(
    status: int, detail: str, kind: str
) -> None:
    error = await failing(answer(json.dumps({"detail": detail}), status=status, retry_after="3"))

    assert error is not None
    assert (error.kind, error.status) == (kind, status)
    assert error.detail == detail
    assert error.retry_after_s == (3.0 if status in (429, 503, 529) else None)


async def test_an_error_in_place_of_vectors_is_raised() -> None:
    error = await failing(answer(json.dumps({"detail": "it broke"})))

    assert error is not None
    assert (error.kind, error.detail) == ("faulted", "it broke")


@pytest.mark.parametrize(
    "data",
    [
        [],
        VECTORS["data"][:1],
        [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": "?"}],
        [{"index": 0, "embedding": packed(1)}, {"index": 1, "embedding": packed(1, 2)}],
    ],
)
async def test_vectors_that_are_not_what_was_asked_for_are_not_passed_on(data: Any) -> None:
    error = await failing(answer(json.dumps({**VECTORS, "data": data})))

    assert error is not None
    assert error.kind == "garbled"


async def test_its_embeddings_are_made_and_priced(tmp_path: Path) -> None:
    async with upstream(answer(json.dumps(VECTORS))) as server:
        config = f'[providers.voyage]\nbase_url = "{server.url}"\n'
        async with seated(tmp_path, config, environ=KEY) as seat:
            said = await seat.said("embed", texts=["a", "b"], vectors="inline")
            cost = seat.rows("SELECT cost_nano, cost_kind FROM calls")

    assert (said["provider"], said["model"]) == ("voyage", "voyage-4")
    assert said["vectors"] == [[1.0, 0.0], [0.0, 1.0]]
    assert cost == [{"cost_nano": 360, "cost_kind": "actual"}]
    assert server.posts[0].headers["authorization"] == "Bearer pa-key"


async def test_a_size_no_model_of_it_has_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with seated(tmp_path, environ=KEY) as seat:
        text = await seat.refused("embed", texts=["a"], dimensions=300)

    assert "voyage/voyage-4 has no 300 dimensions (it has 256, 512, 1024, 2048)" in text


@pytest.mark.parametrize("environ", [KEY, {}])
async def test_it_takes_no_part_in_chats_and_says_why_when_it_is_named(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    async with seated(tmp_path, environ=environ) as seat:
        route = await seat.said("route_for_task")
        named = await seat.said("route_for_task", provider="voyage")
        model = await seat.said("route_for_task", model="voyage/voyage-4")
        text = await seat.refused("complete", prompt="Hi", provider="voyage")

    assert "voyage" not in {each["provider"] for each in route["candidates"] + route["excluded"]}
    for said in (named, model):
        assert [(e["provider"], e["reason"]) for e in said["excluded"]] == [
            ("voyage", "capability")
        ]
    assert "voyage/* only makes embeddings" in text
