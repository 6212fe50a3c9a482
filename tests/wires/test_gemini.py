"""What the Gemini wires ask for, and what only their answers have."""

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from upstream import Request, Send, head, upstream
from ways import SLOW

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.prices import rates
from roundhouse_mcp.providers.request import auth_headers, url
from roundhouse_mcp.providers.types import (
    Call,
    EmbedCall,
    Image,
    Message,
    Tool,
    ToolCall,
)
from roundhouse_mcp.providers.wires import gemini, gemini_embed

ROW = shipped()["gemini"]
ASK = Message(role="user", text="Hi")
CALL = Call(messages=(ASK,), max_tokens=4000)
LOOK = Tool(name="look", description="Look", parameters={"type": "object"})
WAIT = Tool(name="wait")
HOST = "https://generativelanguage.googleapis.com"


def body(call: Call, model: str = "gemini-3.8-flash") -> Any:
    return gemini.encode(call, model=model, provider=ROW, stream=False).body


def config(model: str, **asked: Any) -> Any:
    return body(replace(CALL, **asked), model)["generationConfig"]


@pytest.mark.parametrize("model", ["gemini-x", "models/gemini-x"])
def test_the_path_names_the_model_and_whether_the_answer_is_streamed(model: str) -> None:
    whole = gemini.encode(CALL, model=model, provider=ROW, stream=False)
    stream = gemini.encode(CALL, model=model, provider=ROW)

    assert url(ROW, whole) == f"{HOST}/v1/models/gemini-x:generateContent"
    assert url(ROW, stream) == f"{HOST}/v1/models/gemini-x:streamGenerateContent?alt=sse"
    assert auth_headers(ROW.auth, "k") == {"x-goog-api-key": "k"}


def test_another_api_version_is_one_field_of_the_row() -> None:
    row = replace(ROW, api_version="v1beta")

    sent = gemini.encode(CALL, model="m", provider=row, stream=False)

    assert url(row, sent) == f"{HOST}/v1beta/models/m:generateContent"


def test_a_model_name_cannot_leave_its_place_in_the_path() -> None:
    sent = gemini.encode(CALL, model="../{x}?a", provider=ROW, stream=False)

    assert sent.path == "/v1/models/..%2F%7Bx%7D%3Fa:generateContent"


def test_a_conversation_is_contents_with_the_system_prompt_beside_them() -> None:
    system = (Message(role="system", text="One."), Message(role="system", text="Two."))
    picture = Message(role="user", text="This?", images=(Image("image/png", "AAAA"),))
    said = Message(role="assistant", text="A cat.")

    sent = body(replace(CALL, messages=(*system, picture, said, ASK)))

    assert sent["systemInstruction"]["parts"] == [{"text": "One.\n\nTwo."}]
    assert sent["contents"] == [
        {
            "role": "user",
            "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"text": "This?"},
            ],
        },
        {"role": "model", "parts": [{"text": "A cat."}]},
        {"role": "user", "parts": [{"text": "Hi"}]},
    ]


def turn(*calls: ToolCall) -> Message:
    return Message(role="assistant", tool_calls=calls)


def result(call_id: str, text: str) -> Message:
    return Message(role="tool", tool_call_id=call_id, text=text)


def test_results_that_follow_one_another_are_one_content_and_name_their_tools() -> None:
    calls = (
        ToolCall(id="a", name="look", arguments={"x": 1}, signature="c2ln"),
        ToolCall(id="b", name="wait", arguments='{"s": 1'),
    )
    messages = (ASK, turn(*calls), result("a", '{"seen": true}'), result("b", "[1]"))

    _, called, results = body(replace(CALL, messages=messages))["contents"]

    assert called["parts"] == [
        {
            "functionCall": {"id": "a", "name": "look", "args": {"x": 1}},
            "thoughtSignature": "c2ln",
        },
        {"functionCall": {"id": "b", "name": "wait", "args": {}}},
    ]
    assert results["role"] == "user"
    assert [part["functionResponse"] for part in results["parts"]] == [
        {"id": "a", "name": "look", "response": {"seen": True}},
        {"id": "b", "name": "wait", "response": {"output": "[1]"}},
    ]


def test_an_id_that_comes_back_in_a_later_turn_names_the_later_tool() -> None:
    first = turn(ToolCall(id="call_1", name="look", arguments={}))
    second = turn(ToolCall(id="call_1", name="wait", arguments={}))
    messages = (ASK, first, result("call_1", "x"), second, result("call_1", "y"))

    contents = body(replace(CALL, messages=messages))["contents"]

    named = [contents[n]["parts"][0]["functionResponse"]["name"] for n in (2, 4)]
    assert named == ["look", "wait"]


@pytest.mark.parametrize(
    ("model", "signatures"),
    [
        ("gemini-3.8-flash", ["skip_thought_signature_validator", None]),
        ("gemini-2.5-flash", [None, None]),
        ("gemini-2.0-flash", [None, None]),
        ("gemma-4-31b-it", [None, None]),
    ],
)
def test_calls_of_another_model_are_marked_where_a_signature_is_asked_for(
    model: str, signatures: list[str | None]
) -> None:
    calls = [ToolCall(id=n, name="look", arguments={}) for n in "ab"]

    sent = body(replace(CALL, messages=(ASK, turn(*calls))), model)["contents"][1]["parts"]

    assert [part.get("thoughtSignature") for part in sent] == signatures


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("wait", {"mode": "ANY", "allowedFunctionNames": ["wait"]}),
    ],
)
def test_tools_are_declared_by_json_schema_and_chosen_by_mode(
    choice: str | None, want: Any
) -> None:
    sent = body(replace(CALL, tools=(LOOK, WAIT), tool_choice=choice))

    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": "Look",
                    "parametersJsonSchema": {"type": "object"},
                },
                {"name": "wait"},
            ]
        }
    ]
    assert sent.get("toolConfig", {}).get("functionCallingConfig") == want


