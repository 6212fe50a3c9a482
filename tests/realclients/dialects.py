"""Three model APIs, as far as a command-line agent needs them: what a request shows the model, and
how a model says its next step. Pure.

A player is the model: from a turn it makes a tool call or the last words. It sees what the client
hands over and nothing else.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """`known_as` is how this client calls it, `space` the namespace it puts it in."""

    name: str
    known_as: str
    description: str
    parameters: JSON
    space: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """`words` is every string of the request; `results` what our tools answered, in order."""

    tools: Mapping[str, Tool]
    results: Sequence[str]
    words: str


@dataclass(frozen=True, slots=True)
class Use:
    tool: str
    arguments: JSON = field(default_factory=dict[str, Any])


Step = Use | str
Player = Callable[[Turn], Step]


class Dialect(Protocol):
    def read(self, body: JSON) -> Turn: ...
    def say(self, step: Step, turn: Turn) -> Iterator[JSON]:
        """The events of a stream, in order."""
        ...


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, object]", value).values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from strings(inner)


def turn(body: JSON, tools: Iterator[Tool], results: Iterator[str]) -> Turn:
    return Turn({tool.name: tool for tool in tools}, tuple(results), "\n".join(strings(body)))


def ours(name: str) -> str | None:
    """Our name for a tool, or None for a tool of the client's own."""
    for prefix in ("mcp__roundhouse__", "mcp_roundhouse_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return None


class Anthropic:
    """Claude Code: Messages."""

    def read(self, body: JSON) -> Turn:
        return turn(body, self.tools(body), self.results(body))

    def tools(self, body: JSON) -> Iterator[Tool]:
        for each in body.get("tools", []):
            if name := ours(each["name"]):
                yield Tool(name, each["name"], each["description"], each["input_schema"])

    def results(self, body: JSON) -> Iterator[str]:
        for message in body.get("messages", []):
            blocks: Any = message["content"]
            for block in blocks if isinstance(blocks, list) else ():  # pyright: ignore[reportUnknownVariableType]
                if block["type"] == "tool_result":
                    yield "\n".join(strings(cast("object", block["content"])))

    def say(self, step: Step, turn: Turn) -> Iterator[JSON]:
        usage = {"input_tokens": 1, "output_tokens": 1}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
        rest: JSON = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        yield {"type": "message_start", "message": {**head, **rest}}
        block: JSON = {"type": "text", "text": ""}
        if isinstance(step, str):
            delta, why = {"type": "text_delta", "text": step}, "end_turn"
        else:
            known_as, number = turn.tools[step.tool].known_as, len(turn.results)
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": known_as, "input": {}}
            delta, why = {"type": "input_json_delta"}, "tool_use"
            delta["partial_json"] = json.dumps(step.arguments)
        yield {"type": "content_block_start", "index": 0, "content_block": block}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        ended = {"stop_reason": why, "stop_sequence": None}
        yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 1}}
        yield {"type": "message_stop"}


class Responses:
    """Codex: Responses, tools in a namespace."""

    def read(self, body: JSON) -> Turn:
        return turn(body, self.tools(body.get("tools", [])), self.results(body))

    def tools(self, listed: list[JSON], space: str = "") -> Iterator[Tool]:
        for each in listed:
            if each["type"] == "namespace":
                yield from self.tools(each["tools"], each["name"])
            elif space.startswith("mcp__roundhouse"):
                known_as: str = each["name"]
                yield Tool(known_as, known_as, each["description"], each["parameters"], space)

    def results(self, body: JSON) -> Iterator[str]:
        for item in body.get("input", []):
            if item.get("type") == "function_call_output":
                yield "\n".join(strings(item["output"]))

    def say(self, step: Step, turn: Turn) -> Iterator[JSON]:
        item: JSON
        if isinstance(step, str):
            text: JSON = {"type": "output_text", "text": step, "annotations": []}
            item = {"type": "message", "id": "m_1", "role": "assistant", "content": [text]}
        else:
            tool, number = turn.tools[step.tool], len(turn.results)
            item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
            item |= {"name": tool.known_as, "arguments": json.dumps(step.arguments)}
            item |= {"namespace": tool.space}
        item["status"] = "completed"
        usage: JSON = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        usage |= {"input_tokens_details": None, "output_tokens_details": None}
        yield {"type": "response.created", "response": {"id": "r1"}}
        yield {"type": "response.output_item.added", "output_index": 0, "item": item}
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        yield {"type": "response.completed", "response": {"id": "r1", "usage": usage}}


class Gemini:
    """Gemini CLI: generateContent."""

    def read(self, body: JSON) -> Turn:
        return turn(body, self.tools(body), self.results(body))

    def tools(self, body: JSON) -> Iterator[Tool]:
        for each in (one for box in body.get("tools", []) for one in box["functionDeclarations"]):
            if name := ours(each["name"]):
                schema: JSON = each.get("parametersJsonSchema") or each.get("parameters", {})
                yield Tool(name, each["name"], each["description"], schema)

    def results(self, body: JSON) -> Iterator[str]:
        for content in body.get("contents", []):
            for part in content["parts"]:
                if "functionResponse" in part:
                    yield "\n".join(strings(part["functionResponse"]["response"]))

    def say(self, step: Step, turn: Turn) -> Iterator[JSON]:
        part: JSON = {"text": step}
        if not isinstance(step, str):
            known_as = turn.tools[step.tool].known_as
            part = {"functionCall": {"name": known_as, "args": step.arguments}}
        said = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        yield {"candidates": [said], "usageMetadata": usage, "modelVersion": "gemini"}
