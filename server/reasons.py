"""Why a model is left out of a plan: a closed set of words."""

from typing import Literal, NamedTuple

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
    "busy",
    "over_budget",
    "max_cost",
    "unpriced",
    "ledger",
    "not_approved",
]

NOT_SET_UP: tuple[Reason, ...] = ("not_running", "key_missing", "disabled")  # true of every call
MOST_IN_FULL = 3  # models that are not set up, of which more are gathered by reason


class Block(NamedTuple):
    """Why a model at a provider is not admitted now. `until` is epoch seconds, None: by hand."""

    reason: Reason
    detail: str
    until: float | None = None
