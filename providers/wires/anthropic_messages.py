"""Anthropic's Messages protocol."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from ..catalog import Auth, Model, Provider
from ..classify import from_body
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, Effort, FinishReason, Message, ToolCallPart, Usage

FRAMING: Literal["sse"] = "sse"
PATH = "/v1/messages"
# Shorter prompts are below what Anthropic caches.
CACHED_CHARS = 8000
CACHED: Mapping[str, Any] = {"cache_control": {"type": "ephemeral"}}
BUDGET_TOKENS: dict[Effort, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24576}
LEAST_BUDGET = 1024

FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_calls",
}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "max_tokens": output_cap(call, facts),
        "messages": list(turns(call.messages, caches="cache_points" in provider.quirks)),
    }
    if system := system_prompt(call.messages):
        body["system"] = cached(system, provider)
    if call.stop:
        body["stop_sequences"] = list(call.stop)
    body |= tools(call)
    if call.output_schema is not None:
        described = {"type": "json_schema", "schema": call.output_schema}
        body["output_config"] = {"format": described}
    if call.effort is not None and facts.reasoning is not False:
        think(body, call, facts)
    if stream:
        body["stream"] = True
    headers, auth = sampled(body, call, facts)
    path = provider.path or PATH
    return request(provider, path, body, model=model, headers=headers, auth=auth)


def system_prompt(messages: Iterable[Message]) -> str:
    return "\n\n".join(said.text for said in messages if said.role == "system" and said.text)


def cached(system: str, provider: Provider) -> str | list[dict[str, Any]]:
    """A long system prompt is marked for the provider's cache: the next call reads it cheaper."""
    if len(system) < CACHED_CHARS or "cache_points" not in provider.quirks:
        return system
    return [{"type": "text", "text": system, **CACHED}]


def turns(messages: Sequence[Message], *, caches: bool) -> Iterator[dict[str, Any]]:
    """Tool results are said by the user, all that follow one another in one turn."""
    spoken = (said for said in messages if said.role != "system")
    for is_result, group in groupby(spoken, key=lambda said: said.role == "tool"):
        if is_result:
            yield {"role": "user", "content": [tool_result(said) for said in group]}
        else:
            yield from ({"role": said.role, "content": content(said, caches)} for said in group)


def tool_result(said: Message) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": said.tool_call_id, "content": said.text}


def content(said: Message, caches: bool) -> str | list[dict[str, Any]]:
    shared = said.shared if caches and said.shared >= CACHED_CHARS else 0
    if not said.images and not said.tool_calls and not shared:
        return said.text
    blocks: list[dict[str, Any]] = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": image.media_type, "data": image.data},
        }
        for image in said.images
    ]
    if shared:  # before the images, which this call alone may have
        blocks.insert(0, {"type": "text", "text": said.text[:shared], **CACHED})
    if said.text[shared:]:
        blocks.append({"type": "text", "text": said.text[shared:]})
    for call in said.tool_calls:
        given: Mapping[str, Any] = {} if isinstance(call.arguments, str) else call.arguments
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
    return blocks


