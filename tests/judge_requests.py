"""Compares the requests our wires make with those the official SDKs make for the same intent.

    python tests/judge_requests.py [SDK_REQUESTS_DIR]

Method, path, query, the headers that matter and the body, without `stream` and `stream_options`.
request_differences.toml explains every difference and every scenario left out; an explanation that
is no longer needed is a failure, too. Exits with 1 when anything is unexplained.
"""

import json
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import click
import httpx2
from botocore.credentials import Credentials  # pyright: ignore[reportMissingTypeStubs]

from roundhouse_mcp.providers.aws import signature
from roundhouse_mcp.providers.catalog import Model, Provider, shipped
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.request import Request, request
from roundhouse_mcp.providers.types import Call, EmbedCall, Image, Message, Tool, ToolCall
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

EXPLAINED = Path(__file__).with_name("request_differences.toml")
SHARED = Path(os.environ.get("ROUNDHOUSE_SHARED") or Path(__file__).parents[2] / "shared")
UNIMPORTANT = (
    "accept",
    "amz-sdk-",
    "cache-control",
    "connection",
    "content-length",
    "host",
    "user-agent",
    "x-amz-date",
    "x-fern-",
    "x-goog-api-client",
    "x-amzn-trace-id",
    "x-stainless-",
)
MODEL_IN_PATH = re.compile(r"/model/([^/]+)/|/models/([^/]+/[^/]+)/|/models/([^/:]+):")
UNCOMPARED = ("stream", "stream_options")
# Paths that ask for a whole answer, of services where the path says whether it is streamed.
WHOLE = re.compile(r"(:generateContent|/converse|/invoke)$")

SYSTEM = Message(role="system", text="You are terse.")
USER = Message(role="user", text="What is the weather in Paris?")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="Get the weather of a city", parameters=CITY)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "temp_c": {"type": "number"}},
    "required": ["city", "temp_c"],
    "additionalProperties": False,
}

TEXT = Call(messages=(SYSTEM, USER), max_tokens=64, temperature=0.2, stop=("END",))
PLAIN = Call(messages=(SYSTEM, USER), max_tokens=64)
ASKED = replace(PLAIN, messages=(USER,))
STOPPED = replace(PLAIN, stop=("END",))
STREAM = replace(PLAIN, temperature=0.2)
TOOLS = replace(PLAIN, tools=(WEATHER,), tool_choice="auto")
JSON = replace(PLAIN, output_schema=SCHEMA)
EFFORT = replace(PLAIN, effort="low")
PICTURE = Message(role="user", text="What is this?", images=(Image("image/png", PIXEL),))
IMAGE = replace(PLAIN, messages=(PICTURE,))
EMBED = EmbedCall(texts=("first text", "second text"))


def tool_result(call_id: str, *, text: str = "") -> Call:
    call = ToolCall(id=call_id, name="get_weather", arguments={"city": "Paris"})
    said = Message(role="assistant", text=text, tool_calls=(call,))
    result = Message(role="tool", tool_call_id=call_id, text='{"temp_c": 21}')
    return replace(PLAIN, messages=(SYSTEM, USER, said, result), tools=(WEATHER,))


def signed(signature: str) -> Call:
    """A tool conversation without a system prompt, whose call carries the model's signature."""
    user, said, result = tool_result("call_1").messages[1:]
    call = replace(said.tool_calls[0], signature=signature)
    messages = (user, replace(said, tool_calls=(call,)), result)
    return replace(PLAIN, messages=messages, tools=(WEATHER,))


