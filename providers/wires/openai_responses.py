"""Responses: OpenAI's newer protocol, the only one some of its models speak.

Nothing is kept at the provider (`store` is false), so thoughts are not sent back: a tool
conversation is its calls and their results.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..catalog import Provider
from ..classify import from_body
from ..errors import UpstreamError
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, FinishReason, Message, Tool, ToolCall, ToolCallPart, Usage
from .schemas import instructed, schema_name, strict

FRAMING: Literal["sse"] = "sse"
NAME = "openai_responses"
PATH = "/responses"
END = Chunk(ended=True)
LEAST_CAP = 16  # a smaller one is refused
ANYTHING: Mapping[str, Any] = {"type": "object", "properties": {}}

# Whatever else makes an answer incomplete has cut it short as well.
INCOMPLETE: dict[str, FinishReason] = {"content_filter": "content_filter"}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    messages = call.messages
    body: dict[str, Any] = {"model": name_on_wire(provider, model)}
    if call.output_schema is not None:
        if "json_object" in provider.quirks:
            messages = instructed(messages, call.output_schema)
        body["text"] = {"format": text_format(call.output_schema, provider)}
    body |= said(messages)
    body["max_output_tokens"] = max(output_cap(call, facts), LEAST_CAP)
    body["store"] = False
    if call.temperature is not None and facts.sampling is not False:
        body["temperature"] = call.temperature
    if call.effort is not None and facts.reasoning is not False:
        body["reasoning"] = {"effort": effort_word(call.effort, facts)}
    body |= tools(call)
    if stream:
        body["stream"] = True
    # A row's path is that of the wire it names.
    own = provider.path if provider.wire == NAME else provider.responses_path
    return request(provider, own or PATH, body, model=model)


def said(messages: Sequence[Message]) -> dict[str, Any]:
    """System messages at the beginning are the instructions; one further on stays in its place."""
    spoken = [n for n, message in enumerate(messages) if message.role != "system"]
    first = spoken[0] if spoken else 0
    instructions = "\n\n".join(message.text for message in messages[:first] if message.text)
    found = {"input": [item for message in messages[first:] for item in items(message)]}
    return {"instructions": instructions, **found} if instructions else found


def items(message: Message) -> Iterator[dict[str, Any]]:
    """A message, and the calls it makes, each an item of its own."""
    if message.role == "tool":
        yield {
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": message.text,
        }
        return
    if message.text or message.images or not message.tool_calls:
        # llama.cpp knows what the assistant said by its type alone.
        kind = {"type": "message"} if message.role == "assistant" else {}
        yield {**kind, "role": message.role, "content": content(message)}
    yield from map(function_call, message.tool_calls)


def content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    text = [{"type": "input_text", "text": message.text}] if message.text else []
    return text + [
        {
            "type": "input_image",
            "image_url": f"data:{image.media_type};base64,{image.data}",
            "detail": "auto",
        }
        for image in message.images
    ]


def function_call(call: ToolCall) -> dict[str, Any]:
    given = call.arguments
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": text}


def text_format(schema: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    if "json_object" in provider.quirks:
        return {"type": "json_object"}
    described = {"type": "json_schema", "name": schema_name(schema), "schema": schema}
    exact = "no_strict" not in provider.quirks and strict(schema)
    return described | ({"strict": True} if exact else {})


def tools(call: Call) -> dict[str, Any]:
    if not call.tools:
        return {}
    found: dict[str, Any] = {"tools": [function(tool) for tool in call.tools]}
    if call.tool_choice in ("auto", "none", "required"):
        found["tool_choice"] = call.tool_choice
    elif call.tool_choice is not None:
        found["tool_choice"] = {"type": "function", "name": call.tool_choice}
    return found


def function(tool: Tool) -> dict[str, Any]:
    """Parameters are enforced unless we say otherwise, and then none may be optional."""
    described = {"description": tool.description} if tool.description else {}
    parameters = tool.parameters or ANYTHING
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": parameters,
        "strict": False,
    }


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk. Tools the provider ran itself are nobody's calls."""
    if body.get("error") or body.get("status") in ("failed", "cancelled"):
        raise failed(body, provider)
    output: list[Any] = body["output"]
    parts = [part for item in of_type(output, "message") for part in item.get("content") or ()]
    text = joined(of_type(parts, "output_text"), "text")
    refusal = joined(of_type(parts, "refusal"), "refusal")
    end = ending(body)
    return Chunk(
        text=text or refusal,
        reasoning="".join(map(thoughts, of_type(output, "reasoning"))),
        tool_calls=tuple(called(item, n) for n, item in enumerate(output) if is_call(item)),
        finish_reason="refusal" if refusal else end.finish_reason,
        usage=end.usage,
        model=end.model,
        done=body.get("status") not in ("in_progress", "queued"),
        ended=True,
        raw_usage=end.raw_usage,
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    if event.data == "[DONE]":
        return END
    body: Any = loads(event.data)
    kind = body.get("type")
    if kind == "error" or event.name == "error" or body.get("error"):
        raise from_body(provider, body, name=event.name)
    match kind:
        case "response.output_text.delta":
            return Chunk(text=body["delta"])
        case "response.refusal.delta":
            return Chunk(text=body["delta"], finish_reason="refusal")
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            return Chunk(reasoning=body["delta"])
        case "response.output_item.done" if is_call(body["item"]):
            # Calls are taken whole: not every service sends them in pieces, or numbers the pieces.
            return Chunk(tool_calls=(called(body["item"], body.get("output_index")),))
        case "response.created":
            return Chunk(model=body["response"].get("model") or None)
        case "response.completed" | "response.incomplete":
            return ending(body["response"])
        case "response.failed":
            raise failed(body["response"], provider)
        case _:
            return None


def failed(body: Any, provider: str) -> UpstreamError:
    """Of the failed answer only its error: the rest repeats what was asked."""
    return from_body(provider, {"error": body.get("error") or {}})


def ending(body: Any) -> Chunk:
    """What the last event says, and a whole answer as well: why it ended and what was used."""
    details: Any = body.get("incomplete_details") or {}
    cut = body.get("status") == "incomplete"
    return Chunk(
        finish_reason=INCOMPLETE.get(details.get("reason") or "", "length") if cut else "stop",
        usage=usage(body.get("usage")),
        model=body.get("model") or None,
        done=True,
        ended=True,
        raw_usage=body.get("usage"),
    )


def of_type(things: Sequence[Any], kind: str) -> Iterator[Any]:
    return (thing for thing in things if thing.get("type") == kind)


def joined(parts: Iterator[Any], name: str) -> str:
    return "".join(part.get(name) or "" for part in parts)


def thoughts(item: Any) -> str:
    """Their summary, or the thoughts themselves where a service shows them."""
    return joined(iter([*(item.get("summary") or ()), *(item.get("content") or ())]), "text")


def is_call(item: Any) -> bool:
    return item.get("type") == "function_call"


def called(item: Any, index: int | None) -> ToolCallPart:
    given: Any = item.get("arguments")
    return ToolCallPart(
        index=index,
        id=item.get("call_id") or item.get("id") or None,
        name=item["name"],
        arguments=given if isinstance(given, str) else json.dumps(given) if given else "",
    )


def usage(used: Any) -> Usage | None:
    """`input_tokens` includes what the cache gave and took, `output_tokens` what was thought."""
    if not used:
        return None
    read: Any = used.get("input_tokens_details") or {}
    written: Any = used.get("output_tokens_details") or {}
    return Usage(
        input=used.get("input_tokens"),
        output=used.get("output_tokens"),
        cached=read.get("cached_tokens"),
        cache_write=read.get("cache_write_tokens"),
        reasoning=written.get("reasoning_tokens"),
    )
