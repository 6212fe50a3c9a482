"""Holds the bodies our wires make against the request types of the official SDKs.

    uv run --group judges python tests/judge_types.py [PROVIDER...]

Every shipped row, every model it knows by name, every intent. A field the types do not know is as
wrong as a wrong value, at any depth. ACCEPTED names the few places where a service takes other
things than its SDK's types say. Exits with 1 when anything is invalid; what no installed SDK has
types for is skipped, with the reason.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import click
from judge_requests import EFFORT, EMBED, IMAGE, JSON, PICTURE, PLAIN, TEXT, TOOLS, tool_result
from sdk_types import Body, Make, arguments, made, operation, parts, several, typed

from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.outgoing import encoded
from roundhouse_mcp.providers.types import Call, EmbedCall, Message, Tool, ToolCall
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

MORE = ToolCall(id="call_2", name="now", arguments={})
NOW = Tool(name="now")
TWICE = (
    *tool_result("call_1").messages[:2],
    replace(tool_result("call_1").messages[2], text="Let me look."),
    *tool_result("call_1").messages[3:],
    Message(role="assistant", tool_calls=(MORE, replace(MORE, id="call_3"))),
    Message(role="tool", tool_call_id="call_2", text="noon"),
    Message(role="tool", tool_call_id="call_3", text=""),
    Message(role="assistant", text="It is noon."),
    PICTURE,
)
TITLED = {**(JSON.output_schema or {}), "title": "Weather"}
INTENTS: dict[str, Call] = {
    "plain": PLAIN,
    "text": TEXT,
    "tools": TOOLS,
    "tools_none": replace(TOOLS, tool_choice="none"),
    "tools_required": replace(TOOLS, tool_choice="required"),
    "tools_named": replace(TOOLS, tools=(*TOOLS.tools, NOW), tool_choice="now"),
    "tool_result": tool_result("call_1"),
    "conversation": replace(TOOLS, messages=TWICE, tools=(*TOOLS.tools, NOW)),
    "image": IMAGE,
    "json_schema": JSON,
    "json_schema_titled": replace(JSON, output_schema=TITLED, tools=TOOLS.tools),
    "effort_minimal": replace(EFFORT, effort="minimal"),
    "effort_low": EFFORT,
    "effort_medium": replace(EFFORT, effort="medium", max_tokens=8192),
    "effort_high": replace(EFFORT, effort="high", max_tokens=65536),
}
EMBED_INTENTS: dict[str, EmbedCall] = {
    "embed": EMBED,
    "embed_one": replace(EMBED, texts=("one text",)),
    "embed_query": replace(EMBED, input_type="query"),
    "embed_sized": replace(EMBED, input_type="document", dimensions=256),
}
USAGE = "without it a stream says nothing of usage; the service takes it"
OPENAI_SHAPE = (
    "the type is the one of answers; the service reads OpenAI's shape, as its SDK sends it"
)
# provider -> place -> why it is right there
ACCEPTED: dict[str, dict[str, str]] = {
    "anthropic": {"temperature": "older models take one, under the API version sent with it"},
    "deepseek": {"thinking": "a switch of its own; its users send it through the SDK's extra_body"},
    "groq": {"stream_options": USAGE},
    "huggingface": {
        "messages[].tool_calls[].function.parameters": OPENAI_SHAPE,
        "tool_choice": OPENAI_SHAPE,
        "reasoning_effort": "its guide to gpt-oss: huggingface.co/docs/inference-providers",
    },
    "openrouter": {"reasoning": "its own object (openrouter.ai/docs/use-cases/reasoning-tokens)"},
    "together": {
        "stream_options": USAGE,
        "tool_choice": OPENAI_SHAPE,
        "messages[].tool_calls[].index": OPENAI_SHAPE,
    },
}


OPENAI = "openai.types"
GEMINI = {
    "contents": "Content[]",
    "systemInstruction": "Content",
    "generationConfig": "GenerationConfig",
    "tools": "Tool[]",
    "toolConfig": "ToolConfig",
    "safetySettings": "SafetySetting[]",
}
GEMINI_EMBED = {
    "model": "str",
    "content": "Content",
    "taskType": "str",
    "title": "str",
    "outputDimensionality": "int",
}
# a provider with an SDK of its own, else the wire -> what judges its bodies
CHAT: dict[str, Make] = {
    "groq": typed("groq.types.chat.completion_create_params", "CompletionCreateParams"),
    "together": typed(
        "together.types.chat.completion_create_params", "CompletionCreateParamsStreaming"
    ),
    "huggingface": typed("huggingface_hub", "ChatCompletionInput"),
    "openai_chat": typed(
        f"{OPENAI}.chat.completion_create_params", "CompletionCreateParamsStreaming"
    ),
    "openai_responses": typed(
        f"{OPENAI}.responses.response_create_params", "ResponseCreateParamsStreaming"
    ),
    "anthropic_messages": typed(
        "anthropic.types.message_create_params", "MessageCreateParamsStreaming"
    ),
    "ollama": typed("ollama._types", "ChatRequest"),
    "gemini": parts("google.genai.types", GEMINI),
    "cohere": arguments("cohere.v2.client", "V2Client", "chat_stream", "stream"),
    "bedrock_converse": operation("bedrock-runtime", "ConverseStream", modelId="m"),
}
EMBED_JUDGES: dict[str, Make] = {
    "together": typed("together.types", "EmbeddingCreateParams"),
    "openai_embeddings": typed(f"{OPENAI}.embedding_create_params", "EmbeddingCreateParams"),
    "ollama_embed": typed("ollama._types", "EmbedRequest"),
    "gemini_embed": several("requests", parts("google.genai.types", GEMINI_EMBED)),
    "cohere_embed": arguments("cohere.v2.client", "V2Client", "embed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One body to be judged. `find` raises LookupError for a wire that is not there."""

    provider: Provider
    model: str
    intent: str
    wire: str
    make: Make | None
    find: Callable[[str], object]
    body: Callable[[], Body]

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model} {self.intent} ({self.wire})"