MODELS = "models"
COMMON: dict[str, Call | EmbedCall | str] = {
    "text": TEXT,
    "stream": STREAM,
    "tools": TOOLS,
    "tool_result": tool_result("call_1"),
    "json_schema": JSON,
    "image": IMAGE,
    "reasoning": EFFORT,
    "embed": EMBED,
    "models": MODELS,
}
# What a surface's scenarios ask for beyond, or other than, the common ones.
PARTICULAR: dict[str, dict[str, Call | EmbedCall | str]] = {
    # anthropic on other clouds
    "anthropic_bedrock_mantle": {"text": STOPPED, "stream": PLAIN},
    "anthropic_foundry": {"text": STOPPED, "stream": PLAIN},
    "openai_chat": {"embed": replace(EMBED, dimensions=4)},
    # openai_responses
    "openai_responses": {"stream": PLAIN, "reasoning": replace(EFFORT, messages=(USER,))},
    "openai_bedrock_provider": {"text_mantle_bearer": ASKED},
    # bedrock
    "bedrock_boto3": {
        "stream": PLAIN,
        "bearer_token_text": ASKED,
        "text_inference_profile_arn": ASKED,
        "image": replace(IMAGE, max_tokens=64),
        "json_schema": replace(JSON, messages=(USER,)),
        "reasoning": replace(EFFORT, messages=(USER,)),
        "tools": replace(TOOLS, messages=(USER,)),
        "tool_result": replace(tool_result("t1"), messages=tool_result("t1").messages[1:]),
        "embed_titan": EmbedCall(texts=("first text",), dimensions=256),
        "embed_cohere": EMBED,
    },
    # cohere
    "cohere": {
        "tools": replace(TOOLS, tool_choice=None),
        "tool_result": tool_result("call_1", text="look it up"),
        "stream": PLAIN,
        "embed": replace(EMBED, dimensions=256, input_type="document"),
    },
    # google_genai
    "google_genai": {
        "stream": PLAIN,
        "json_schema": replace(JSON, messages=(USER,)),
        "reasoning": replace(EFFORT, messages=(USER,)),
        "tool_result": signed("c2ln"),
        "embed": replace(EMBED, dimensions=4, input_type="document"),
        "embed_embedding2_model": EMBED,
    },
    # huggingface
    "huggingface_base_url": {
        "text": replace(STREAM, stop=("END",)),
        "embed": replace(EMBED, texts=("first text",)),
    },
    "huggingface_router": {
        "embed_hf_inference": replace(EMBED, texts=("first text",)),
        "text_provider_auto": PLAIN,
        "text_provider_groq": PLAIN,
        "text_provider_hf-inference": PLAIN,
        "text_provider_novita": PLAIN,
    },
    # replicate
    "replicate": {
        "text": STREAM,
        "text_versioned": ASKED,
        "stream": ASKED,
        "predictions_create_poll": ASKED,
    },
    # voyage
    "voyage": {
        "embed": replace(EMBED, dimensions=256, input_type="document"),
        "embed_query": EmbedCall(texts=(USER.text,), input_type="query"),
    },
    "azure_openai_classic": {"entra_token_text": PLAIN, "responses_text": ASKED},
    "azure_openai_v1": {"text": PLAIN, "responses_text": ASKED},
    "deepseek_via_openai": {"thinking_switch": replace(PLAIN, effort="high")},
    "anthropic": {
        "text": STOPPED,
        "auth_token_text": ASKED,
        "stream": PLAIN,
        "stream_helper": PLAIN,
        "json_schema": replace(JSON, messages=(USER,)),
        "reasoning": replace(EFFORT, messages=(USER,), max_tokens=2048),
        "temperature_extra_body": replace(ASKED, temperature=0.2),
        "tool_result": tool_result("toolu_1"),
    },
    "ollama": {"stream": PLAIN, "tools": replace(TOOLS, tool_choice=None)},
}
KEY = "key"
SIGNED = re.compile(r"(Credential|Signature)=\S+")


def azure(scenario: str) -> Provider:
    row = replace(shipped()["azure"], base_url="https://example.openai.azure.com")
    if scenario.startswith("entra"):
        return replace(row, auth="bearer")
    return by_responses(row) if scenario.startswith("responses") else row


def azure_v1(scenario: str) -> Provider:
    row = replace(shipped()["azure_v1"], base_url="https://example.openai.azure.com/openai/v1")
    return by_responses(row) if scenario.startswith("responses") else row


def by_responses(row: Provider) -> Provider:
    """The row as if all of its models were spoken to by Responses."""
    return replace(row, facts_from=None, own_facts=(Model(pattern="*", wire="openai_responses"),))


