"""Dropping a model from the memory of a local program, where the program can.

Programs do this in the background: each is looked at until the model is gone. What is gone before
we come is no error.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from .catalog import Provider
from .errors import Misdirected, Refused, UpstreamError
from .listings import rows
from .memory import gb
from .probe import Line, lmstudio_list
from .residents import Resident, of_lmstudio, of_ollama, state

if TYPE_CHECKING:
    from .http import Http

LOOKS = 50
LOOK_EVERY_S = 0.1
NEVER = 0.0  # the clock matters only for when a model would be dropped by itself
KEPT = ("loaded", "loading", "sleeping")  # states of a router's model that has a process


@dataclass(frozen=True, slots=True)
class Unloaded:
    """What became of it; `size` is the bytes the program said the model took."""

    unloaded: bool
    detail: str
    size: int | None = None


async def unload(http: "Http", provider: Provider, key: str | None, model: str) -> Unloaded:
    """Asks the program to drop the model. Raises UpstreamError where it does not answer."""
    line = Line(http, provider, key).at_root()
    drop = UNLOADERS.get(provider.engine or "")
    if drop is None:
        return Unloaded(
            False,
            f"{provider.name} has no way to unload a model; end the program to free its memory",
        )
    return await drop(line, model)


async def gone(line: Line, model: str, loaded: Callable[[Line], Awaitable[Sequence[str]]]) -> bool:
    """Looks until the model is no longer among those loaded; False where that takes too long."""
    for _ in range(LOOKS):
        if model not in await loaded(line):
            return True
        await anyio.sleep(LOOK_EVERY_S)
    return False


def still_there(line: Line, model: str, complaint: UpstreamError | None = None) -> Unloaded:
    why = f": {complaint.detail}" if complaint else ""
    busy = "" if complaint else "; it drops a model when the requests it is answering are done"
    return Unloaded(False, f"{line.provider.name} still keeps {model}{why}{busy}")


def dropped(line: Line, model: str, size: int | None = None, note: str = "") -> Unloaded:
    freed = f", freeing {gb(size)}" if size else ""
    return Unloaded(True, f"{model}{note} was unloaded from {line.provider.name}{freed}", size)


def not_loaded(line: Line, model: str, loaded: Sequence[str]) -> Unloaded:
    there = ", ".join(loaded) or "nothing"
    return Unloaded(False, f"{model} is not loaded in {line.provider.name} (loaded: {there})")


async def ollama_running(line: Line) -> Mapping[str, Resident]:
    return {each.model: each for each in of_ollama(await line.get("/api/ps"), NEVER)}


async def ollama_loaded(line: Line) -> Sequence[str]:
    return list(await ollama_running(line))


async def ollama_unload(line: Line, model: str) -> Unloaded:
    """By an empty prompt that is to keep it for no time."""
    running = await ollama_running(line)
    name = next((n for n in (model, f"{model}:latest") if n in running), None)
    if name is None:
        return not_loaded(line, model, list(running))
    complaint = None
    try:
        await line.post(
            "/api/generate", {"model": name, "prompt": "", "keep_alive": 0, "stream": False}
        )
    except Refused:  # a model that only embeds
        complaint = await refused(line, "/api/embed", {"model": name, "input": "", "keep_alive": 0})
    if complaint is not None or not await gone(line, name, ollama_loaded):
        return still_there(line, name, complaint)
    return dropped(line, name, running[name].size)


async def refused(line: Line, path: str, body: Mapping[str, object]) -> UpstreamError | None:
    """What the program has against it, if anything."""
    try:
        await line.post(path, body)
    except (Refused, Misdirected) as error:
        return error
    return None


async def lmstudio_instances(line: Line) -> Mapping[str, Sequence[str]] | None:
    """The names under which each loaded model is loaded; None of a program that is too old."""
    body = await lmstudio_list(line)
    if body is None:
        return None
    return {each.model: each.instances for each in of_lmstudio(body)}


async def lmstudio_names(line: Line) -> Sequence[str]:
    found = await lmstudio_instances(line) or {}
    return [name for names in found.values() for name in names]


async def lmstudio_unload(line: Line, model: str) -> Unloaded:
    """By instance: one model may be loaded several times, each under a name of its own."""
    instances = await lmstudio_instances(line)
    if instances is None:
        return Unloaded(
            False,
            f"{line.provider.name} unloads on request since LM Studio 0.4.0; update it, or run "
            f"`lms unload {model}`",
        )
    mine = instances.get(model) or [n for names in instances.values() for n in names if n == model]
    if not mine:
        return not_loaded(line, model, list(instances))
    for name in mine:
        complaint = await refused(line, "/api/v1/models/unload", {"instance_id": name})
        if complaint is not None and name in await lmstudio_names(line):
            return still_there(line, name, complaint)
        if not await gone(line, name, lmstudio_names):
            return still_there(line, name)
    return dropped(line, model, note=f" ({len(mine)} instances)" if len(mine) > 1 else "")


async def router_states(line: Line) -> Mapping[str, str]:
    listed = await line.get("/v1/models")
    return {str(row.get("id")): state(row) for row in rows(listed, "data")}


async def router_loaded(line: Line) -> Sequence[str]:
    return [name for name, said in (await router_states(line)).items() if said in KEPT]


async def llamacpp_unload(line: Line, model: str) -> Unloaded:
    """Only a router can; a single server keeps its model as long as it lives."""
    states = await router_states(line)
    if not any(states.values()):
        return Unloaded(
            False,
            f"{line.provider.name} serves one model as long as it runs; stop the program to free "
            "its memory",
        )
    loaded = [name for name, said in states.items() if said in KEPT]
    if model not in loaded:
        return not_loaded(line, model, loaded)
    complaint = await refused(line, "/models/unload", {"model": model})
    if complaint is not None and model in (loaded := await router_loaded(line)):
        return still_there(line, model, complaint)
    if complaint is not None:
        return not_loaded(line, model, loaded)  # it ended between our looking and our asking
    if not await gone(line, model, router_loaded):
        return still_there(line, model)
    return dropped(line, model)


UNLOADERS: Mapping[str, Callable[[Line, str], Awaitable[Unloaded]]] = {
    "ollama": ollama_unload,
    "lmstudio": lmstudio_unload,
    "llamacpp": llamacpp_unload,
}
