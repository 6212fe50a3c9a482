"""Dropping a model from the memory of a local program, where the program can."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from .catalog import Provider
from .errors import Refused
from .listings import rows
from .probe import Line
from .residents import state as status

if TYPE_CHECKING:
    from .http import Http

LOOKS = 50
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Unloaded:
    unloaded: bool
    detail: str


async def unload(http: "Http", provider: Provider, key: str | None, model: str) -> Unloaded:
    """Asks the program to drop the model. Raises UpstreamError where it does not answer."""
    line = Line(http, provider, key).at_root()
    drop = UNLOADERS.get(provider.engine or "")
    if drop is None:
        return Unloaded(False, f"{provider.name} has no way to unload a model; stop it instead")
    return await drop(line, model)


async def gone(line: Line, model: str, loaded: Callable[[Line], Awaitable[Sequence[str]]]) -> bool:
    """Looks until the model is no longer among those loaded; False where that takes too long."""
    for _ in range(LOOKS):
        if model not in await loaded(line):
            return True
        await anyio.sleep(LOOK_EVERY_S)
    return False


async def ollama_loaded(line: Line) -> Sequence[str]:
    return [str(row.get("name")) for row in rows(await line.get("/api/ps"), "models")]


async def ollama_unload(line: Line, model: str) -> Unloaded:
    running = {str(r.get("name")): r for r in rows(await line.get("/api/ps"), "models")}
    name = next((n for n in (model, f"{model}:latest") if n in running), None)
    if name is None:
        return not_loaded(line, model, list(running))
    try:
        await line.post(
            "/api/generate", {"model": name, "prompt": "", "keep_alive": 0, "stream": False}
        )
    except Refused:  # a model that only embeds
        await line.post("/api/embed", {"model": name, "input": "", "keep_alive": 0})
    if not await gone(line, name, ollama_loaded):
        return Unloaded(False, f"{line.provider.name} still keeps {name}")
    size = running[name].get("size")
    freed = f", freeing {size / 1e9:.1f} GB" if isinstance(size, int) else ""
    return Unloaded(True, f"{name} was unloaded from {line.provider.name}{freed}")


async def lmstudio_unload(line: Line, model: str) -> Unloaded:
    """By instance: one model may be loaded several times."""
    found = list(rows(await line.get("/api/v1/models"), "models", "data"))
    instances = {
        str(row.get("key")): [str(i["id"]) for i in rows(row, "loaded_instances") if "id" in i]
        for row in found
    }
    mine = instances.get(model, [])
    if not mine:
        return not_loaded(line, model, [key for key, ids in instances.items() if ids])
    for instance in mine:
        await line.post("/api/v1/models/unload", {"instance_id": instance})
    several = f" ({len(mine)} instances)" if len(mine) > 1 else ""
    return Unloaded(True, f"{model}{several} was unloaded from {line.provider.name}")


async def llamacpp_loaded(line: Line) -> Sequence[str]:
    body = await line.get("/models")
    return [str(row.get("id")) for row in rows(body, "data") if status(row) == "loaded"]


async def llamacpp_unload(line: Line, model: str) -> Unloaded:
    """Only a router can; a single server keeps its model as long as it lives."""
    states = {str(r.get("id")): status(r) for r in rows(await line.get("/v1/models"), "data")}
    if not any(states.values()):
        return Unloaded(
            False,
            f"{line.provider.name} serves one model as long as it runs; stop the program to free "
            "its memory",
        )
    loaded = [name for name, state in states.items() if state == "loaded"]
    if model not in loaded:
        return not_loaded(line, model, loaded)
    await line.post("/models/unload", {"model": model})
    if not await gone(line, model, llamacpp_loaded):
        return Unloaded(False, f"{line.provider.name} still keeps {model}")
    return Unloaded(True, f"{model} was unloaded from {line.provider.name}")


def not_loaded(line: Line, model: str, loaded: Sequence[str]) -> Unloaded:
    there = ", ".join(loaded) or "nothing"
    return Unloaded(False, f"{model} is not loaded in {line.provider.name} (loaded: {there})")


UNLOADERS: Mapping[str, Callable[[Line, str], Awaitable[Unloaded]]] = {
    "ollama": ollama_unload,
    "lmstudio": lmstudio_unload,
    "llamacpp": llamacpp_unload,
}