SURFACES: dict[str, Callable[[str], Provider]] = {
    # anthropic on other clouds: rows as a user would write them
    "anthropic_bedrock_invoke": lambda scenario: shipped()["anthropic"],
    "anthropic_bedrock_mantle": lambda scenario: replace(
        shipped()["anthropic"], base_url="https://bedrock-mantle.us-east-1.api.aws"
    ),
    "anthropic_foundry": lambda scenario: replace(
        shipped()["anthropic"],
        base_url="https://example.services.ai.azure.com/anthropic",
        auth="x-api-key",
    ),
    "anthropic_vertex": lambda scenario: shipped()["anthropic"],
    "openai_chat": lambda scenario: shipped()["openai"],
    # openai_responses
    "openai_responses": lambda scenario: by_responses(shipped()["openai"]),
    "openai_bedrock_provider": lambda scenario: replace(
        by_responses(shipped()["openai"]),
        base_url="https://bedrock-mantle.us-east-1.api.aws/openai/v1",
    ),
    # bedrock
    "bedrock_boto3": lambda scenario: replace(
        shipped()["bedrock"],
        region="us-east-1",
        auth="bearer" if scenario.startswith("bearer") else "aws",
    ),
    # cohere
    "cohere": lambda scenario: shipped()["cohere"],
    # google_genai
    "google_genai": lambda scenario: shipped()["gemini"],
    # huggingface
    "huggingface_base_url": lambda scenario: replace(
        shipped()["huggingface"], embed_path="/embed-endpoint"
    ),
    "huggingface_router": lambda scenario: replace(
        shipped()["huggingface"], base_url="https://example.test/router"
    ),
    # replicate
    "replicate": lambda scenario: shipped()["replicate"],
    # voyage
    "voyage": lambda scenario: shipped()["voyage"],
    "azure_openai_classic": azure,
    "azure_openai_v1": azure_v1,
    "deepseek_via_openai": lambda scenario: shipped()["deepseek"],
    "groq": lambda scenario: shipped()["groq"],
    "together": lambda scenario: shipped()["together"],
    "anthropic": lambda scenario: shipped()["anthropic"],
    "ollama": lambda scenario: shipped()["ollama"],
}


def ours(
    row: Provider, intent: Call | EmbedCall | str, model: str, *, stream: bool = True
) -> Request:
    if isinstance(intent, Call):
        wire = chat_wire(row.facts(model).wire or row.wire)
        return wire.encode(intent, model=model, provider=row, stream=stream)
    if isinstance(intent, EmbedCall):
        name = row.facts(model).embed_wire or row.embed_wire or ""
        return embed_wire(name).encode(intent, model=model, provider=row)
    return request(row, row.models_path or "", None, method="GET")


def sent(row: Provider, asked: Request) -> httpx2.Request:
    """The request exactly as it would go out."""
    if row.auth == "aws":
        message = Http().message(row, None, asked, Limits())
        message.headers.update(signature(message, Credentials("id", "secret"), row.region or ""))
        return message
    key = None if row.local else KEY
    return Http().message(row, key, asked, Limits())


def headers(items: Mapping[str, str]) -> dict[str, str]:
    """The ones that matter; of a key only its scheme, of a media type only its name."""
    kept = {
        name.lower(): value.split(";")[0] if name.lower() == "content-type" else value
        for name, value in items.items()
        if not name.lower().startswith(UNIMPORTANT)
    }
    secret = {"api-key": "***", "x-api-key": "***", "x-goog-api-key": "***"}
    signed = kept.get("authorization", "").startswith("AWS4")
    secret["authorization"] = masked(kept["authorization"]) if signed else "Bearer ***"
    return {name: secret.get(name, value) for name, value in kept.items()}


def masked(signed: str) -> str:
    """Which headers are signed, without whose signature it is."""
    return SIGNED.sub(r"\1=***", signed.replace(",", ""))


def body(decoded: Any) -> Any:
    """Nulls and absent fields are the same."""
    if isinstance(decoded, dict):
        return {str(k): body(v) for k, v in decoded.items() if v is not None}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [body(each) for each in decoded] if isinstance(decoded, list) else decoded  # pyright: ignore[reportUnknownVariableType]