def tools(call: Call) -> dict[str, Any]:
    if not call.tools:
        return {}
    said: dict[str, Any] = {
        "tools": [
            {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
            | ({"description": tool.description} if tool.description else {})
            for tool in call.tools
        ]
    }
    known = {"auto": "auto", "none": "none", "required": "any"}
    if call.tool_choice in known:
        said["tool_choice"] = {"type": known[call.tool_choice]}
    elif call.tool_choice is not None:
        said["tool_choice"] = {"type": "tool", "name": call.tool_choice}
    return said


def think(body: dict[str, Any], call: Call, facts: Model) -> None:
    """Asks for thinking as the model knows it. Not in the middle of a tool conversation: the
    thoughts that led to the tool calls would have to be sent back. Not with a forced tool."""
    assert call.effort is not None
    budgeted = facts.thinking == "budget"
    if not budgeted:
        effort = {"effort": effort_word(call.effort, facts)}
        body["output_config"] = {**body.get("output_config", {}), **effort}
    forced = call.tool_choice not in (None, "auto", "none")
    if forced or any(said.tool_calls for said in call.messages):
        return
    if not budgeted:
        body["thinking"] = {"type": "adaptive"}
        return
    tokens = min(BUDGET_TOKENS[call.effort], body["max_tokens"] - 1)
    if tokens >= LEAST_BUDGET:
        body["thinking"] = {"type": "enabled", "budget_tokens": tokens}


def sampled(
    body: dict[str, Any], call: Call, facts: Model
) -> tuple[dict[str, str] | None, Auth | None]:
    """Adds the temperature where the model takes one: under an older API version, which knew keys
    by another header. Thinking and a temperature exclude each other."""
    if call.temperature is None or facts.sampling is not True or "thinking" in body:
        return None, None
    body["temperature"] = min(call.temperature, 1.0)
    if facts.sampling_version is None:
        return None, None
    return {"anthropic-version": facts.sampling_version}, "x-api-key"


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk."""
    if body.get("type") == "error":
        raise from_body(provider, body)
    blocks: list[Any] = body["content"]
    return Chunk(
        text="".join(block["text"] or "" for block in blocks if block["type"] == "text"),
        reasoning="".join(
            block.get("thinking") or "" for block in blocks if block["type"] == "thinking"
        ),
        tool_calls=tuple(
            ToolCallPart(
                index=n,
                id=block["id"],
                name=block["name"],
                arguments=json.dumps(block.get("input") or {}),
            )
            for n, block in enumerate(blocks)
            if block["type"] == "tool_use"
        ),
        finish_reason=FINISH.get(body.get("stop_reason") or "", "stop"),
        usage=usage(body.get("usage")),
        model=body.get("model") or None,
        done=True,
        ended=True,
        raw_usage=body.get("usage"),
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    body: Any = loads(event.data)
    match body["type"]:
        case "content_block_delta":
            return delta(body)
        case "content_block_start":
            return block_start(body)
        case "message_start":
            said: Any = body["message"]
            used: Any = said.get("usage")
            return Chunk(model=said.get("model") or None, usage=usage(used), raw_usage=used)
        case "message_delta":
            used = body.get("usage")
            reason: str | None = body["delta"].get("stop_reason")
            finish = None if reason is None else FINISH.get(reason, "stop")
            return Chunk(finish_reason=finish, usage=usage(used), raw_usage=used)
        case "message_stop":
            return Chunk(done=True, ended=True)
        case "error":
            raise from_body(provider, body)
        case _:
            return None


def delta(body: Any) -> Chunk | None:
    said: Any = body["delta"]
    match said["type"]:
        case "text_delta":
            return Chunk(text=said["text"])
        case "thinking_delta":
            return Chunk(reasoning=said.get("thinking") or "")
        case "input_json_delta":
            part = ToolCallPart(index=body["index"], arguments=said["partial_json"])
            return Chunk(tool_calls=(part,))
        case _:
            return None


def block_start(body: Any) -> Chunk | None:
    block: Any = body["content_block"]
    match block["type"]:
        case "tool_use":
            given: Any = block.get("input")
            part = ToolCallPart(
                index=body["index"],
                id=block["id"],
                name=block["name"],
                arguments=json.dumps(given) if given else "",
            )
            return Chunk(tool_calls=(part,))
        case "text":
            return Chunk(text=block.get("text") or "")
        case "thinking":
            return Chunk(reasoning=block.get("thinking") or "")
        case _:
            return None


def usage(used: Any) -> Usage | None:
    """Their input leaves out what was read from the cache and written to it; ours does not."""
    if not used:
        return None
    parts = (
        used.get("input_tokens"),
        used.get("cache_read_input_tokens"),
        used.get("cache_creation_input_tokens"),
    )
    written: Any = used.get("output_tokens_details") or {}
    return Usage(
        input=None if parts[0] is None else sum(part or 0 for part in parts),
        output=used.get("output_tokens"),
        cached=parts[1],
        cache_write=parts[2],
        reasoning=written.get("thinking_tokens"),
    )
