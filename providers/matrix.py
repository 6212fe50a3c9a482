"""What providers can do, in columns, and what is particular about them, in words."""

from collections.abc import Mapping
from typing import Literal

from .catalog import Provider

Can = Literal["yes", "some", "no"]

# capability -> heading of its column, in the order people ask for them
COLUMNS: Mapping[str, str] = {
    "chat": "chat",
    "streaming": "streaming",
    "embeddings": "embeddings",
    "tools": "function calling",
    "vision": "vision",
    "json": "JSON mode",
    "reasoning": "reasoning",
    "fine_tuning": "fine-tuning",
    "offline": "offline",
}
QUIRKS: Mapping[str, str] = {
    "bad_key_is_400": "answers 400 to a key it does not know, told apart by its words",
    "cache_points": "long system prompts are marked for its cache",
    "client_faults_are_500": "answers 500 to mistakes of the caller; these open no circuit",
    "closed_schemas": "takes only schemas that forbid additional properties; others go in words",
    "json_object": "knows JSON mode, no schema: that is asked for in words, the answer is checked",
    "listed_models_only": "is asked for the models it lists alone; another name starts a download",
    "nine_character_ids": "takes tool call ids of nine letters and digits; others are rewritten",
    "no_memory_is_500": "answers 500 where a model does not fit in memory, told by its words",
    "no_forced_tools": "cannot be made to call a tool; an answer's warnings say so",
    "no_strict": "takes no `strict` beside a schema",
    "reasoning_object": "takes the effort in an object of its own",
    "unpaid_is_412": "answers 412 when the account has no money left",
}


def cells(row: Provider) -> Mapping[str, Can]:
    """Every capability in the order of the columns: `yes` for what the row says of its models in
    general, `some` for what it says of single ones alone."""
    return {capability: can(row, capability) for capability in COLUMNS}


def can(row: Provider, capability: str) -> Can:
    if capability in row.capabilities:
        return "yes"
    return "some" if any(getattr(facts, capability, None) for facts in row.models) else "no"


def quirks(row: Provider) -> tuple[str, ...]:
    """What the row's quirks mean, in the order of their names."""
    return tuple(QUIRKS.get(quirk, quirk.replace("_", " ")) for quirk in sorted(row.quirks))


def wires(row: Provider) -> tuple[str, ...]:
    """The protocols its chat models are spoken to in; that of most models first."""
    named = (row.wire, *(facts.wire for facts in row.models))
    return tuple(dict.fromkeys(filter(None, named)))
