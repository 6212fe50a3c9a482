"""Why a model is left out of a plan: a closed set of words."""

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "disabled",
    "key_missing",
    "not_running",
    "privacy",
    "capability",
    "context",
    "circuit_open",
    "half_open",
    "cooldown",
    "hold",
    "rate_limit",
    "over_budget",
    "max_cost",
    "unpriced",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why a model at a provider is not admitted now. `until` is epoch seconds, None: by hand."""

    reason: Reason
    detail: str
    until: float | None = None
