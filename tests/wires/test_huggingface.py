"""Hugging Face: one row for the router, and embeddings beside its path."""

from dataclasses import replace
from typing import Any

import pytest
from upstream import answer, upstream

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.errors import Misdirected, Refused, UpstreamError
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.prices import rates
from roundhouse_mcp.providers.request import url
from roundhouse_mcp.providers.types import Call, EmbedCall, Message, Usage
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

ROW = shipped()["huggingface"]
WIRE = embed_wire("huggingface_features")
TEXTS = EmbedCall(texts=("one", "two"))


def test_chat_and_embeddings_stand_at_different_paths_of_one_address() -> None:
    call = Call(messages=(Message(role="user", text="Hi"),), max_tokens=16)
    chat = chat_wire(ROW.wire).encode(call, model="openai/gpt-oss-20b:groq", provider=ROW)
    vectors = WIRE.encode(TEXTS, model="intfloat/multilingual-e5-large", provider=ROW)

    assert url(ROW, chat) == "https://router.huggingface.co/v1/chat/completions"
    assert chat.body is not None
    assert chat.body["model"] == "openai/gpt-oss-20b:groq"
    assert url(ROW, vectors) == (
        "https://router.huggingface.co/hf-inference/models/intfloat/multilingual-e5-large"
        "/pipeline/feature-extraction"
    )
    assert vectors.body == {"inputs": ["one", "two"]}


@pytest.mark.parametrize("model", ["../../x", "a/b?c=d", "a b", ""])
def test_a_name_that_is_no_part_of_a_path_is_no_model(model: str) -> None:
    with pytest.raises(Misdirected):
        WIRE.encode(TEXTS, model=model, provider=ROW)


@pytest.mark.parametrize(
    ("body", "vectors"),
    [
        ([[1, 0.5], [0, 2]], ((1.0, 0.5), (0.0, 2.0))),
        ([1, 0.5], ((1.0, 0.5),)),
        ([], ()),
    ],
)
def test_vectors_come_as_plain_lists_and_nothing_is_known_of_their_tokens(
    body: Any, vectors: Any
) -> None:
    found = WIRE.decode(body, provider="p")

    assert (found.vectors, found.usage) == (vectors, Usage())


def test_vectors_for_every_token_are_refused() -> None:
    with pytest.raises(Refused, match="a vector for every token"):
        WIRE.decode([[[1.0, 2.0], [3.0, 4.0]]], provider="p")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"error": "Model acme/x is currently loading"}', "faulted"),
        (200, '{"vectors": 1}', "garbled"),
        (200, '"text"', "garbled"),
        (200, '[["a"]]', "garbled"),
        (401, '{"error": "Invalid credentials in Authorization header"}', "locked"),
        (402, '{"error": "You have exceeded your monthly included credits"}', "exhausted"),
        (404, "Not Found", "misdirected"),
        (429, '{"error": "Too many requests"}', "throttled"),
        (503, '{"error": "Model acme/x is currently loading", "estimated_time": 20}', "faulted"),
    ],
)
async def test_what_is_no_vector_is_an_error(status: int, body: str, kind: str) -> None:
    async with upstream(answer(body, status=status)) as server, Http() as http:
        row = replace(ROW, base_url=server.url)
        with pytest.raises(UpstreamError) as failed:
            await http.embed(row, "key", TEXTS, model="acme/x", limits=Limits())

    assert failed.value.kind == kind


def test_a_price_is_known_only_where_a_model_says_who_serves_it() -> None:
    assert rates(ROW, "openai/gpt-oss-120b:groq") is not None
    assert rates(ROW, "openai/gpt-oss-120b") is None
    assert rates(ROW, "openai/gpt-oss-120b:fastest") is None
