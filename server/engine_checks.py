"""What a section with `engine` must and must not say, and one of a program the user runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..providers import catalog
from .settings import ENGINE_KEYS, ProviderSettings, Settings

FOREIGN = ("like", "wire", "embed_wire", "base_url", "api_key", "key_env", "auth", "deployments")
PORT = "{port}"


def engine_problems(row: ProviderSettings) -> Iterator[tuple[str, str]]:
    """Each key with what is wrong with it."""
    given = row.model_fields_set
    if row.engine is None:
        for key in sorted(ENGINE_KEYS & given):
            meant = "; did you mean models?" if key == "model" else ""
            yield key, f"it is for engines that are started here, with engine{meant}"
        return
    for key in FOREIGN:
        if key in given:
            yield key, "an engine that is started here has no such key; remove it"
    if len(row.models) > 1:
        yield "models", "an engine has one model; write a section for each"
    yield from command_problems(row) if row.engine == "command" else model_problems(row)


def command_problems(row: ProviderSettings) -> Iterator[tuple[str, str]]:
    if not row.command:
        yield "command", "it is missing: the words that start the program"
    elif not any(PORT in word for word in (*row.command, *row.arguments)):
        yield "command", f"it must say where {PORT} goes"


def model_problems(row: ProviderSettings) -> Iterator[tuple[str, str]]:
    if not (row.model or "").strip():
        yield "model", "it is missing: a path, or a Hugging Face id"
    if row.command:
        yield "command", 'it is for engine = "command"'


def program_problems(name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Keys that only some local programs understand, with what is wrong with them elsewhere."""
    said, shipped = settings.providers[name], shipped_of(name, settings)
    each = (("keep_alive", "keep_alive_field"), ("allow_pull", "pulls"))
    for key, field in each:
        if getattr(said, key) is not None and not shipped.get(field):
            able = (n for n, row in catalog.shipped_rows().items() if row.get(field))
            yield key, f"it is for {' and '.join(able)}, and for what is like them"


def shipped_of(name: str, settings: Settings) -> Mapping[str, Any]:
    """The shipped row it comes from, if any."""
    said = settings.providers.get(name)
    if said is not None and said.like is not None:
        return shipped_of(said.like, settings)
    return catalog.shipped_rows().get(name, {})
