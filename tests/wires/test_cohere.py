"""What Cohere is asked for, and what comes back of embeddings. The bodies are hand-made."""

import base64
import struct
from dataclasses import replace
from typing import Any

import pytest

from roundhouse_mcp.providers.catalog import located, shipped
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.request import url
from roundhouse_mcp.providers.types import Call, EmbedCall, Image, Message, Tool, ToolCall
from roundhouse_mcp.providers.wires import cohere, cohere_embed

ROW = shipped()["cohere"]
THINKER = "command-a-reasoning-08-2025"
LOOK = Tool(name="look", description="Look", parameters={"type": "object"})
WAIT = Tool(name="wait")
ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=64)
TEXTS = EmbedCall(texts=("a", "b"))


def body(call: Call, model: str = "m") -> Any:
    return cohere.encode(call, model=model, provider=ROW, stream=False).body


def embedded(call: EmbedCall) -> Any:
    return cohere_embed.encode(call, model="embed-v4.0", provider=ROW).body


def test_a_question_goes_to_the_second_version_of_the_api() -> None:
    asked = cohere.encode(CALL, model="m", provider=ROW)

    assert url(ROW, asked) == "https://api.cohere.com/v2/chat"
    assert asked.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 64,
        "stream": True,
    }


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v2/"])
def test_an_address_with_a_version_in_it_is_the_same_address(path: str) -> None:
    row = located(ROW, f"https://api.cohere.com{path}")

    assert url(row, cohere.encode(CALL, model="m", provider=row)).endswith("cohere.com/v2/chat")


def test_what_shapes_an_answer_has_its_own_names() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

    sent = body(replace(CALL, temperature=0.3, stop=("END",), output_schema=schema))

    assert (sent["temperature"], sent["stop_sequences"]) == (0.3, ["END"])
    assert sent["response_format"] == {"type": "json_object", "json_schema": schema}


@pytest.mark.parametrize(
    ("choice", "offered", "said"),
    [
        (None, ["look", "wait"], None),
        ("auto", ["look", "wait"], None),
        ("none", ["look", "wait"], "NONE"),
        ("required", ["look", "wait"], "REQUIRED"),
        ("wait", ["wait"], "REQUIRED"),
    ],
)
def test_a_named_tool_is_the_only_one_offered(
    choice: str | None, offered: list[str], said: str | None
) -> None:
    sent = body(replace(CALL, tools=(LOOK, WAIT), tool_choice=choice))

    assert [tool["function"]["name"] for tool in sent["tools"]] == offered
    assert sent.get("tool_choice") == said


def test_a_choice_among_no_tools_is_not_sent() -> None:
    assert body(replace(CALL, tool_choice="required")) == body(CALL)


def test_words_beside_tool_calls_are_their_plan() -> None:
    calls = (ToolCall(id="c1", name="look", arguments={"x": 1}),)
    messages = (
        Message(role="system", text="Be terse."),
        Message(role="assistant", text="I will look.", tool_calls=calls),
        Message(role="tool", tool_call_id="c1", text="a tree"),
        Message(role="assistant", tool_calls=calls),
    )
    called = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}

    assert body(replace(CALL, messages=messages))["messages"] == [
        {"role": "system", "content": "Be terse."},
        {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
        {"role": "assistant", "tool_calls": [called]},
    ]


def test_a_picture_goes_as_an_address_of_its_bytes() -> None:
    seen = Message(role="user", text="What?", images=(Image("image/png", "QUJD"),))

    assert body(replace(CALL, messages=(seen,)))["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
    ]


@pytest.mark.parametrize(
    ("effort", "cap", "budget"),
    [("minimal", 4000, 512), ("low", 32000, 2048), ("high", 4000, 2000), ("low", 1, 1)],
)
def test_thoughts_leave_half_of_the_cap_to_the_answer(effort: Any, cap: int, budget: int) -> None:
    sent = body(replace(CALL, effort=effort, max_tokens=cap), THINKER)

    assert sent["thinking"] == {"type": "enabled", "token_budget": budget}


def test_a_model_that_does_not_reason_is_not_asked_to() -> None:
    assert "thinking" not in body(replace(CALL, effort="high"), "command-a-03-2025")


@pytest.mark.parametrize(
    ("input_type", "word"),
    [(None, "search_document"), ("document", "search_document"), ("query", "search_query")],
)
def test_texts_to_embed_have_a_purpose_and_are_never_cut(input_type: Any, word: str) -> None:
    assert embedded(replace(TEXTS, input_type=input_type, dimensions=256)) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": word,
        "embedding_types": ["float"],
        "truncate": "NONE",
        "output_dimension": 256,
    }
    assert "output_dimension" not in embedded(TEXTS)


@pytest.mark.parametrize(
    ("given", "vectors"),
    [
        ({"float": [[1, 2.5], [3, 4]]}, ((1.0, 2.5), (3.0, 4.0))),
        ({"float": None, "int8": [[1, -2]]}, ((1.0, -2.0),)),
        ({"base64": [base64.b64encode(struct.pack("<2f", 1.5, -2)).decode()]}, ((1.5, -2.0),)),
    ],
)
def test_vectors_come_in_one_of_several_forms(given: Any, vectors: Any) -> None:
    said = {"embeddings": given, "meta": {"billed_units": {"input_tokens": 4, "image_tokens": 0}}}

    found = cohere_embed.decode(said, provider="p")

    assert (found.vectors, found.usage.input) == (vectors, 4)


def test_a_bill_nobody_wrote_is_not_known() -> None:
    assert cohere_embed.decode({"embeddings": {"float": [[1]]}}, provider="p").usage.input is None


def test_an_error_in_place_of_vectors_is_raised() -> None:
    with pytest.raises(UpstreamError) as failed:
        cohere_embed.decode({"id": "x", "message": "internal server error"}, provider="p")

    assert (failed.value.kind, failed.value.detail) == ("faulted", "internal server error")


@pytest.mark.parametrize("said", [{}, {"embeddings": {}}, {"embeddings": {"binary": [[1]]}}])
def test_vectors_that_are_not_there_are_not_made_up(said: Any) -> None:
    with pytest.raises(LookupError):
        cohere_embed.decode(said, provider="p")
