"""Kinds of work a caller can name, and what each needs. The user's own come first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from .errors import BadRequest
from .settings import Privacy, RuleSettings, Settings, TaskSettings, WhenSettings

if TYPE_CHECKING:
    from .candidates import Demand

SHIPPED: Mapping[str, TaskSettings] = {
    "agents": TaskSettings(needs=("tools",), strategy="best"),
    "analysis": TaskSettings(strategy="best"),
    "chat": TaskSettings(),
    "code": TaskSettings(strategy="best"),
    "complex_reasoning": TaskSettings(strategy="best"),
    "documentation": TaskSettings(strategy="balanced"),
    "embeddings": TaskSettings(needs=("embeddings",)),
    "private": TaskSettings(privacy="local"),
    "quick": TaskSettings(strategy="fastest"),
    "security": TaskSettings(strategy="best"),
    "summarization": TaskSettings(strategy="cheapest"),
    "testing": TaskSettings(strategy="balanced"),
}
ALIASES: Mapping[str, str] = {
    "code_generation": "code",
    "coding": "code",
    "complex": "complex_reasoning",
    "complex-reasoning": "complex_reasoning",
    "general": "chat",
    "private-data": "private",
    "quick-tasks": "quick",
}


def names(task: str) -> tuple[str, ...]:
    """The task under every name it goes by, the one that was said first."""
    known = ALIASES.get(task, task)
    aliases = [alias for alias, meant in ALIASES.items() if meant == known]
    return tuple(dict.fromkeys((task, known, *aliases)))


def profile(
    task: str | None, own: Mapping[str, TaskSettings], *, plain: bool = True
) -> TaskSettings:
    """What the task asks for. A user's task replaces a shipped one, except that a private task
    stays private. `plain`: the user ordered no providers, so that the order a shipped task prefers
    may count. Raises BadRequest for a name nobody knows, with those there are."""
    if not task:
        return TaskSettings()
    shipped = SHIPPED.get(ALIASES.get(task, task))
    mine = next((own[name] for name in names(task) if name in own), None)
    if mine is None and shipped is None:
        known = sorted({*SHIPPED, *own})
        near = get_close_matches(task, [*known, *ALIASES], n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise BadRequest(
            f"there is no task {task[:60]!r}", next_step=f"{hint}Known: {', '.join(known)}."
        )
    if mine is None or shipped is None:
        found = mine or shipped or TaskSettings()
        return found if plain or mine else found.model_copy(update={"strategy": None})
    if shipped.privacy == "local":
        return mine.model_copy(update={"privacy": "local"})
    return mine


def unordered(settings: Settings) -> bool:
    """Has the user said nothing of the order of providers?"""
    routing = settings.routing
    ranked = any(row.priority is not None for row in settings.providers.values())
    return not (ranked or routing.chain or "strategy" in routing.model_fields_set)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAlias:
    """What a word in place of a model's name means."""

    strategy: str | None = None
    privacy: Privacy = "any"


NO_ALIAS = ModelAlias()
MODEL_ALIASES: Mapping[str, ModelAlias] = {
    "best": ModelAlias(strategy="best"),
    "cheap": ModelAlias(strategy="cheapest"),
    "embed": NO_ALIAS,
    "fast": ModelAlias(strategy="fastest"),
    "local": ModelAlias(privacy="local"),
}


def rule_for(rules: Iterable[RuleSettings], demand: "Demand") -> RuleSettings | None:
    """The first rule that fits the shape of a call."""
    return next((rule for rule in rules if fits(rule.when, demand)), None)


def fits(when: WhenSettings, demand: "Demand") -> bool:
    tokens, most = demand.input_expected, when.max_input_tokens
    in_size = when.min_input_tokens <= tokens and (most is None or tokens <= most)
    return in_size and demand.needs >= set(when.needs)
