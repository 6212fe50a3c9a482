"""Chat Completions: OpenAI's protocol, spoken by most services and local programs."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..catalog import Model, Provider
from ..classify import from_body
from ..errors import UpstreamError
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, FinishReason, Message, Tool, ToolCall, ToolCallPart, Usage
from .schemas import instructed, schema_name, strict

FRAMING: Literal["sse"] = "sse"
PATH = "/chat/completions"
END = Chunk(ended=True)
SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")

FINISH: dict[str, FinishReason] = {
    "content_filter": "content_filter",
    "error": "error",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "refusal": "refusal",
    "tool_call": "tool_calls",
    "tool_calls": "tool_calls",
}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    body: dict[str, Any] = {"model": name_on_wire(provider, model)}
    if call.output_schema is not None:
        body["response_format"] = response_format(call.output_schema, provider)
    body["messages"] = [message(each) for each in messages(call, provider)]
    body[facts.max_tokens_field or provider.max_tokens_field] = output_cap(call, facts)
    if call.temperature is not None and facts.sampling is not False:
        body["temperature"] = call.temperature
    if call.stop:
        body["stop"] = list(call.stop)
    body |= effort(call, facts, provider) | tools(call)
    if stream:
        body["stream"] = True
        if provider.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return request(provider, provider.path or PATH, body, model=model)


def messages(call: Call, provider: Provider) -> Sequence[Message]:
    """As this service takes them: a schema in words where it takes none, ids as it knows them."""
    said = call.messages
    if call.output_schema is not None and "json_object" in provider.quirks:
        said = instructed(said, call.output_schema)
    if "nine_character_ids" in provider.quirks:
        said = [with_short_ids(each) for each in said]
    return said


def with_short_ids(said: Message) -> Message:
    calls = tuple(replace(call, id=short_id(call.id)) for call in said.tool_calls)
    answers = said.tool_call_id and short_id(said.tool_call_id)
    return replace(said, tool_calls=calls, tool_call_id=answers)


def short_id(given: str) -> str:
    """Nine letters and digits, always the same for the same id: a call and its result still match
    when the call was another service's."""
    if SHORT_ID.fullmatch(given):
        return given
    return hashlib.sha256(given.encode()).hexdigest()[:9]


def effort(call: Call, facts: Model, provider: Provider) -> dict[str, Any]:
    if call.effort is None or facts.reasoning is False:
        return {}
    word = effort_word(call.effort, facts)
    if "reasoning_object" in provider.quirks:
        return {"reasoning": {"effort": word}, **provider.effort_fields}
    return {"reasoning_effort": word, **provider.effort_fields}


