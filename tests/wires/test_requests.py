"""What the wires ask for, as the body they send."""

import base64
import struct
from dataclasses import replace
from typing import Any

import pytest

from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.request import auth_headers, request, url
from roundhouse_mcp.providers.types import Call, EmbedCall, Image, Message, Tool, ToolCall
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=64)
LOOK = Tool(name="look", description="Look", parameters={"type": "object"})
WAIT = Tool(name="wait")
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
SHUT = {**OPEN, "required": ["a"], "additionalProperties": False}


def body(provider: str, call: Call, model: str = "m") -> Any:
    row = shipped()[provider]
    return chat_wire(row.wire).encode(call, model=model, provider=row, stream=False).body


@pytest.mark.parametrize(
    ("provider", "model", "field"),
    [
        ("openai", "gpt-x", "max_completion_tokens"),
        ("groq", "m", "max_completion_tokens"),
        ("together", "m", "max_tokens"),
        ("azure", "gpt-4o", "max_tokens"),
        ("azure", "gpt-5-mini", "max_completion_tokens"),
        ("anthropic", "claude-x", "max_tokens"),
    ],
)
def test_an_output_cap_is_sent_in_the_field_the_model_knows(
    provider: str, model: str, field: str
) -> None:
    assert body(provider, CALL, model)[field] == 64


def test_the_cap_is_never_more_than_the_model_can_write() -> None:
    call = replace(CALL, max_tokens=1_000_000)

    assert body("openai", call, "gpt-4o")["max_completion_tokens"] == 16384


@pytest.mark.parametrize(
    ("provider", "model", "taken"),
    [
        ("openai", "gpt-4o", True),
        ("openai", "gpt-5-mini", False),
        ("openai", "o3", False),
        ("anthropic", "claude-sonnet-5-5", False),
        ("anthropic", "claude-sonnet-4-5", True),
        ("ollama", "llama3", True),
    ],
)
def test_sampling_goes_only_to_models_that_take_it(provider: str, model: str, taken: bool) -> None:
    sent = body(provider, replace(CALL, temperature=0.5), model)

    assert ("temperature" in {**sent, **sent.get("options", {})}) is taken


def test_an_older_model_gets_its_temperature_under_the_older_version() -> None:
    row = shipped()["anthropic"]
    wire = chat_wire(row.wire)

    warm = wire.encode(replace(CALL, temperature=0.5), model="claude-haiku-4-5", provider=row)
    plain = wire.encode(CALL, model="claude-haiku-4-5", provider=row)

    assert (warm.headers["anthropic-version"], warm.auth) == ("2023-06-01", "x-api-key")
    assert (plain.headers["anthropic-version"], plain.auth) == ("2026-10-21", None)


