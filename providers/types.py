"""The words both sides of a call share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Effort = Literal["minimal", "low", "medium", "high"]
FinishReason = Literal[
    "stop",
    "length",
    "tool_calls",
    "content_filter",
    "refusal",
    "timeout",
    "interrupted",
    "error",
]
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """Picture bytes as base64 text, with their media type (`image/png`)."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call the model wants made. `arguments` is the decoded object, or the raw text when the
    model was cut off or wrote no valid JSON."""

    id: str
    name: str
    arguments: Mapping[str, Any] | str
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    name: str
    description: str = ""
    parameters: Schema = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`shared`: the first characters of the text that other calls are likely to begin with too."""

    role: Role
    text: str = ""
    shared: int = 0
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of a chat model, in no provider's dialect. `tool_choice` is `auto`, `none`,
    `required` or the name of a tool; `max_tokens` is always sent."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    output_schema: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedCall:
    """Texts to embed, in order. `input_type` is `query` or `document` where a model cares."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    input_type: Literal["query", "document"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as billed. `input` is everything read, cached and cache-written tokens included;
    `output` is everything written, reasoning included. None means the provider did not say."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallPart:
    """A piece of a streamed tool call. `index` orders the calls of one answer; None where the
    provider sends whole calls without one. `arguments` pieces are concatenated."""

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a streamed answer. Later usage fields overwrite earlier ones; `done` is the wire's
    own proof that the answer is complete, without which a stream that ends has failed; `ended` says
    that nothing follows. `request_id` is the provider's own where the body has one."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallPart, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    done: bool = False
    ended: bool = False
    raw_usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer. `model` is what the provider says answered; `request_id` is the provider's
    own; `raw_usage` is its usage object as sent."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    model: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    request_id: str | None = None
    raw_usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One vector per text, in the order of the texts. `raw_usage` is the usage object as sent."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage
    model: str | None = None
    request_id: str | None = None
    raw_usage: Mapping[str, Any] | None = None
