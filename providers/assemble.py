"""Folds the chunks of one answer into a completion."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from .errors import Interrupted
from .types import Chunk, Completion, FinishReason, ToolCall, ToolCallPart, Usage

USAGE_FIELDS = tuple(field.name for field in fields(Usage) if field.name != "estimated")


@dataclass(slots=True)
class Draft:
    """A tool call as far as it has been heard."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str | None = None


class Assembler:
    """What has been heard of one answer; everything but `completion` may be read at any time.
    `complete` says that the provider itself called the answer finished."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.drafts: dict[int, Draft] = {}
        self.usage: Usage | None = None
        self.raw_usage: Mapping[str, Any] | None = None
        self.reported: FinishReason | None = None
        self.model: str | None = None
        self.request_id: str | None = None
        self.complete = False

    def add(self, chunk: Chunk) -> None:
        if chunk.text:
            self.texts.append(chunk.text)
        if chunk.reasoning:
            self.thoughts.append(chunk.reasoning)
        for part in chunk.tool_calls:
            self.fold(part)
        if chunk.usage is not None:
            self.usage = later(self.usage, chunk.usage)
        self.raw_usage = merged(self.raw_usage, chunk.raw_usage)
        if self.reported != "refusal" or chunk.finish_reason not in ("stop", None):
            self.reported = chunk.finish_reason or self.reported
        self.model = self.model or chunk.model
        self.request_id = self.request_id or chunk.request_id
        self.complete = self.complete or chunk.done

    def fold(self, part: ToolCallPart) -> None:
        """Parts belong together by index. Some services give every call the index 0 or none: a new
        id together with a name begins a new call."""
        at = len(self.drafts) if part.index is None else part.index
        draft = self.drafts.get(at)
        if draft is not None and part.id and draft.id not in ("", part.id) and part.name:
            at, draft = max(self.drafts) + 1, None
        if draft is None:
            draft = self.drafts[at] = Draft()
        draft.id = part.id or draft.id
        draft.name = draft.name or part.name or ""
        draft.arguments += part.arguments
        draft.signature = part.signature or draft.signature

    @property
    def text(self) -> str:
        return whole("".join(self.texts))

    @property
    def reasoning(self) -> str:
        return whole("".join(self.thoughts))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """In order. Pieces that never got a name belong to a tool of the provider's own."""
        named = [draft for _, draft in sorted(self.drafts.items()) if draft.name]
        return tuple(
            ToolCall(
                id=draft.id or f"call_{n}",
                name=draft.name,
                arguments=arguments(draft.arguments),
                signature=draft.signature,
            )
            for n, draft in enumerate(named, start=1)
        )

    @property
    def finish_reason(self) -> FinishReason | None:
        """As reported; an answer that stops with tool calls stopped for them."""
        called = any(draft.name for draft in self.drafts.values())
        return "tool_calls" if self.reported == "stop" and called else self.reported

    def completion(self, *, provider: str) -> Completion:
        """Raises Interrupted when the provider never called the answer finished."""
        if not self.complete:
            raise Interrupted(provider, "the answer ended before it was complete")
        finish, usage = self.finish_reason or "stop", self.usage or Usage()
        if finish not in ("content_filter", "refusal"):  # a filter may answer without any model
            usage = believed(usage, wrote=bool(self.text or self.tool_calls))
        return Completion(
            text=self.text,
            finish_reason=finish,
            usage=usage,
            model=self.model,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            request_id=self.request_id,
            raw_usage=self.raw_usage,
        )


def believed(usage: Usage, *, wrote: bool) -> Usage:
    """Without the zeros of programs that do not count: nobody reads a prompt of no tokens, or
    writes something with none."""
    read, written = usage.input or None, usage.output if usage.output or not wrote else None
    return replace(usage, input=read, output=written)


def later(before: Usage | None, now: Usage) -> Usage:
    """Fields reported now overwrite those reported before; the others stay. Input only grows: a
    later report may leave out the cached part of it, or an early one may not know it yet."""
    if before is None:
        return now
    said = {name: getattr(now, name) for name in USAGE_FIELDS}
    if before.input is not None and now.input is not None:
        said["input"] = max(before.input, now.input)
    return replace(before, **{name: n for name, n in said.items() if n is not None})


def merged(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    return now if before is None else before if now is None else {**before, **now}


def arguments(text: str) -> Mapping[str, Any] | str:
    """The decoded object; no arguments at all are an empty one; anything else stays text."""
    if not text.strip():
        return {}
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if decoded is None:
        return {}
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else text


def whole(text: str) -> str:
    """Surrogate halves that arrived in separate pieces are joined, lone ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
