"""Why a model is left out of a plan: a closed set of words."""

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
    "over_budget",
    "max_cost",
    "unpriced",
]
