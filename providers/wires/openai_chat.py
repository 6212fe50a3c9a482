"""Chat Completions: OpenAI's protocol, spoken by most services and local programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..catalog import Provider
from ..classify import from_body
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, FinishReason, Message, Tool, ToolCall, ToolCallPart, Usage
from .schemas import instructed, schema_name, strict

FRAMING: Literal["sse"] = "sse"
PATH = "/chat/completions"
END = Chunk(ended=True)

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
    messages = call.messages
    body: dict[str, Any] = {"model": name_on_wire(provider, model)}
    if call.output_schema is not None:
        if "json_object" in provider.quirks:
            messages = instructed(messages, call.output_schema)
        body["response_format"] = response_format(call.output_schema, provider)
    body["messages"] = [message(each) for each in messages]
    body[facts.max_tokens_field or provider.max_tokens_field] = output_cap(call, facts)
    if call.temperature is not None and facts.sampling is not False:
        body["temperature"] = call.temperature
    if call.stop:
        body["stop"] = list(call.stop)
    if call.effort is not None and facts.reasoning is not False:
        body |= {"reasoning_effort": effort_word(call.effort, facts), **provider.effort_fields}
    body |= tools(call)
    if stream:
        body["stream"] = True
        if provider.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return request(provider, provider.path or PATH, body, model=model)


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
    if body.get("error") and not body.get("choices"):
        raise from_body(provider, body)
    choice: Any = body["choices"][0]
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
    if event.name == "error" or body.get("error"):
        raise from_body(provider, body, name=event.name)
    groq: Any = body.get("x_groq") or {}
    used: Any = body.get("usage") or groq.get("usage")
    choices: list[Any] = body.get("choices") or []
    choice: Any = next((each for each in choices if not each.get("index")), None)
    if choice is None:
        model = body.get("model") or None
        return Chunk(usage=usage(used), raw_usage=used, model=model) if used else None
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
    """`prompt_tokens` includes what was cached, `completion_tokens` what was thought."""
    if not used:
        return None
    read: Any = used.get("prompt_tokens_details") or {}
    written: Any = used.get("completion_tokens_details") or {}
    cached = read.get("cached_tokens")
    return Usage(
        input=used.get("prompt_tokens"),
        output=used.get("completion_tokens"),
        cached=used.get("prompt_cache_hit_tokens") if cached is None else cached,
        cache_write=read.get("cache_write_tokens"),
        reasoning=written.get("reasoning_tokens"),
    )