def response_format(schema: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    if "json_object" in provider.quirks:
        return {"type": "json_object"}
    described: dict[str, Any] = {"name": schema_name(schema), "schema": schema}
    if "no_strict" not in provider.quirks and strict(schema):
        described["strict"] = True
    return {"type": "json_schema", "json_schema": described}


def tools(call: Call) -> dict[str, Any]:
    if not call.tools:
        return {}
    said: dict[str, Any] = {"tools": [function(tool) for tool in call.tools]}
    if call.tool_choice in ("auto", "none", "required"):
        said["tool_choice"] = call.tool_choice
    elif call.tool_choice is not None:
        said["tool_choice"] = {"type": "function", "function": {"name": call.tool_choice}}
    return said


def function(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": {k: v for k, v in described.items() if v != ""}}


def message(said: Message) -> dict[str, Any]:
    if said.role == "tool":
        return {"role": "tool", "tool_call_id": said.tool_call_id, "content": said.text}
    body: dict[str, Any] = {"role": said.role, "content": content(said)}
    if said.tool_calls:
        body["tool_calls"] = [tool_call(call) for call in said.tool_calls]
        body["content"] = body["content"] or None
    return body


def content(said: Message) -> str | list[dict[str, Any]]:
    if not said.images:
        return said.text
    text = [{"type": "text", "text": said.text}] if said.text else []
    return text + [
        {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
        for image in said.images
    ]


def tool_call(call: ToolCall) -> dict[str, Any]:
    given = call.arguments
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk."""
    if not body.get("choices") and is_error(body):
        raise from_body(provider, body)
    choice: Any = body["choices"][0]
    if choice.get("error"):
        raise from_body(provider, choice)
    # A filtered answer has no message at all.
    said: Any = choice.get("message") or {}
    text, thoughts = texts(said.get("content"))
    return Chunk(
        text=text or said.get("refusal") or "",
        reasoning=thoughts or reasoning(said),
        tool_calls=tuple(parts(said.get("tool_calls") or ())),
        finish_reason=finish(choice.get("finish_reason"), said) or "stop",
        usage=usage(body.get("usage")),
        model=body.get("model") or None,
        done=True,
        ended=True,
        raw_usage=body.get("usage"),
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    if event.data == "[DONE]":
        return END
    body: Any = loads(event.data)
    if event.name == "error" or is_error(body):
        raise failure(provider, body, event)
    used = reported(body)
    choices: list[Any] = body.get("choices") or []
    choice: Any = next((each for each in choices if not each.get("index")), None)
    if choice is None:
        model = body.get("model") or None
        return Chunk(usage=usage(used), raw_usage=used, model=model) if used else None
    if choice.get("error"):
        raise from_body(provider, choice)
    # Some first chunks have no delta.
    said: Any = choice.get("delta") or {}
    text, thoughts = texts(said.get("content"))
    reason = choice.get("finish_reason")
    return Chunk(
        text=text or said.get("refusal") or "",
        reasoning=thoughts or reasoning(said),
        tool_calls=tuple(parts(said.get("tool_calls") or ())),
        finish_reason=finish(reason, said),
        usage=usage(used),
        model=body.get("model") or None,
        done=reason is not None,
        raw_usage=used,
    )


def reported(body: Mapping[str, Any]) -> Any:
    groq: Any = body.get("x_groq") or {}
    return body.get("usage") or groq.get("usage")


def failure(provider: str, body: Mapping[str, Any], event: Event) -> UpstreamError:
    """The error an event reports, with the usage that may come along."""
    error = from_body(provider, body, name=event.name)
    if used := reported(body):
        error.heard = Chunk(usage=usage(used), raw_usage=used)
    return error


def is_error(body: Mapping[str, Any]) -> bool:
    """Some services put nothing around an error."""
    bare = "choices" not in body and any(body.get(name) for name in ("message", "detail"))
    return bool(body.get("error")) or bare


def texts(content: Any) -> tuple[str, str]:
    """Text and thoughts; some services send a list of typed parts."""
    if not content:
        return "", ""
    if isinstance(content, str):
        return content, ""
    text: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif part.get("type") == "thinking":
            thinking: Any = part.get("thinking") or ""
            thoughts.append(thinking if isinstance(thinking, str) else texts(thinking)[0])
        else:
            text.append(part.get("text") or "")
    return "".join(text), "".join(thoughts)


def reasoning(said: Mapping[str, Any]) -> str:
    for name in ("reasoning_content", "reasoning"):
        found = said.get(name)
        if found and isinstance(found, str):
            return found
    return ""


def parts(calls: Sequence[Any]) -> Iterator[ToolCallPart]:
    for call in calls:
        function: Any = call.get("function")
        if function is not None:
            given: Any = function.get("arguments")
            yield ToolCallPart(
                index=call.get("index"),
                id=call.get("id") or None,
                name=function.get("name") or None,
                arguments=given if isinstance(given, str) else json.dumps(given) if given else "",
            )


def finish(reason: str | None, said: Mapping[str, Any]) -> FinishReason | None:
    if said.get("refusal"):
        return "refusal"
    return None if reason is None else FINISH.get(reason.lower(), "stop")


def usage(used: Any) -> Usage | None:
    """`prompt_tokens` includes what was read from the cache and what was written to it."""
    if not used:
        return None
    read: Any = used.get("prompt_tokens_details") or {}
    written: Any = used.get("completion_tokens_details") or {}
    cached = read.get("cached_tokens")
    return Usage(
        input=used.get("prompt_tokens"),
        output=output(used, written.get("reasoning_tokens")),
        cached=used.get("prompt_cache_hit_tokens") if cached is None else cached,
        cache_write=read.get("cache_write_tokens"),
        reasoning=written.get("reasoning_tokens"),
    )


def output(used: Any, thought: int | None) -> int | None:
    """What was written, thoughts included. Some services count thoughts apart; their total shows
    it."""
    read, said = used.get("prompt_tokens"), used.get("completion_tokens")
    if not thought or read is None or said is None:
        return said
    return said + thought if used.get("total_tokens") == read + said + thought else said