def written(row: Provider, body: Mapping[str, Any] | None) -> Body:
    """The body as the provider reads it."""
    return json.loads(encoded(row.name, body or {}))


def cases(row: Provider) -> Iterator[Case]:
    for model in models(row):
        facts = row.facts(model)
        if facts.embeddings and row.embed_wire:
            yield from embeds(row, model, facts.embed_wire or row.embed_wire)
        elif not facts.embeddings and (wire := facts.wire or row.wire):
            yield from chats(row, model, wire)


def chats(row: Provider, model: str, wire: str) -> Iterator[Case]:
    make = CHAT.get(row.name) or CHAT.get(wire)
    for intent, call in INTENTS.items():

        def body(call: Call = call) -> Body:
            return written(row, chat_wire(wire).encode(call, model=model, provider=row).body)

        yield Case(
            provider=row,
            model=model,
            intent=intent,
            wire=wire,
            make=make,
            find=chat_wire,
            body=body,
        )


def embeds(row: Provider, model: str, wire: str) -> Iterator[Case]:
    make = EMBED_JUDGES.get(row.name) or EMBED_JUDGES.get(wire)
    sizes = row.facts(model).dimensions
    for intent, call in EMBED_INTENTS.items():
        if call.dimensions and sizes:
            call = replace(call, dimensions=sizes[0])

        def body(call: EmbedCall = call) -> Body:
            return written(row, embed_wire(wire).encode(call, model=model, provider=row).body)

        yield Case(
            provider=row,
            model=model,
            intent=intent,
            wire=wire,
            make=make,
            find=embed_wire,
            body=body,
        )


def models(row: Provider) -> tuple[str, ...]:
    """The default models, and a model of every pattern the row has."""
    patterns = (facts.pattern for facts in row.models)
    made = (re.sub(r"\[(.)[^]]*\]", r"\1", pattern).replace("*", "") for pattern in patterns)
    named = (row.default, row.embedding_model, *made, *row.deployments)
    return tuple(dict.fromkeys(filter(None, named))) or ("m",)


def verdict(case: Case) -> tuple[str, tuple[str, ...]]:
    """`valid`, `invalid` with what is wrong, or `skipped` with why."""
    if case.make is None:
        return "skipped", ("no SDK has types for it",)
    try:
        judge = made(case.make)
        case.find(case.wire)
    except ModuleNotFoundError as error:
        return "skipped", (f"{error.name} is not installed",)
    except LookupError as error:
        return "skipped", (str(error),)
    taken = ACCEPTED.get(case.provider.name, {})
    found = [
        each for each in judge(case.body()) if not any(place_is(each, place) for place in taken)
    ]
    return ("invalid", tuple(found)) if found else ("valid", ())


def place_is(problem: str, place: str) -> bool:
    """Is the problem at the place, or inside it?"""
    return problem.startswith((f"{place}:", f"{place}.", f"{place}["))


def judged(rows: Iterable[Provider]) -> Counter[str]:
    tally = Counter[str]()
    told = Counter[tuple[str, str, str]]()
    for case in (case for row in rows for case in cases(row)):
        word, reasons = verdict(case)
        tally[word] += 1
        for reason in dict.fromkeys(reasons):
            place = case.name if word == "invalid" else f"{case.provider.name} ({case.wire})"
            told[word, place, reason] += 1
    for word, place, reason in told:
        click.echo(f"{word.upper()} {place} {reason}")
    return tally


def main() -> None:
    rows = [row for row in shipped().values() if not row.by_name_only]
    chosen = set(sys.argv[1:]) or {row.name for row in rows}
    tally = judged(row for row in rows if row.name in chosen)
    click.echo(" ".join(f"{word} {tally[word]}" for word in ("valid", "invalid", "skipped")))
    sys.exit(1 if tally["invalid"] else 0)


if __name__ == "__main__":
    main()
