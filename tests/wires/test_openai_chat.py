"""What the services that speak Chat Completions want of it, each in its own way."""

from dataclasses import replace
from typing import Any

import pytest

from roundhouse_mcp.providers.catalog import provider, shipped
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.framing import Event
from roundhouse_mcp.providers.types import Call, EmbedCall, Message, Tool, ToolCall, Usage
from roundhouse_mcp.providers.wire import chat_wire, embed_wire
from roundhouse_mcp.providers.wires.schemas import enforces

ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=64)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
WIRE = chat_wire("openai_chat")


def body(name: str, call: Call, model: str = "m", *, stream: bool = False) -> Any:
    return WIRE.encode(call, model=model, provider=shipped()[name], stream=stream).body


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("cerebras", "max_completion_tokens"),
        ("fireworks", "max_tokens"),
        ("mistral", "max_tokens"),
        ("mlx", "max_tokens"),
        ("openrouter", "max_tokens"),
        ("perplexity", "max_tokens"),
        ("transformers", "max_tokens"),
        ("vllm", "max_tokens"),
        ("xai", "max_completion_tokens"),
    ],
)
def test_an_output_cap_is_sent_in_the_field_the_service_knows(name: str, field: str) -> None:
    assert body(name, CALL) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | {
        field: 64
    }


@pytest.mark.parametrize(
    ("name", "asked"),
    [("mistral", False), ("perplexity", False), ("transformers", False), ("openrouter", True)],
)
def test_usage_is_asked_for_in_streams_where_it_does_not_come_unasked(
    name: str, asked: bool
) -> None:
    assert ("stream_options" in body(name, CALL, stream=True)) is asked


@pytest.mark.parametrize(
    ("name", "model", "effort", "want"),
    [
        ("openrouter", "x/y", "low", {"reasoning": {"effort": "low"}}),
        ("openrouter", "openai/gpt-4o", "low", {}),
        ("mistral", "mistral-medium-latest", "low", {"reasoning_effort": "high"}),
        ("mistral", "mistral-large-4-0", "minimal", {"reasoning_effort": "low"}),
        ("mistral", "magistral-medium-latest", "low", {}),
        ("mistral", "mistral-medium-2508", "low", {}),
        ("xai", "grok-4.7", "minimal", {"reasoning_effort": "low"}),
        ("xai", "grok-4-0709", "high", {}),
        ("xai", "grok-3-mini", "medium", {"reasoning_effort": "low"}),
        ("cerebras", "gpt-oss-120b", "minimal", {"reasoning_effort": "low"}),
        ("perplexity", "sonar-pro", "high", {}),
        ("perplexity", "sonar-deep-research", "high", {"reasoning_effort": "high"}),
    ],
)
def test_effort_is_asked_for_as_the_service_knows_it(
    name: str, model: str, effort: Any, want: dict[str, Any]
) -> None:
    before = body(name, CALL, model)

    sent = body(name, replace(CALL, effort=effort), model)

    assert {key: value for key, value in sent.items() if key not in before} == want


@pytest.mark.parametrize(
    ("model", "taken"), [("grok-4.7", False), ("grok-4.3", False), ("grok-3", True)]
)
def test_stops_go_only_to_models_that_take_them(model: str, taken: bool) -> None:
    assert ("stop" in body("xai", replace(CALL, stop=("END",)), model)) is taken


def test_ids_of_another_service_become_such_as_the_service_takes() -> None:
    calls = (
        ToolCall(id="toolu_01AbCdEf", name="look", arguments={}),
        ToolCall(id="6IgxW8LfZ", name="look", arguments={}),
    )
    results = (
        Message(role="tool", tool_call_id="6IgxW8LfZ", text="two"),
        Message(role="tool", tool_call_id="toolu_01AbCdEf", text="one"),
    )
    talk = (ASK, Message(role="assistant", tool_calls=calls), *results)
    call = replace(CALL, messages=talk, tools=(Tool(name="look"),))

    said = body("mistral", call)["messages"]
    plain = body("openrouter", call)["messages"]

    first, second = (each["id"] for each in said[1]["tool_calls"])
    assert (len(first), first.isalnum(), second) == (9, True, "6IgxW8LfZ")
    assert [each["tool_call_id"] for each in said[2:]] == [second, first]
    assert plain[1]["tool_calls"][0]["id"] == "toolu_01AbCdEf"


@pytest.mark.parametrize("name", ["mlx", "transformers"])
def test_programs_that_ignore_a_schema_are_not_said_to_enforce_it(name: str) -> None:
    assert not enforces(shipped()[name], "m", SCHEMA)


@pytest.mark.parametrize("name", ["openrouter", "mistral", "xai", "cerebras", "vllm"])
def test_a_schema_is_native_where_the_service_takes_one(name: str) -> None:
    sent = body(name, replace(CALL, output_schema=SCHEMA))

    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert len(sent["messages"]) == 1


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("mistral", {}),
        ("openrouter", {"dimensions": 4}),
        ("fireworks", {"dimensions": 4}),
        ("vllm", {"dimensions": 4, "encoding_format": "base64"}),
    ],
)
def test_vectors_are_asked_for_as_the_service_takes_it(name: str, extra: dict[str, Any]) -> None:
    row = shipped()[name]
    texts = EmbedCall(texts=("a",), dimensions=4)

    sent = embed_wire(row.embed_wire or "").encode(texts, model="m", provider=row).body

    assert sent == {"model": "m", "input": ["a"], **extra}


def test_any_address_that_speaks_the_protocol_is_a_row_of_three_lines() -> None:
    row = provider("mine", {"wire": "openai_chat", "base_url": "https://mine.example/v1"})

    asked = WIRE.encode(CALL, model="m", provider=row)

    assert (asked.path, asked.method) == ("/chat/completions", "POST")


def test_usage_that_comes_along_with_an_error_is_heard() -> None:
    event = Event(
        name="",
        data='{"error": {"code": 400}, "usage": {"prompt_tokens": 4, "completion_tokens": 1}}',
    )

    with pytest.raises(UpstreamError) as failed:
        WIRE.decode_event(event, provider="p")

    assert failed.value.heard is not None
    assert failed.value.heard.usage == Usage(input=4, output=1)


@pytest.mark.parametrize(
    "answer",
    [
        {"object": "error", "message": "no such model", "type": "invalid_model", "code": "1500"},
        {"detail": "no such model"},
        {"choices": [{"error": {"code": 404, "message": "no such model"}}]},
    ],
)
def test_an_error_in_any_shape_in_place_of_an_answer_is_raised(answer: Any) -> None:
    with pytest.raises(UpstreamError, match="no such model"):
        WIRE.decode(answer, provider="p")
