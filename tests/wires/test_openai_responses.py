"""What the Responses wire asks for, as the request it makes."""

from dataclasses import replace
from typing import Any

import pytest

from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.classify import from_body
from roundhouse_mcp.providers.framing import Event
from roundhouse_mcp.providers.request import url
from roundhouse_mcp.providers.types import Call, Image, Message, Tool, ToolCall
from roundhouse_mcp.providers.wires import openai_responses as wire

ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=64)
LOOK = Tool(name="look", description="Look", parameters={"type": "object"})
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
SHUT = {**OPEN, "required": ["a"], "additionalProperties": False}


def body(call: Call, model: str = "m", *, provider: str = "openai", stream: bool = False) -> Any:
    return wire.encode(call, model=model, provider=shipped()[provider], stream=stream).body


def address(row: Provider, model: str = "m") -> str:
    return url(row, wire.encode(CALL, model=model, provider=row))


def test_nothing_is_kept_at_the_provider() -> None:
    assert body(CALL) == {
        "model": "m",
        "input": [{"role": "user", "content": "Hi"}],
        "max_output_tokens": 64,
        "store": False,
    }
    assert body(CALL, stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("asked", "model", "sent"), [(64, "m", 64), (3, "m", 16), (1_000_000, "gpt-4o", 16384)]
)
def test_the_cap_is_at_least_what_the_service_takes_and_at_most_what_the_model_writes(
    asked: int, model: str, sent: int
) -> None:
    assert body(replace(CALL, max_tokens=asked), model)["max_output_tokens"] == sent


def test_system_messages_at_the_beginning_are_instructions_and_later_ones_stay() -> None:
    rule, late = (Message(role="system", text=text) for text in ("Be terse.", "Now rhyme."))
    polite = Message(role="system", text="Be polite.")

    sent = body(replace(CALL, messages=(rule, polite, ASK, late, ASK)))

    assert sent["instructions"] == "Be terse.\n\nBe polite."
    assert [item["role"] for item in sent["input"]] == ["user", "system", "user"]


def test_calls_and_results_are_items_beside_the_messages() -> None:
    given: tuple[Any, ...] = ({"ort": "Köln"}, '{"cut": [')
    calls = tuple(ToolCall(id=i, name="x", arguments=a) for i, a in zip("ab", given, strict=True))
    results = tuple(Message(role="tool", tool_call_id=i, text=i * 2) for i in "ab")
    said = Message(role="assistant", text="So.", tool_calls=calls)
    silent = replace(said, text="")

    sent = body(replace(CALL, messages=(ASK, said, *results)))["input"]

    assert sent[1:] == [
        {"type": "message", "role": "assistant", "content": "So."},
        {"type": "function_call", "call_id": "a", "name": "x", "arguments": '{"ort": "Köln"}'},
        {"type": "function_call", "call_id": "b", "name": "x", "arguments": '{"cut": ['},
        {"type": "function_call_output", "call_id": "a", "output": "aa"},
        {"type": "function_call_output", "call_id": "b", "output": "bb"},
    ]
    assert body(replace(CALL, messages=(ASK, silent, *results)))["input"][1:] == sent[2:]


def test_images_travel_inside_the_message() -> None:
    picture = Message(role="user", text="This?", images=(Image("image/png", "AAAA"),))

    assert body(replace(CALL, messages=(picture,)))["input"][0]["content"] == [
        {"type": "input_text", "text": "This?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("look", {"type": "function", "name": "look"}),
    ],
)
def test_a_tool_is_flat_and_its_parameters_are_not_enforced(choice: str | None, sent: Any) -> None:
    asked = body(replace(CALL, tools=(LOOK, Tool(name="wait")), tool_choice=choice))

    assert asked["tools"] == [
        {
            "type": "function",
            "name": "look",
            "description": "Look",
            "parameters": {"type": "object"},
            "strict": False,
        },
        {
            "type": "function",
            "name": "wait",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert asked.get("tool_choice") == sent


@pytest.mark.parametrize(
    ("provider", "schema", "want"),
    [
        ("openai", SHUT, {"name": "answer", "schema": SHUT, "strict": True}),
        ("openai", OPEN, {"name": "answer", "schema": OPEN}),
        ("together", SHUT, {"name": "answer", "schema": SHUT}),
    ],
)
def test_a_schema_is_strict_only_where_it_can_be(
    provider: str, schema: dict[str, Any], want: dict[str, Any]
) -> None:
    sent = body(replace(CALL, output_schema=schema), provider=provider)

    assert sent["text"] == {"format": {"type": "json_schema", **want}}


def test_a_schema_is_asked_for_in_words_where_the_service_takes_none() -> None:
    sent = body(replace(CALL, output_schema=SHUT), provider="deepseek")

    assert sent["text"] == {"format": {"type": "json_object"}}
    assert '"additionalProperties": false' in sent["instructions"]


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("gpt-4o", {"temperature": 0.5}),
        ("gpt-5-pro", {"reasoning": {"effort": "high"}}),
        ("gpt-5.2-pro", {"reasoning": {"effort": "medium"}}),
        ("gpt-5.1-codex", {"reasoning": {"effort": "low"}}),
        ("m", {"temperature": 0.5, "reasoning": {"effort": "minimal"}}),
    ],
)
def test_a_model_is_asked_only_for_what_it_takes(model: str, want: dict[str, Any]) -> None:
    sent = body(replace(CALL, temperature=0.5, effort="minimal", stop=("END",)), model)

    assert {name: sent[name] for name in sent if name not in body(CALL, model)} == want


