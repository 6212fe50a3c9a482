"""Amazon Bedrock's Converse protocol: one form for the models of all its makers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from ..aws_profile import library_installed
from ..catalog import Model, Provider
from ..classify import from_body
from ..framing import Event
from ..json_text import loads
from ..request import Request, effort_word, output_cap, request
from ..types import Call, Chunk, Effort, FinishReason, Image, Message, Tool, ToolCallPart, Usage
from .schemas import schema_name

FRAMING: Literal["eventstream"] = "eventstream"
WHOLE = "/model/{deployment}/converse"
STREAM = "/model/{deployment}/converse-stream"
BUDGET_TOKENS: dict[Effort, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24576}
LEAST_BUDGET = 1024

FINISH: dict[str, FinishReason] = {
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_calls",
}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    body: dict[str, Any] = {"messages": list(turns(call.messages))}
    if system := [{"text": said.text} for said in call.messages if spoken(said, "system")]:
        body["system"] = system
    if named := tools(call):
        body["toolConfig"] = named
    if call.output_schema is not None:
        body["outputConfig"] = {"textFormat": text_format(call.output_schema)}
    if call.effort is not None and facts.reasoning is not False:
        think(body, call, facts)
    body["inferenceConfig"] = inference(call, facts, thinks="thinking" in asked_beside(body))
    # Without the library for binary frames an answer is asked for whole.
    path = STREAM if stream and library_installed() else WHOLE
    return request(provider, path, body, model=model)


def spoken(said: Message, role: str) -> bool:
    return said.role == role and bool(said.text)


def asked_beside(body: dict[str, Any]) -> dict[str, Any]:
    """The fields that only some makers' models know."""
    return body.get("additionalModelRequestFields", {})


def inference(call: Call, facts: Model, *, thinks: bool) -> dict[str, Any]:
    """Thinking and a temperature exclude each other."""
    said: dict[str, Any] = {"maxTokens": output_cap(call, facts)}
    if call.temperature is not None and facts.sampling is not False and not thinks:
        said["temperature"] = min(call.temperature, 1.0)
    if call.stop:
        said["stopSequences"] = list(call.stop)
    return said


def turns(messages: Iterable[Message]) -> Iterator[dict[str, Any]]:
    """Roles must alternate, and tool results are said by the user: what follows from one side is
    one turn. Blank text is refused, so it is left out."""
    heard = [said for said in messages if said.role != "system"]
    for assistant, group in groupby(heard, key=lambda said: said.role == "assistant"):
        role = "assistant" if assistant else "user"
        yield {"role": role, "content": [block for said in group for block in blocks(said)]}


def blocks(said: Message) -> Iterator[dict[str, Any]]:
    if said.role == "tool":
        content = [{"text": said.text}] if said.text.strip() else []
        yield {"toolResult": {"toolUseId": said.tool_call_id, "content": content}}
        return
    yield from (picture(image) for image in said.images)
    if said.text.strip():
        yield {"text": said.text}
    for call in said.tool_calls:
        given: Mapping[str, Any] = {} if isinstance(call.arguments, str) else call.arguments
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": given}}


def picture(image: Image) -> dict[str, Any]:
    kind = image.media_type.partition("/")[2].lower()
    form = {"jpg": "jpeg"}.get(kind, kind)
    return {"image": {"format": form, "source": {"bytes": image.data}}}


def tools(call: Call) -> dict[str, Any]:
    """A conversation with tool calls in it is refused without the tools, also where none may be
    called now. `auto` is the service's own default, and not all models take the field."""
    given = call.tools if call.tool_choice != "none" else ()
    given = given or tuple(used(call))
    if not given:
        return {}
    said: dict[str, Any] = {"tools": [{"toolSpec": specified(tool)} for tool in given]}
    if call.tool_choice == "required":
        said["toolChoice"] = {"any": {}}
    elif call.tool_choice not in (None, "auto", "none"):
        said["toolChoice"] = {"tool": {"name": call.tool_choice}}
    return said


def used(call: Call) -> Iterator[Tool]:
    """The tools that the conversation shows in use, as far as they are known."""
    known = {tool.name: tool for tool in call.tools}
    names = dict.fromkeys(made.name for said in call.messages for made in said.tool_calls)
    return (known.get(name, Tool(name=name)) for name in names)