@pytest.mark.parametrize(
    ("model", "effort", "want"),
    [
        ("gemini-3.6-flash", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-4-argon", "medium", {"thinkingLevel": "MEDIUM"}),
        ("models/gemini-2.5-pro", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 2000}),
    ],
)
def test_effort_is_a_level_or_a_budget_that_leaves_room_for_the_answer(
    model: str, effort: Any, want: dict[str, Any]
) -> None:
    sent = config(model, effort=effort)

    assert sent["thinkingConfig"] == {"includeThoughts": True, **want}


def test_no_effort_is_asked_of_a_model_that_does_not_think() -> None:
    assert "thinkingConfig" not in config("gemini-2.0-flash", effort="low")


def test_what_bounds_and_shapes_the_answer_is_its_configuration() -> None:
    schema = {"type": "object"}

    sent = config(
        "gemini-2.5-flash", temperature=0.5, stop=("END",), output_schema=schema, max_tokens=10**6
    )

    assert sent == {
        "maxOutputTokens": 65536,
        "temperature": 0.5,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert "temperature" not in config("gemini-3.8-flash", temperature=0.5)


def assembled(given: Any) -> Assembler:
    heard = Assembler()
    heard.add(gemini.decode(given, provider="p"))
    return heard


def test_a_call_keeps_its_signature_and_the_answer_the_id_in_its_body() -> None:
    part = {"functionCall": {"name": "look"}, "thoughtSignature": "c2ln"}
    candidate = {"content": {"parts": [part]}, "finishReason": "STOP"}

    said = assembled({"candidates": [candidate], "responseId": "r1"}).completion(provider="p")

    assert (said.tool_calls[0].signature, said.request_id) == ("c2ln", "r1")


HALF = {"candidates": [{"content": {"parts": [{"text": "half"}]}}]}


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([HALF], "interrupted"),
        ([], "interrupted"),
        ([HALF, {"error": {"code": 429, "message": "m"}}], "throttled"),
        ([{"error": {"code": 503, "message": "m"}}], "faulted"),
    ],
)
def test_a_list_of_pieces_fails_like_a_stream_of_them(pieces: Any, kind: str) -> None:
    with pytest.raises(UpstreamError) as failed:
        gemini.decode(pieces, provider="p")

    assert failed.value.kind == kind


async def failed(data: bytes, **headers: str) -> UpstreamError:
    """What a stream of these bytes ends in, sent over a real socket."""

    async def script(request: Request, send: Send) -> None:
        await send(head(200, headers) + data)

    with anyio.fail_after(10):
        async with upstream(script) as server, Http() as http:
            row = replace(ROW, base_url=server.url)
            try:
                async with http.stream(row, "key", CALL, model="m", limits=SLOW) as chunks:
                    async for _ in chunks:
                        pass
            except UpstreamError as error:
                return error
    raise AssertionError("the stream did not fail")


async def test_an_error_in_a_stream_carries_the_id_that_only_the_body_has() -> None:
    lines = ({**HALF, "responseId": "r1"}, {"error": {"code": 500, "message": "m"}})
    data = "".join(f"data: {json.dumps(line)}\r\n\r\n" for line in lines)

    error = await failed(data.encode(), **{"content-type": "text/event-stream"})

    assert (error.kind, error.request_id) == ("faulted", "r1")


async def test_a_list_cut_by_the_network_is_interrupted() -> None:
    data = f"[{json.dumps(HALF)},".encode()
    headers = {"content-type": "application/json", "content-length": str(len(data) + 9)}

    error = await failed(data, **headers)

    assert error.kind == "interrupted"


def test_an_answer_that_says_nothing_at_all_is_none() -> None:
    with pytest.raises(ValueError, match="neither an answer nor a reason"):
        gemini.decode({"modelVersion": "m", "usageMetadata": {}}, provider="p")


def test_every_text_is_embedded_by_a_request_of_its_own() -> None:
    call = EmbedCall(texts=("a", "b"), dimensions=4, input_type="query")

    sent = gemini_embed.encode(call, model="models/gemini-embedding-2", provider=ROW)

    common = {
        "model": "models/gemini-embedding-2",
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 4,
    }
    assert url(ROW, sent) == f"{HOST}/v1/models/gemini-embedding-2:batchEmbedContents"
    assert sent.body == {
        "requests": [
            {**common, "content": {"role": "user", "parts": [{"text": text}]}} for text in "ab"
        ]
    }


@pytest.mark.parametrize(
    ("used", "tokens"), [({}, None), ({"usageMetadata": {"promptTokenCount": 3}}, 3)]
)
def test_vectors_come_in_order_and_mostly_without_usage(used: Any, tokens: int | None) -> None:
    found = gemini_embed.decode(
        {"embeddings": [{"values": [1, 2]}, {"values": [3, 4]}], **used}, provider="p"
    )

    assert (found.vectors, found.usage.input) == (((1.0, 2.0), (3.0, 4.0)), tokens)


def test_an_error_in_place_of_vectors_is_raised() -> None:
    with pytest.raises(UpstreamError, match="overloaded"):
        gemini_embed.decode({"error": {"code": 503, "message": "overloaded"}}, provider="p")


@pytest.mark.parametrize("model", [ROW.default, ROW.embedding_model, "gemini-2.5-pro"])
def test_the_default_models_have_a_price(model: str) -> None:
    assert rates(ROW, model) is not None
