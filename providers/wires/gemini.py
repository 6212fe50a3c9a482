"""Google's Gemini protocol: generateContent and its stream."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, cast
from urllib.parse import quote

from ..assemble import Assembler
from ..catalog import Model, Provider
from ..classify import from_body
from ..errors import Interrupted
from ..framing import Event
from ..json_text import loads, parsed
from ..request import Request, effort_word, name_on_wire, output_cap, request
from ..types import Call, Chunk, Effort, FinishReason, Message, Tool, ToolCall, ToolCallPart, Usage

FRAMING: Literal["sse"] = "sse"
PATH = "/v1/models"
BUDGET_TOKENS: dict[Effort, int] = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
LEAST_BUDGET = 512
# What Google documents for calls that it did not make itself, whose signature nobody has.
UNSIGNED = "skip_thought_signature_validator"
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}

# Every reason that is not here is a failure of the model's or the service's.
FINISH: dict[str, FinishReason] = {
    "BLOCKLIST": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "error",
    "IMAGE_SAFETY": "content_filter",
    "LANGUAGE": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "MAX_TOKENS": "length",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "MODEL_ARMOR": "content_filter",
    "NO_IMAGE": "error",
    "OTHER": "error",
    "PROHIBITED_CONTENT": "content_filter",
    "RECITATION": "content_filter",
    "SAFETY": "content_filter",
    "SPII": "content_filter",
    "TOO_MANY_TOOL_CALLS": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    name = known_name(model)
    facts = provider.facts(name)
    body: dict[str, Any] = {"contents": list(contents(call.messages, facts))}
    if system := "\n\n".join(m.text for m in call.messages if m.role == "system" and m.text):
        body["systemInstruction"] = {"role": "user", "parts": [{"text": system}]}
    body |= tools(call)
    body["generationConfig"] = generation(call, facts)
    verb = "streamGenerateContent" if stream else "generateContent"
    path = method(provider.path or PATH, name_on_wire(provider, name), verb)
    return request(provider, path, body, model=name, query={"alt": "sse"} if stream else None)


def known_name(model: str) -> str:
    """The service lists its models as `models/x`."""
    return model.removeprefix("models/")


def method(path: str, model: str, verb: str) -> str:
    return f"{path}/{quote(model, safe='')}:{verb}"


def generation(call: Call, facts: Model) -> dict[str, Any]:
    said: dict[str, Any] = {"maxOutputTokens": output_cap(call, facts)}
    if call.temperature is not None and facts.sampling is not False:
        said["temperature"] = call.temperature
    if call.stop:
        said["stopSequences"] = list(call.stop)
    if call.output_schema is not None:
        said["responseMimeType"] = "application/json"
        said["responseJsonSchema"] = call.output_schema
    if call.effort is not None and facts.reasoning is not False:
        said["thinkingConfig"] = thinking(call.effort, said["maxOutputTokens"], facts)
    return said


def thinking(effort: Effort, cap: int, facts: Model) -> dict[str, Any]:
    """A level, or a budget for the models from before there were levels. Thoughts count towards
    the output cap, so a budget leaves half of it to the answer."""
    if facts.thinking == "budget":
        budget = max(LEAST_BUDGET, min(BUDGET_TOKENS[effort], cap // 2))
        return {"includeThoughts": True, "thinkingBudget": budget}
    return {"includeThoughts": True, "thinkingLevel": effort_word(effort, facts).upper()}


def contents(messages: Sequence[Message], facts: Model) -> Iterator[dict[str, Any]]:
    """Tool results are said by the user, all that follow one another in one content. They name
    their tool as the latest call with their id did: an id may come back in a later turn."""
    names: dict[str, str] = {}
    spoken = (said for said in messages if said.role != "system")
    for is_result, group in groupby(spoken, key=lambda said: said.role == "tool"):
        if is_result:
            yield {"role": "user", "parts": [tool_result(said, names) for said in group]}
            continue
        for said in group:
            names |= {call.id: call.name for call in said.tool_calls}
            role = "model" if said.role == "assistant" else "user"
            yield {"role": role, "parts": parts(said, facts)}


def tool_result(said: Message, names: Mapping[str, str]) -> dict[str, Any]:
    """A result that is an object goes as one; any other text is its `output`."""
    result = parsed(said.text)
    described: dict[str, Any] = {
        "name": names.get(said.tool_call_id or "", ""),
        "response": result if isinstance(result, dict) else {"output": said.text},
    }
    if said.tool_call_id:
        described["id"] = said.tool_call_id
    return {"functionResponse": described}


def parts(said: Message, facts: Model) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": image.media_type, "data": image.data}} for image in said.images
    ]
    if said.text or not (found or said.tool_calls):
        found.append({"text": said.text})
    return found + list(tool_calls(said.tool_calls, facts))


def tool_calls(calls: Iterable[ToolCall], facts: Model) -> Iterator[dict[str, Any]]:
    """Of parallel calls only the first has a signature, without which models that think in levels
    refuse it."""
    signed = facts.reasoning is True and facts.thinking != "budget"
    for n, call in enumerate(calls):
        given: Mapping[str, Any] = {} if isinstance(call.arguments, str) else call.arguments
        part: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": given}}
        if signature := call.signature or (UNSIGNED if signed and n == 0 else None):
            part["thoughtSignature"] = signature
        yield part


def tools(call: Call) -> dict[str, Any]:
    if not call.tools:
        return {}
    said: dict[str, Any] = {"tools": [{"functionDeclarations": [function(t) for t in call.tools]}]}
    if call.tool_choice is not None:
        chosen: dict[str, Any] = {"mode": MODES.get(call.tool_choice, "ANY")}
        if call.tool_choice not in MODES:
            chosen["allowedFunctionNames"] = [call.tool_choice]
        said["toolConfig"] = {"functionCallingConfig": chosen}
    return said


def function(tool: Tool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    }
    return {name: value for name, value in described.items() if value}


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer as one chunk. A stream that is no event stream is a list of its pieces."""
    streamed = isinstance(body, list)
    documents = cast("list[Any]", body) if streamed else [body]
    pieces = [piece(each, provider) for each in documents]
    heard = Assembler()
    for each in pieces:
        heard.add(each)
    if streamed and not heard.complete:
        raise Interrupted(provider, "the answer ended before it was complete")
    if not heard.complete and not documents[0].get("candidates"):
        raise ValueError("neither an answer nor a reason why there is none")
    return Chunk(
        text=heard.text,
        reasoning=heard.reasoning,
        tool_calls=tuple(part for each in pieces for part in each.tool_calls),
        finish_reason=heard.reported or "stop",
        usage=heard.usage,
        model=heard.model,
        request_id=heard.request_id,
        done=True,
        ended=True,
        raw_usage=heard.raw_usage,
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    return piece(loads(event.data), provider)


def piece(body: Any, provider: str) -> Chunk:
    """A piece of an answer: all pieces have the shape of a whole one, the last says why it is."""
    if body.get("error"):
        raise from_body(provider, body)
    candidates: list[Any] = body.get("candidates") or []
    candidate: Any = next((each for each in candidates if not each.get("index")), None) or {}
    # Answers that were cut off before their first word have a content without parts, or none.
    content: Any = candidate.get("content") or {}
    said: list[Any] = content.get("parts") or []
    words = [part for part in said if "functionCall" not in part]
    reason = finish(candidate, body.get("promptFeedback") or {})
    used: Any = body.get("usageMetadata")
    return Chunk(
        text="".join(part.get("text") or "" for part in words if not part.get("thought")),
        reasoning="".join(part.get("text") or "" for part in words if part.get("thought")),
        tool_calls=tuple(called(part) for part in said if "functionCall" in part),
        finish_reason=reason,
        usage=usage(used),
        model=body.get("modelVersion") or None,
        request_id=body.get("responseId") or None,
        done=reason is not None,
        raw_usage=used,
    )


def finish(candidate: Mapping[str, Any], feedback: Mapping[str, Any]) -> FinishReason | None:
    """None where the answer goes on. A blocked prompt has no candidates."""
    reason: str = candidate.get("finishReason") or ""
    if reason not in ("", "FINISH_REASON_UNSPECIFIED"):
        return FINISH.get(reason, "stop")
    return "content_filter" if feedback.get("blockReason") else None


def called(part: Any) -> ToolCallPart:
    """Calls arrive whole and without a place, mostly without an id."""
    function: Any = part["functionCall"]
    return ToolCallPart(
        id=function.get("id") or None,
        name=function["name"],
        arguments=json.dumps(function.get("args") or {}),
        signature=part.get("thoughtSignature") or None,
    )


def usage(used: Any) -> Usage | None:
    """Thoughts are counted beside the answer, what a tool of the service read beside the prompt;
    the prompt includes what was cached."""
    if not used:
        return None
    thoughts = used.get("thoughtsTokenCount")
    return Usage(
        input=total(used.get("promptTokenCount"), used.get("toolUsePromptTokenCount")),
        output=total(used.get("candidatesTokenCount"), thoughts),
        cached=used.get("cachedContentTokenCount"),
        reasoning=thoughts,
    )


def total(*counts: int | None) -> int | None:
    """None only where nothing was counted."""
    said = [count for count in counts if count is not None]
    return sum(said) if said else None
