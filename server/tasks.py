"""Kinds of work a caller can name, and what each needs. The user's own come first."""

from collections.abc import Mapping
from difflib import get_close_matches

from .errors import BadRequest
from .settings import TaskSettings

SHIPPED: Mapping[str, TaskSettings] = {
    "agents": TaskSettings(needs=("tools",)),
    "analysis": TaskSettings(),
    "chat": TaskSettings(),
    "code": TaskSettings(),
    "complex_reasoning": TaskSettings(),
    "documentation": TaskSettings(),
    "embeddings": TaskSettings(needs=("embeddings",)),
    "private": TaskSettings(privacy="local"),
    "quick": TaskSettings(),
    "security": TaskSettings(),
    "summarization": TaskSettings(),
    "testing": TaskSettings(),
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


def profile(task: str | None, own: Mapping[str, TaskSettings]) -> TaskSettings:
    """What the task asks for. A user's task replaces a shipped one, except that a private task
    stays private. Raises BadRequest for a name nobody knows, with those there are."""
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
        return mine or shipped or TaskSettings()
    if shipped.privacy == "local":
        return mine.model_copy(update={"privacy": "local"})
    return mine