@pytest.mark.parametrize(
    ("provider", "model", "speaks"),
    [
        ("openai", "o1-pro", True),
        ("openai", "o3-pro-2025-06-10", True),
        ("openai", "gpt-5-pro", True),
        ("openai", "gpt-5.5-pro", True),
        ("openai", "gpt-5-codex", True),
        ("openai", "gpt-5.1-codex-max", True),
        ("openai", "codex-mini-latest", True),
        ("openai", "o4-mini-deep-research", True),
        ("azure", "gpt-5-pro", True),
        ("azure_v1", "o3-pro", True),
        ("openai", "gpt-5", False),
        ("openai", "o3", False),
        ("azure_v1", "gpt-5.4-mini", False),
    ],
)
def test_models_that_exist_only_here_are_known_to(provider: str, model: str, speaks: bool) -> None:
    facts = shipped()[provider].facts(model)

    assert (facts.wire == "openai_responses") is speaks
    assert facts.drop == ("stop",)


def test_a_path_of_a_row_is_that_of_the_wire_the_row_names() -> None:
    chat = Provider(name="p", wire="openai_chat", base_url="https://x.example/v1", path="/chat")
    own = replace(chat, wire="openai_responses", path="/own")

    assert address(chat) == "https://x.example/v1/responses"
    assert address(replace(chat, responses_path="/r")) == "https://x.example/v1/r"
    assert address(replace(own, responses_path="/r")) == "https://x.example/v1/own"


def test_azure_is_asked_under_its_deployment_with_and_without_an_api_version() -> None:
    own = {"gpt-5-pro": "my-pro"}
    classic = replace(shipped()["azure"], base_url="https://x.example", deployments=own)
    v1 = replace(shipped()["azure_v1"], base_url="https://x.example/openai/v1", deployments=own)

    asked = wire.encode(CALL, model="gpt-5-pro", provider=v1).body

    assert asked is not None
    assert asked["model"] == "my-pro"
    assert address(v1, "gpt-5-pro") == "https://x.example/openai/v1/responses"
    assert address(classic) == "https://x.example/openai/responses?api-version=2024-10-21"


def test_an_answer_that_is_still_being_written_is_not_complete() -> None:
    chunk = wire.decode({"status": "in_progress", "output": []}, provider="p")

    assert not chunk.done


def test_a_failure_does_not_repeat_what_was_asked() -> None:
    asked = {"status": "failed", "instructions": "Be terse.", "error": {"code": "server_error"}}

    assert "terse" not in wire.failed(asked, "p").body
    assert wire.failed(asked, "p").kind == "faulted"


@pytest.mark.parametrize("code", ["invalid_prompt", "image_too_large", "bio_policy"])
def test_what_the_request_is_blamed_for_inside_a_stream_is_no_fault_of_the_service(
    code: str,
) -> None:
    found = from_body("p", {"error": {"code": code, "message": "no"}})

    assert (found.kind, found.status) == ("refused", 400)


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"response.image_generation_call.partial_image","partial_image_b64":"AA"}',
        '{"type":"response.output_item.done","item":{"type":"custom_tool_call","name":"x"}}',
    ],
)
def test_events_that_say_nothing_to_us_are_passed_over(data: str) -> None:
    assert wire.decode_event(Event(data), provider="p") is None
