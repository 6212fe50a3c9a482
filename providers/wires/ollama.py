"""Ollama's own chat protocol."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..catalog import Provider
from ..classify import from_body
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, FinishReason, Message, Tool, ToolCallPart, Usage

FRAMING: Literal["ndjson"] = "ndjson"
PATH = "/api/chat"
FINISH: dict[str, FinishReason] = {"length": "length", "tool_calls": "tool_calls"}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    options: dict[str, Any] = {"num_predict": output_cap(call, facts)}
    if call.temperature is not None and facts.sampling is not False:
        options["temperature"] = call.temperature
    if call.stop:
        options["stop"] = list(call.stop)
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "messages": messages(call.messages),
        "tools": [function(tool) for tool in offered(call)],
        "options": options,
        "stream": stream,
    }
    if call.output_schema is not None:
        body["format"] = call.output_schema
    if call.effort is not None and facts.reasoning is not False:
        body["think"] = effort_word(call.effort, facts)
    return request(provider, provider.path or PATH, body, model=model)


def offered(call: Call) -> Sequence[Tool]:
    """There is no tool choice in this protocol: a choice is made by what is offered."""
    if call.tool_choice in (None, "auto", "required"):
        return call.tools
    return [tool for tool in call.tools if tool.name == call.tool_choice]


def function(tool: Tool) -> dict[str, Any]:
    described = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": {k: v for k, v in described.items() if v != ""}}


def messages(said: Sequence[Message]) -> list[dict[str, Any]]:
    names = {call.id: call.name for each in said for call in each.tool_calls}
    return [message(each, names) for each in said]


def message(said: Message, names: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": said.role, "content": said.text}
    if said.role == "tool":
        body["tool_name"] = names.get(said.tool_call_id or "", "")
    if said.images:
        body["images"] = [image.data for image in said.images]
    if said.tool_calls:
        body["tool_calls"] = [
            {
                "function": {
                    "name": call.name,
                    "arguments": {} if isinstance(call.arguments, str) else call.arguments,
                }
            }
            for call in said.tool_calls
        ]
        if not said.text:
            del body["content"]
    return body


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk: the last line of a stream has the same shape."""
    return chunk(body, provider)


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    return chunk(loads(event.data), provider)


def chunk(body: Any, provider: str) -> Chunk:
    if body.get("error"):
        raise from_body(provider, body)
    said: Any = body.get("message") or {}
    done = bool(body.get("done"))
    used = usage(body) if done else None
    return Chunk(
        text=said.get("content") or "",
        reasoning=said.get("thinking") or "",
        tool_calls=tuple(part(call) for call in said.get("tool_calls") or ()),
        finish_reason=FINISH.get(body.get("done_reason") or "", "stop") if done else None,
        usage=used,
        model=body.get("model") or None,
        done=done,
        ended=done,
        raw_usage=counters(body) if done else None,
    )


def part(call: Any) -> ToolCallPart:
    """Calls arrive whole and without a place, often without an id."""
    function: Any = call["function"]
    given: Any = function.get("arguments")
    return ToolCallPart(
        id=call.get("id") or None,
        name=function["name"],
        arguments=given if isinstance(given, str) else json.dumps(given) if given else "",
    )


def usage(body: Any) -> Usage:
    """A prompt answered from the cache has no count: not known, rather than nothing."""
    return Usage(input=body.get("prompt_eval_count"), output=body.get("eval_count"))


def counters(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name.endswith(("_count", "_duration"))}
