"""Cohere's Chat protocol, version 2."""

from collections.abc import Mapping
from typing import Any, Literal

from ..catalog import Model, Provider
from ..classify import from_body
from ..errors import UpstreamError
from ..framing import Event
from ..json_text import loads
from ..request import Request, name_on_wire, output_cap, request
from ..types import Call, Chunk, Effort, FinishReason, Message, ToolCallPart, Usage
from .openai_chat import content, function, texts, tool_call

FRAMING: Literal["sse"] = "sse"
PATH = "/v2/chat"
END = Chunk(ended=True)
BUDGET_TOKENS: dict[Effort, int] = {"minimal": 512, "low": 2048, "medium": 8192, "high": 24576}

FINISH: dict[str, FinishReason] = {"MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
# Ends of an answer that did not come about, as error types.
FAILED = {"ERROR": "api_error", "TIMEOUT": "timeout_error"}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "messages": [message(said) for said in call.messages],
        "max_tokens": output_cap(call, facts),
        "stream": stream,
    }
    if call.temperature is not None and facts.sampling is not False:
        body["temperature"] = call.temperature
    if call.stop:
        body["stop_sequences"] = list(call.stop)
    if call.output_schema is not None:
        body["response_format"] = {"type": "json_object", "json_schema": call.output_schema}
    if call.effort is not None and facts.reasoning is not False:
        body["thinking"] = thinking(call, call.effort, facts)
    body |= tools(call)
    return request(provider, provider.path or PATH, body, model=model)


def thinking(call: Call, effort: Effort, facts: Model) -> dict[str, Any]:
    """Thoughts count against the output cap: half of it is left for the answer."""
    tokens = min(BUDGET_TOKENS[effort], max(output_cap(call, facts) // 2, 1))
    return {"type": "enabled", "token_budget": tokens}


def tools(call: Call) -> dict[str, Any]:
    """A tool cannot be forced by name: then it is the only one offered."""
    named = call.tool_choice not in (None, "auto", "none", "required")
    offered = [tool for tool in call.tools if not named or tool.name == call.tool_choice]
    if not offered:
        return {}
    said: dict[str, Any] = {"tools": [function(tool) for tool in offered]}
    if call.tool_choice == "none":
        said["tool_choice"] = "NONE"
    elif call.tool_choice not in (None, "auto"):
        said["tool_choice"] = "REQUIRED"
    return said


def message(said: Message) -> dict[str, Any]:
    if said.role == "tool":
        return {"role": "tool", "tool_call_id": said.tool_call_id, "content": said.text}
    if not said.tool_calls:
        return {"role": said.role, "content": content(said)}
    plan = {"tool_plan": said.text} if said.text else {}
    calls = [tool_call(call) for call in said.tool_calls]
    return {"role": said.role, **plan, "tool_calls": calls}


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk."""
    reason = body.get("finish_reason")
    if reason in FAILED:
        raise failure(provider, body, reason)
    if body.get("error") or isinstance(body.get("message"), str):
        raise from_body(provider, body)
    said: Any = body["message"]
    text, thoughts = texts(said.get("content"))
    return Chunk(
        text=text,
        reasoning=thoughts + (said.get("tool_plan") or ""),
        tool_calls=tuple(part(n, call) for n, call in enumerate(said.get("tool_calls") or ())),
        finish_reason=finish(reason),
        usage=usage(body.get("usage")),
        done=True,
        ended=True,
        raw_usage=body.get("usage"),
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    """Citations, and the starts and ends of parts, say nothing that is kept."""
    if event.data == "[DONE]":
        return END
    body: Any = loads(event.data)
    kind = body.get("type") or event.name
    delta: Any = body.get("delta") or {}
    if kind == "message-end":
        return ending(delta, provider)
    if body.get("error") or kind in ("", "error"):
        raise from_body(provider, body, name=event.name)
    said: Any = delta.get("message") or {}
    if kind in ("content-start", "content-delta"):
        piece: Any = said.get("content") or {}
        return Chunk(text=piece.get("text") or "", reasoning=piece.get("thinking") or "")
    if kind == "tool-plan-delta":
        return Chunk(reasoning=said.get("tool_plan") or "")
    if kind in ("tool-call-start", "tool-call-delta"):
        return Chunk(tool_calls=(part(body.get("index"), said["tool_calls"]),))
    return None


def ending(delta: Mapping[str, Any], provider: str) -> Chunk:
    reason = delta.get("finish_reason")
    if reason in FAILED or delta.get("error"):
        raise failure(provider, delta, reason or "ERROR")
    return Chunk(
        finish_reason=finish(reason),
        usage=usage(delta.get("usage")),
        done=True,
        ended=True,
        raw_usage=delta.get("usage"),
    )


def failure(provider: str, said: Mapping[str, Any], reason: str) -> UpstreamError:
    """The error that an answer ended in, with its own type where it has one."""
    kind = said.get("error_type") or FAILED.get(reason, FAILED["ERROR"])
    words = said.get("error") or f"the answer ended with {reason}"
    return from_body(provider, {"error": {"message": words, "type": kind}})


def part(index: int | None, call: Any) -> ToolCallPart:
    called: Any = call.get("function") or {}
    return ToolCallPart(
        index=index,
        id=call.get("id") or None,
        name=called.get("name") or None,
        arguments=called.get("arguments") or "",
    )


def finish(reason: str | None) -> FinishReason | None:
    return None if reason is None else FINISH.get(reason, "stop")


def usage(used: Any) -> Usage | None:
    """What is billed, which is less than what was read: the service's own preamble is free. What
    came from the cache is counted with that preamble, so no part of the billed input is known to
    be cached."""
    if not used:
        return None
    billed: Any = used.get("billed_units") or {}
    tokens: Any = used.get("tokens") or {}
    is_billed = billed.get("input_tokens") is not None
    return Usage(
        input=whole(billed if is_billed else tokens, "input_tokens"),
        output=whole(tokens if billed.get("output_tokens") is None else billed, "output_tokens"),
        cached=None if is_billed else whole(used, "cached_tokens"),
        reasoning=whole(tokens, "reasoning_tokens"),
    )


def whole(counts: Mapping[str, Any], name: str) -> int | None:
    """A count, which may be written as a float."""
    count = counts.get(name)
    return None if count is None else int(count)
