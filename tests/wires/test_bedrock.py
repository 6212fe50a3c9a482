"""What Bedrock is asked for, and what its embeddings say; the bodies are hand-written."""

import json
from dataclasses import replace
from typing import Any

import pytest
from upstream import answer, upstream
from ways import SLOW

from roundhouse_mcp.providers import prices
from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.errors import Misdirected
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.request import url
from roundhouse_mcp.providers.types import (
    Call,
    EmbedCall,
    Embedding,
    Image,
    Message,
    Tool,
    ToolCall,
    Usage,
)
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

ROW = replace(shipped()["bedrock"], region="eu-west-1")
WIRE = chat_wire("bedrock_converse")
HAIKU = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET = "us.anthropic.claude-sonnet-5-5"
ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=4000)
LOOK = Tool(name="look", description="Look", parameters={"type": "object", "properties": {}})
LOOKED = Message(
    role="assistant", text="I look.", tool_calls=(ToolCall(id="t1", name="look", arguments={}),)
)
SEEN = Message(role="tool", tool_call_id="t1", text="a tree")


def body(call: Call, model: str = "m") -> Any:
    return WIRE.encode(call, model=model, provider=ROW).body


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (HAIKU, "/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream"),
        ("arn:aws:x:1:p/a.b", "/model/arn%3Aaws%3Ax%3A1%3Ap%2Fa.b/converse-stream"),
    ],
)
def test_a_model_is_named_in_the_path_of_its_region(model: str, path: str) -> None:
    asked = WIRE.encode(CALL, model=model, provider=ROW)

    assert url(ROW, asked) == f"https://bedrock-runtime.eu-west-1.amazonaws.com{path}"
    assert str(Http().message(ROW, "key", asked, Limits()).url) == url(ROW, asked)


def test_without_the_library_for_binary_frames_the_answer_is_asked_for_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "roundhouse_mcp.providers.wires.bedrock_converse.library_installed", lambda: False
    )

    assert WIRE.encode(CALL, model="m", provider=ROW).path == "/model/m/converse"