@pytest.mark.parametrize(
    ("provider", "model", "want"),
    [
        ("openai", "gpt-5-mini", {"reasoning_effort": "low"}),
        ("openai", "gpt-4o", {}),
        ("groq", "qwen/qwen3-32b", {"reasoning_effort": "default", "reasoning_format": "parsed"}),
        ("groq", "openai/gpt-oss-120b", {"reasoning_effort": "low"}),
        (
            "anthropic",
            "claude-sonnet-5-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (
            "anthropic",
            "claude-haiku-4-5",
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        ("anthropic", "claude-3-haiku-20240307", {}),
        ("ollama", "gpt-oss:20b", {"think": "low"}),
    ],
)
def test_effort_is_asked_for_as_the_model_knows_it(
    provider: str, model: str, want: dict[str, Any]
) -> None:
    asked = replace(CALL, max_tokens=4000)

    sent = body(provider, replace(asked, effort="low"), model)

    before = body(provider, asked, model)
    assert {name: value for name, value in sent.items() if name not in before} == want


@pytest.mark.parametrize(
    ("model", "effort", "word"),
    [
        ("gpt-5-mini", "minimal", "minimal"),
        ("gpt-5.4-mini", "minimal", "low"),
        ("gpt-6-sol", "high", "high"),
        ("o3", "minimal", "low"),
        ("gpt-x", "minimal", "minimal"),
    ],
)
def test_an_effort_a_model_has_no_word_for_becomes_the_nearest(
    model: str, effort: Any, word: str
) -> None:
    assert body("openai", replace(CALL, effort=effort), model)["reasoning_effort"] == word


def test_thinking_is_not_asked_for_in_the_middle_of_a_tool_conversation() -> None:
    called = Message(role="assistant", tool_calls=(ToolCall(id="a", name="look", arguments={}),))
    result = Message(role="tool", tool_call_id="a", text="seen")
    call = replace(CALL, messages=(ASK, called, result), effort="high")

    sent = body("anthropic", call, "claude-sonnet-5-5")

    assert "thinking" not in sent
    assert sent["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("choice", "openai", "anthropic", "ollama"),
    [
        (None, None, None, ["look", "wait"]),
        ("auto", "auto", {"type": "auto"}, ["look", "wait"]),
        ("none", "none", {"type": "none"}, []),
        ("required", "required", {"type": "any"}, ["look", "wait"]),
        (
            "wait",
            {"type": "function", "function": {"name": "wait"}},
            {"type": "tool", "name": "wait"},
            ["wait"],
        ),
    ],
)
def test_a_tool_choice_is_said_in_every_dialect(
    choice: str | None, openai: Any, anthropic: Any, ollama: list[str]
) -> None:
    call = replace(CALL, tools=(LOOK, WAIT), tool_choice=choice)

    assert body("openai", call).get("tool_choice") == openai
    assert body("anthropic", call, "claude-x").get("tool_choice") == anthropic
    assert [tool["function"]["name"] for tool in body("ollama", call)["tools"]] == ollama


def test_parallel_results_are_one_turn_for_anthropic_and_named_for_ollama() -> None:
    calls = tuple(ToolCall(id=i, name=n, arguments={"k": i}) for i, n in (("a", "x"), ("b", "y")))
    results = tuple(Message(role="tool", tool_call_id=i, text=i * 2) for i in "ab")
    call = replace(
        CALL,
        messages=(ASK, Message(role="assistant", text="So.", tool_calls=calls), *results),
        tools=(LOOK,),
    )

    anthropic = body("anthropic", call, "claude-x")["messages"]
    ollama = body("ollama", call)["messages"]

    assert [turn["role"] for turn in anthropic] == ["user", "assistant", "user"]
    assert [block["type"] for block in anthropic[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in anthropic[2]["content"]] == ["a", "b"]
    assert [said.get("tool_name") for said in ollama] == [None, None, "x", "y"]
    assert ollama[1]["tool_calls"][1]["function"] == {"name": "y", "arguments": {"k": "b"}}


def test_several_system_messages_are_one_for_anthropic() -> None:
    system = (Message(role="system", text="One."), Message(role="system", text="Two."))

    sent = body("anthropic", replace(CALL, messages=(*system, ASK)), "claude-x")

    assert sent["system"] == "One.\n\nTwo."
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


def test_a_long_system_prompt_is_marked_for_the_cache() -> None:
    long = Message(role="system", text="rule " * 2000)

    sent = body("anthropic", replace(CALL, messages=(long, ASK)), "claude-x")

    assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_images_travel_inside_the_message() -> None:
    picture = Message(role="user", text="This?", images=(Image("image/png", "AAAA"),))
    call = replace(CALL, messages=(picture,))

    assert body("openai", call)["messages"][0]["content"] == [
        {"type": "text", "text": "This?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert body("anthropic", call, "claude-x")["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        },
        {"type": "text", "text": "This?"},
    ]
    assert body("ollama", call)["messages"][0] == {
        "role": "user",
        "content": "This?",
        "images": ["AAAA"],
    }


@pytest.mark.parametrize(
    ("provider", "schema", "want"),
    [
        ("openai", SHUT, {"name": "answer", "schema": SHUT, "strict": True}),
        ("openai", OPEN, {"name": "answer", "schema": OPEN}),
        ("together", SHUT, {"name": "answer", "schema": SHUT}),
        ("groq", {**OPEN, "title": "city"}, {"name": "city", "schema": {**OPEN, "title": "city"}}),
    ],
)
def test_a_schema_is_strict_only_where_it_can_be(
    provider: str, schema: dict[str, Any], want: dict[str, Any]
) -> None:
    sent = body(provider, replace(CALL, output_schema=schema))

    assert sent["response_format"] == {"type": "json_schema", "json_schema": want}


def test_a_schema_is_asked_for_in_words_where_the_service_takes_none() -> None:
    sent = body("deepseek", replace(CALL, output_schema=SHUT))

    assert sent["response_format"] == {"type": "json_object"}
    assert [said["role"] for said in sent["messages"]] == ["system", "user"]
    assert '"additionalProperties": false' in sent["messages"][0]["content"]


def test_a_schema_is_native_for_anthropic_and_ollama() -> None:
    call = replace(CALL, output_schema=SHUT, effort="low")

    assert body("anthropic", call, "claude-sonnet-5-5")["output_config"] == {
        "format": {"type": "json_schema", "schema": SHUT},
        "effort": "low",
    }
    assert body("ollama", call)["format"] == SHUT


def test_usage_is_always_asked_for_in_streams() -> None:
    row = shipped()["openai"]

    asked = chat_wire(row.wire).encode(CALL, model="m", provider=row)

    assert asked.body is not None
    assert asked.body["stream"] is True
    assert asked.body["stream_options"] == {"include_usage": True}


def test_azure_names_a_model_by_its_deployment() -> None:
    row = replace(
        shipped()["azure"], base_url="https://x.example/", deployments={"gpt-4o": "my deployment"}
    )

    asked = chat_wire(row.wire).encode(CALL, model="gpt-4o", provider=row)

    assert asked.body is not None
    assert asked.body["model"] == "my deployment"
    assert url(row, asked) == (
        "https://x.example/openai/deployments/my%20deployment/chat/completions"
        "?api-version=2024-10-21"
    )


@pytest.mark.parametrize(
    ("provider", "base_url", "whole"),
    [
        ("anthropic", "https://x.example/v1/", "https://x.example/v1/messages"),
        ("anthropic", "https://x.example/anthropic", "https://x.example/anthropic/v1/messages"),
        ("ollama", "http://127.0.0.1:9/api", "http://127.0.0.1:9/api/chat"),
        ("openai", "https://x.example/v1", "https://x.example/v1/chat/completions"),
    ],
)
def test_an_address_that_ends_as_the_path_begins_is_not_doubled(
    provider: str, base_url: str, whole: str
) -> None:
    row = replace(shipped()[provider], base_url=base_url)

    assert url(row, chat_wire(row.wire).encode(CALL, model="m", provider=row)) == whole


def test_the_query_of_a_path_joins_that_of_the_address() -> None:
    row = replace(shipped()["openai"], base_url="https://gate.example/v1?team=a")

    asked = request(row, "/models?page_size=9", None, method="GET", query={"x": "1"})

    assert url(row, asked) == "https://gate.example/v1/models?team=a&page_size=9&x=1"


def test_a_header_whose_value_nobody_set_is_not_sent() -> None:
    row = shipped()["openai"]

    def headers(row: Provider) -> dict[str, str]:
        return dict(chat_wire(row.wire).encode(CALL, model="m", provider=row).headers)

    assert headers(row) == {}
    assert headers(replace(row, organization="org-1")) == {"openai-organization": "org-1"}


@pytest.mark.parametrize(
    ("style", "want"),
    [
        ("bearer", {"authorization": "Bearer k"}),
        ("api-key", {"api-key": "k"}),
        ("x-api-key", {"x-api-key": "k"}),
        ("none", {}),
    ],
)
def test_the_key_goes_where_the_row_says(style: Any, want: dict[str, str]) -> None:
    assert auth_headers(style, "k") == want


def test_embeddings_are_asked_for_as_the_service_takes_them() -> None:
    texts = EmbedCall(texts=("a", "b"), dimensions=4)

    def sent(name: str) -> Any:
        row = shipped()[name]
        return embed_wire(row.embed_wire or "").encode(texts, model="m", provider=row).body

    plain = {"model": "m", "input": ["a", "b"], "dimensions": 4}
    assert sent("openai") == {**plain, "encoding_format": "base64"}
    assert sent("together") == {"model": "m", "input": ["a", "b"]}
    assert sent("ollama") == plain


def test_vectors_keep_the_order_of_the_texts_and_may_be_base64() -> None:
    packed = base64.b64encode(struct.pack("<2f", 1.5, -2.0)).decode()
    body = {
        "model": "e",
        "data": [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [1, 2]}],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }

    found = embed_wire("openai_embeddings").decode(body, provider="p")

    assert found.vectors == ((1.0, 2.0), (1.5, -2.0))
    assert found.usage.input is None


def test_ollama_vectors_come_as_they_are() -> None:
    body = {"model": "e", "embeddings": [[1, 2], [3, 4]], "prompt_eval_count": 3}

    found = embed_wire("ollama_embed").decode(body, provider="p")

    assert (found.vectors, found.usage.input) == (((1.0, 2.0), (3.0, 4.0)), 3)


@pytest.mark.parametrize("name", ["nothing", "../openai_chat", "os"])
def test_a_wire_nobody_has_is_named(name: str) -> None:
    with pytest.raises(LookupError, match="there is no wire named"):
        chat_wire(name)