def walk(want: Any, got: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every difference as (where, what)."""
    if isinstance(want, dict) and isinstance(got, dict):
        names: set[str] = {*want, *got}  # pyright: ignore[reportUnknownArgumentType]
        for name in sorted(names):
            if name not in got:
                yield f"{path}.{name}", f"only the SDK sends it: {want[name]!r:.200}"
            elif name not in want:
                yield f"{path}.{name}", f"only we send it: {got[name]!r:.200}"
            else:
                yield from walk(want[name], got[name], f"{path}.{name}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):  # pyright: ignore[reportUnknownArgumentType]
        for n, (one, other) in enumerate(zip(want, got, strict=True)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from walk(one, other, f"{path}[{n}]")
    elif want != got or isinstance(want, bool) is not isinstance(got, bool):
        yield path, f"the SDK sends {want!r:.200}, we send {got!r:.200}"


def compare(want: Mapping[str, Any], got: httpx2.Request) -> Iterator[tuple[str, str]]:
    yield from walk(want["method"], got.method, "method")
    yield from walk(want["path"], got.url.raw_path.decode().partition("?")[0], "path")
    yield from walk(want["query"], parse_qs(got.url.query.decode()), "query")
    yield from walk(headers(want["headers"]), headers(dict(got.headers)), "headers")
    theirs: Any = body(want["body"])
    mine: Any = body(json.loads(got.content)) if got.content else None
    for each in filter(None, (theirs, mine)):
        for name in UNCOMPARED:
            each.pop(name, None)
    yield from walk(theirs, mine, "body")


def model_of(asked: Mapping[str, Any]) -> str:
    """The model a captured request names, in its body or in its path."""
    said: Any = asked["body"] or {}
    named = MODEL_IN_PATH.search(asked["path"])
    in_path = next(filter(None, named.groups()), "") if named else ""
    return said.get("model") or said.get("version") or unquote(in_path)


def scenarios(folder: Path) -> Iterator[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    for surface in SURFACES:
        for file in sorted((folder / surface).glob("*.json")):
            requests = json.loads(file.read_text(encoding="utf-8"))["requests"]
            yield surface, file.stem, requests


def judge(folder: Path, explained: Mapping[str, Any]) -> Counter[str]:
    tally = Counter[str]()
    left_out = dict(explained["skipped"])
    reasons = {name: dict(items) for name, items in explained["differences"].items()}
    for surface, scenario, requests in scenarios(folder):
        name = f"{surface}/{scenario}"
        if left_out.pop(name, None):
            tally["skipped"] += 1
            continue
        intent = PARTICULAR.get(surface, {}).get(scenario) or COMMON.get(scenario)
        if intent is None or not requests:
            tally["unexplained"] += 1
            click.echo(f"UNEXPLAINED {name}: no intent here says what it is")
            continue
        row = SURFACES[surface](scenario)
        stream = WHOLE.search(requests[0]["path"]) is None
        asked = ours(row, intent, model_of(requests[0]), stream=stream)
        found = dict(compare(requests[0], sent(row, asked)))
        known = reasons.get(name, {})
        unknown = {where: what for where, what in found.items() if not known.pop(where, None)}
        for where, what in unknown.items():
            click.echo(f"UNEXPLAINED {name} {where}: {what}")
        tally["unexplained"] += len(unknown)
        tally["explained" if found else "equal"] += 1
    stale = [*left_out, *(f"{name} {where}" for name in reasons for where in reasons[name])]
    for each in stale:
        click.echo(f"STALE {each}: explained, but there is no such difference")
    tally["stale"] = len(stale)
    return tally


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "judges" / "sdk_requests"
    tally = judge(folder, tomllib.loads(EXPLAINED.read_text(encoding="utf-8")))
    words = ("equal", "explained", "unexplained", "stale", "skipped")
    click.echo(" ".join(f"{word} {tally[word]}" for word in words))
    sys.exit(1 if tally["unexplained"] or tally["stale"] else 0)


if __name__ == "__main__":
    main()