def test_what_one_side_says_in_a_row_is_one_turn() -> None:
    again = replace(SEEN, tool_call_id="t2", text=" ")
    picture = Image("image/jpg", "eA==")
    messages = (
        Message(role="system", text="Be terse."),
        Message(role="user", text="Look", images=(picture,)),
        Message(role="user", text=" "),
        LOOKED,
        SEEN,
        again,
        Message(role="user", text="And?"),
    )

    sent = body(replace(CALL, messages=messages))

    assert sent["system"] == [{"text": "Be terse."}]
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [
                {"image": {"format": "jpeg", "source": {"bytes": "eA=="}}},
                {"text": "Look"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "a tree"}]}},
                {"toolResult": {"toolUseId": "t2", "content": []}},
                {"text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (None, None),
        ("auto", None),
        ("required", {"any": {}}),
        ("look", {"tool": {"name": "look"}}),
    ],
)
def test_a_tool_choice_is_said_where_it_is_not_the_default(choice: str, want: Any) -> None:
    sent = body(replace(CALL, tools=(LOOK,), tool_choice=choice))["toolConfig"]

    spec: dict[str, Any] = {
        "name": "look",
        "description": "Look",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
    assert sent == {"tools": [{"toolSpec": spec}]} | ({"toolChoice": want} if want else {})


def test_tools_that_must_not_be_called_are_named_only_where_the_conversation_has_them() -> None:
    barred = replace(CALL, tools=(LOOK, Tool(name="wait")), tool_choice="none")
    later = replace(barred, messages=(ASK, LOOKED, SEEN))
    forgotten = replace(CALL, messages=(ASK, LOOKED, SEEN))

    assert "toolConfig" not in body(barred)
    assert [each["toolSpec"]["name"] for each in body(later)["toolConfig"]["tools"]] == ["look"]
    assert body(forgotten)["toolConfig"] == {
        "tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]
    }


def test_the_cap_is_always_sent_and_never_more_than_the_model_can_write() -> None:
    sent = body(replace(CALL, max_tokens=10**6, temperature=2.0, stop=("END",)), HAIKU)

    assert sent["inferenceConfig"] == {
        "maxTokens": 64000,
        "temperature": 1.0,
        "stopSequences": ["END"],
    }


def test_sampling_goes_only_to_models_that_take_it() -> None:
    warm = replace(CALL, temperature=0.5)

    assert body(warm, SONNET)["inferenceConfig"] == {"maxTokens": 4000}
    assert body(warm, "amazon.nova-pro-v1:0")["inferenceConfig"]["temperature"] == 0.5


def test_a_schema_is_a_text_in_the_body() -> None:
    schema = {"title": "place", "type": "object"}

    sent = body(replace(CALL, output_schema=schema, effort="low"), SONNET)["outputConfig"]

    named = sent["textFormat"]["structure"]["jsonSchema"]
    assert (named["name"], json.loads(named["schema"])) == ("place", schema)
    assert sent["effort"] == "low"


@pytest.mark.parametrize(
    ("model", "effort", "want"),
    [
        (SONNET, "high", {"thinking": {"type": "adaptive"}}),
        (HAIKU, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (
            "us.amazon.nova-2-lite-v1:0",
            "high",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
        ),
        ("openai.gpt-oss-120b-1:0", "minimal", {"reasoning_effort": "low"}),
        ("anthropic.claude-3-haiku-20240307-v1:0", "low", None),
        ("qwen.qwen3-32b-v1:0", "low", None),
    ],
)
def test_effort_is_asked_for_as_the_models_maker_knows_it(
    model: str, effort: Any, want: dict[str, Any] | None
) -> None:
    sent = body(replace(CALL, effort=effort), model)

    assert sent.get("additionalModelRequestFields") == want


@pytest.mark.parametrize("change", [{"tool_choice": "look"}, {"messages": (ASK, LOOKED, SEEN)}])
@pytest.mark.parametrize("model", [SONNET, HAIKU])
def test_thinking_is_not_asked_for_with_forced_tools_or_among_results(
    change: dict[str, Any], model: str
) -> None:
    call = replace(CALL, tools=(LOOK,), effort="high", **change)

    assert "additionalModelRequestFields" not in body(call, model)


def test_thinking_and_a_temperature_exclude_each_other() -> None:
    sent = body(replace(CALL, effort="low", temperature=0.5), HAIKU)

    assert "temperature" not in sent["inferenceConfig"]


def test_titan_reads_one_text_at_a_time() -> None:
    wire = embed_wire("bedrock_titan_embed")
    model = "amazon.titan-embed-text-v2:0"

    asked = wire.encode(EmbedCall(texts=("a",), dimensions=256), model=model, provider=ROW)
    older = wire.encode(
        EmbedCall(texts=("a",), dimensions=256), model="amazon.titan-embed-text-v1", provider=ROW
    )

    assert ROW.batch(model) == 1
    assert asked.path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert asked.body == {"inputText": "a", "dimensions": 256}
    assert older.body == {"inputText": "a"}
    found = wire.decode({"embedding": [1, 0.5], "inputTextTokenCount": 4}, provider="p")
    assert found == Embedding(vectors=((1.0, 0.5),), usage=Usage(input=4))


def test_cohere_is_told_what_the_vectors_are_for() -> None:
    wire = embed_wire("bedrock_cohere_embed")
    call = EmbedCall(texts=("a", "b"), dimensions=512, input_type="query")

    asked = wire.encode(call, model="us.cohere.embed-v4:0", provider=ROW).body

    assert ROW.batch("us.cohere.embed-v4:0") == 96
    assert asked == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 512,
    }


@pytest.mark.parametrize("vectors", [[[1, 0.5]], {"float": [[1, 0.5]]}])
async def test_the_tokens_cohere_read_are_counted_from_the_header(vectors: Any) -> None:
    said = answer(json.dumps({"embeddings": vectors}), x_amzn_bedrock_input_token_count="3")
    async with upstream(said) as server, Http() as http:
        row = replace(ROW, base_url=server.url)
        call = EmbedCall(texts=("a",))
        found = await http.embed(row, "key", call, model="cohere.embed-v4:0", limits=SLOW)

    assert (found.vectors, found.usage.input) == (((1.0, 0.5),), 3)


@pytest.mark.parametrize("region", [None, "evil.example/#"])
async def test_nothing_is_sent_without_a_region(region: str | None) -> None:
    row = replace(ROW, region=region)
    async with Http() as http:
        with pytest.raises(Misdirected, match="its region is not known; set AWS_REGION"):
            async with http.stream(row, "key", CALL, model="m", limits=SLOW):
                pass


@pytest.mark.parametrize("model", [ROW.default, ROW.embedding_model, HAIKU, SONNET])
def test_models_have_a_price(model: str) -> None:
    assert prices.rates(ROW, model) is not None
