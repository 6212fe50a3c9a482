"""What became of a call: the words calls.py tells its story in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..providers.types import Embedding, FinishReason, ToolCall, Usage
from .errors import AllFailed, DeadlineExceeded
from .money import CostKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One finished attempt. `outcome` is `ok` or the kind of failure; `detail` is redacted."""

    n: int
    provider: str
    model: str
    outcome: str
    ms: int
    http_status: int | None = None
    detail: str = ""
    cost_nano: int | None = 0
    cost_kind: CostKind = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer of a call, or what there is of it: `finish_reason` is `timeout` for a hand-back
    at the deadline while the call goes on. Times are milliseconds from the start of the call."""

    call_id: str
    text: str
    finish_reason: FinishReason
    provider: str
    model: str
    usage: Usage
    cost_nano: int | None
    cost_kind: CostKind
    attempts: tuple[Attempted, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    structured: Any = None
    warnings: tuple[str, ...] = ()
    latency_ms: int = 0
    first_token_ms: int | None = None
    raw_usage: Mapping[str, Any] | None = None
    output_file: str | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """`ranking` holds (index of the text, cosine similarity to the query), best first."""

    call_id: str
    provider: str
    model: str
    embedding: Embedding
    dimensions: int
    cost_nano: int | None
    cost_kind: CostKind
    attempts: tuple[Attempted, ...] = ()
    warnings: tuple[str, ...] = ()
    ranking: tuple[tuple[int, float], ...] | None = None
    latency_ms: int = 0


class Late(DeadlineExceeded):
    """Nothing was answering at the deadline. `attempts` are those made until then."""

    def __init__(
        self, message: str, *, call_id: str, attempts: tuple[Attempted, ...], **rest: Any
    ) -> None:
        super().__init__(message, **rest)
        self.call_id = call_id
        self.attempts = attempts


class Failed(AllFailed):
    """Every attempt of a call failed. `raw` is the last provider's own answer, bounded."""

    def __init__(
        self,
        message: str,
        *,
        call_id: str,
        attempts: tuple[Attempted, ...],
        raw: str = "",
        **rest: Any,
    ) -> None:
        super().__init__(message, **rest)
        self.call_id = call_id
        self.attempts = attempts
        self.raw = raw
