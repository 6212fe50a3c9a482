"""What callers send is checked and bounded before anything is done with it."""

import base64
import math
from typing import Any

import pytest

from roundhouse_mcp.providers.types import Image, Message, Tool, ToolCall
from roundhouse_mcp.server import asks, conversations
from roundhouse_mcp.server.errors import BadRequest
from roundhouse_mcp.server.files import Roots

PIXEL = base64.b64encode(b"\x89PNG\r\n").decode()
NOWHERE = Roots()
DATA_URL = f"data:image/png;base64,{PIXEL}"


def test_a_prompt_becomes_one_user_message_after_the_system_text() -> None:
    said = conversations.conversation("hi", None, "be brief", (), NOWHERE)

    assert said == (Message(role="system", text="be brief"), Message(role="user", text="hi"))


def test_images_travel_with_the_prompt() -> None:
    said = conversations.conversation("what is this?", None, None, (DATA_URL,), NOWHERE)

    assert said[0].images == (Image("image/png", PIXEL),)


def test_a_conversation_in_chat_completions_form_is_understood() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "rules"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": DATA_URL}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]

    said = conversations.conversation(None, messages, None, (), NOWHERE)

    assert said == (
        Message(role="system", text="rules"),
        Message(role="user", text="look", images=(Image("image/png", PIXEL),)),
        Message(role="assistant", tool_calls=(ToolCall(id="c1", name="f", arguments={"a": 1}),)),
        Message(role="tool", text="2", tool_call_id="c1"),
    )


def test_a_tool_call_as_we_return_it_is_taken_back_with_its_signature() -> None:
    call = {"id": "c1", "name": "f", "arguments": {"a": 1}, "signature": "s"}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]

    said = conversations.history(messages, NOWHERE)

    assert said[1].tool_calls == (ToolCall(id="c1", name="f", arguments={"a": 1}, signature="s"),)


@pytest.mark.parametrize(
    ("prompt", "messages", "words"),
    [
        (None, None, "nothing to complete"),
        ("hi", [{"role": "user", "content": "hi"}], "not both"),
        ("  ", None, "prompt is empty"),
        (None, [], "messages is empty"),
        (None, [{"role": "system", "content": "x"}], "no user message"),
        (None, [{"role": "robot", "content": "x"}], "messages: role"),
        (None, [{"content": "x"}], "messages: role: Field required"),
        (None, [{"role": "user", "content": "x"}] * 2001, "the limit is 2000"),
    ],
)
def test_a_conversation_that_makes_no_sense_is_refused_in_one_sentence(
    prompt: str | None, messages: list[dict[str, Any]] | None, words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        conversations.conversation(prompt, messages, None, (), NOWHERE)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.com/cat.png", "or a data: URL of type"),
        ("data:image/svg+xml;base64,AAAA", "or a data: URL of type"),
        ("data:image/png;base64,!!!!", "not valid base64"),
        ("data:image/png;base64," + "A" * (8 * 1024 * 1024), "the limit is 5 MiB"),
    ],
)
def test_an_image_that_cannot_be_sent_is_refused(url: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        conversations.image(url, NOWHERE)


def test_tools_are_taken_flat_or_wrapped() -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}}
    flat = {"name": "f", "description": "d", "parameters": parameters}
    expected = Tool(name="f", description="d", parameters=parameters)

    assert conversations.tool_specs([flat]) == (expected,)
    assert conversations.tool_specs([{"type": "function", "function": flat}]) == (expected,)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([{"description": "nameless"}], "tools.0: name"),
        ([{"name": "a b"}], "tools.0: name"),
        ([{"name": "f", "parameters": {"type": "string"}}], "must be a JSON Schema of type object"),
        ([{"name": "f"}, {"name": "f"}], "the same name"),
    ],
)
def test_a_malformed_tool_is_refused_with_its_place(
    tools: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        conversations.tool_specs(tools)


def test_a_tool_choice_must_be_one_there_is() -> None:
    tools = conversations.tool_specs([{"name": "f"}])

    assert [asks.tool_choice(c, tools) for c in (None, "auto", "f")] == [None, "auto", "f"]
    with pytest.raises(BadRequest, match="none of auto"):
        asks.tool_choice("g", tools)
    with pytest.raises(BadRequest, match="needs tools"):
        asks.tool_choice("auto", ())


@pytest.mark.parametrize("usd", [-1.0, math.inf, math.nan, 1e12])
def test_a_sum_that_is_no_sum_is_refused(usd: float) -> None:
    with pytest.raises(BadRequest, match="max_cost_usd"):
        asks.money(usd)


def test_dollars_become_nano_dollars() -> None:
    assert asks.money(0.000000015) == 15


@pytest.mark.parametrize(
    ("texts", "words"),
    [([], "texts is empty"), (["a", " "], r"texts\.1 is empty"), (["x" * 9_000_000], "MiB")],
)
def test_texts_that_cannot_be_embedded_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        asks.embed_call(texts, None, None)