def specified(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    schema = {"json": tool.parameters or {"type": "object"}}
    return {"name": tool.name, **described, "inputSchema": schema}


def text_format(schema: Any) -> dict[str, Any]:
    """The schema is a text inside the body."""
    named = {"name": schema_name(schema), "schema": json.dumps(schema, ensure_ascii=False)}
    return {"type": "json_schema", "structure": {"jsonSchema": named}}


def think(body: dict[str, Any], call: Call, facts: Model) -> None:
    """Asks for thinking as the model's maker knows it; not at all where that is not known. For the
    rules of `thinking` see the Anthropic wire."""
    assert call.effort is not None
    word = effort_word(call.effort, facts)
    forced = call.tool_choice not in (None, "auto", "none")
    barred = forced or any(said.tool_calls for said in call.messages)
    match facts.thinking:
        case "reasoning_effort":
            body["additionalModelRequestFields"] = {"reasoning_effort": word}
        case "reasoning_config":
            asked = {"type": "enabled", "maxReasoningEffort": word}
            body["additionalModelRequestFields"] = {"reasoningConfig": asked}
        case "adaptive":
            body["outputConfig"] = {**body.get("outputConfig", {}), "effort": word}
            if not barred:
                body["additionalModelRequestFields"] = {"thinking": {"type": "adaptive"}}
        case "budget":
            tokens = min(BUDGET_TOKENS[call.effort], output_cap(call, facts) - 1)
            if tokens >= LEAST_BUDGET and not barred:
                asked = {"type": "enabled", "budget_tokens": tokens}
                body["additionalModelRequestFields"] = {"thinking": asked}
        case None:
            return


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk."""
    if body.get("error") and not body.get("output"):
        raise from_body(provider, body)
    said: Sequence[Any] = body["output"]["message"]["content"]
    return Chunk(
        text="".join(map(text, said)),
        reasoning="".join(map(reasoning, said)),
        tool_calls=tuple(whole_calls(said)),
        finish_reason=FINISH.get(body["stopReason"], "stop"),
        usage=usage(body.get("usage")),
        done=True,
        ended=True,
        raw_usage=body.get("usage"),
    )


def text(block: Any) -> str:
    """With citations the words stand inside their block."""
    cited: Any = block.get("citationsContent") or {}
    pieces: Sequence[Any] = cited.get("content") or ()
    return (block.get("text") or "") + "".join(piece.get("text") or "" for piece in pieces)


def reasoning(block: Any) -> str:
    thought: Any = block.get("reasoningContent") or {}
    said: Any = thought.get("reasoningText") or {}
    return said.get("text") or ""


def whole_calls(said: Sequence[Any]) -> Iterator[ToolCallPart]:
    for n, block in enumerate(said):
        made: Any = block.get("toolUse")
        if made and ours(made):
            yield ToolCallPart(
                index=n,
                id=made["toolUseId"],
                name=made["name"],
                arguments=json.dumps(made.get("input") or {}, ensure_ascii=False),
            )


def ours(made: Any) -> bool:
    """The service's own tools run at the service."""
    return made.get("type") != "server_tool_use"


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    body: Any = loads(event.data) if event.data else {}
    if event.name.startswith("!"):
        raise from_body(provider, body, name=event.name[1:])
    match event.name:
        case "contentBlockDelta":
            return delta(body)
        case "contentBlockStart":
            return block_start(body)
        case "messageStop":
            return Chunk(finish_reason=FINISH.get(body["stopReason"], "stop"), done=True)
        case "metadata":
            used: Any = body.get("usage")
            return Chunk(usage=usage(used), raw_usage=used, ended=True)
        case _:
            return None


def delta(body: Any) -> Chunk | None:
    said: Any = body["delta"]
    if "text" in said:
        return Chunk(text=said["text"] or "")
    if "reasoningContent" in said:
        return Chunk(reasoning=said["reasoningContent"].get("text") or "")
    if "toolUse" in said:
        piece = said["toolUse"].get("input") or ""
        part = ToolCallPart(index=body["contentBlockIndex"], arguments=piece)
        return Chunk(tool_calls=(part,))
    return None


def block_start(body: Any) -> Chunk | None:
    start: Any = body.get("start") or {}
    made: Any = start.get("toolUse")
    if not made or not ours(made):
        return None
    part = ToolCallPart(index=body["contentBlockIndex"], id=made["toolUseId"], name=made["name"])
    return Chunk(tool_calls=(part,))


def usage(used: Any) -> Usage | None:
    """Their input leaves out what was read from the cache and written to it; ours does not."""
    if not used:
        return None
    read = used.get("inputTokens")
    cached = used.get("cacheReadInputTokens")
    written = used.get("cacheWriteInputTokens")
    return Usage(
        input=None if read is None else read + (cached or 0) + (written or 0),
        output=used.get("outputTokens"),
        cached=cached,
        cache_write=written,
    )
