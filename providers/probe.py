"""Is a provider up, which models does it have, which are loaded; and dropping one from memory.

Only questions that cost nothing. An answer counts when its body can be read, not by its status.
Local programs are told apart by the row's `engine`.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

import anyio

from .catalog import Provider
from .errors import Garbled, Locked, Misdirected, Refused, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from .http import Http

TIMEOUT_S = 5.0
UNLOAD_S = 60.0
LOOKS = 50
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`key_accepted` is None where no key was tried or none is needed. `embedding` names the
    models that say they make embeddings."""

    reachable: bool
    key_accepted: bool | None = None
    models: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    detail: str = ""
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unloaded:
    unloaded: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    models: tuple[str, ...]
    loaded: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """Questions to one provider."""

    http: "Http"
    provider: Provider
    key: str | None
    timeout_s: float = TIMEOUT_S

    async def get(self, path: str) -> Any:
        return await self.http.fetch(self.provider, self.key, "GET", path, timeout_s=self.timeout_s)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self.http.fetch(
            self.provider, self.key, "POST", path, json=body, timeout_s=UNLOAD_S
        )

    def at_root(self) -> "Line":
        """The program's own interface stands beside its /v1."""
        parts = urlsplit(self.provider.base_url)
        path = parts.path.rstrip("/").removesuffix("/v1")
        root = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
        return replace(self, provider=replace(self.provider, base_url=root))


async def probe(
    http: "Http", provider: Provider, key: str | None, *, timeout_s: float = TIMEOUT_S
) -> Probe:
    """Never raises an UpstreamError: what went wrong is in `detail`."""
    line = Line(http, provider, key, timeout_s)
    started = time.monotonic()
    try:
        if provider.plugin is not None:
            said = await http.code.health(provider, key, timeout_s)
            return replace(said, latency_ms=ms(started))
        found = await INVENTORIES.get(provider.engine or "", listed_models)(line)
    except UpstreamError as error:
        return failed(error, key, ms(started))
    return Probe(
        reachable=True,
        key_accepted=True if key else None,
        models=found.models,
        loaded=found.loaded,
        embedding=found.embedding,
        detail=f"{len(found.models)} models",
        latency_ms=ms(started),
    )


def ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def failed(error: UpstreamError, key: str | None, latency_ms: int) -> Probe:
    """An error that came from the provider itself shows that it is there."""
    silent = isinstance(error, Unreachable | TimedOut | Garbled)
    return Probe(
        reachable=not silent,
        key_accepted=False if isinstance(error, Locked) and key else None,
        detail=error.detail,
        latency_ms=None if silent else latency_ms,
    )


def rows(body: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a list that stands under one of these names, or is the body itself."""
    found = body
    if isinstance(body, dict):
        tables = cast("dict[str, Any]", body)
        found = next((tables[name] for name in names if name in tables), None)
    for row in cast("list[Any]", found) if isinstance(found, list) else ():
        if isinstance(row, dict):
            yield cast("dict[str, Any]", row)


def inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def names(body: Any, provider: Provider) -> tuple[str, ...]:
    """The models of a list. Raises Garbled for an answer that holds no list."""
    if not (isinstance(body, list) or {"data", "models"} & set(body or ())):
        raise Garbled(provider.name, "it answered, but not with a list of models")
    found = (row.get("id") or row.get("name") for row in rows(body, "data", "models"))
    return tuple(dict.fromkeys(str(name) for name in found if name))


async def listed_models(line: Line) -> Inventory:
    body = await line.get(line.provider.models_path or "/models")
    return Inventory(models=names(body, line.provider))


async def ollama_models(line: Line) -> Inventory:
    root = line.at_root()
    tags = await root.get("/api/tags")
    running = await root.get("/api/ps")
    embedding = tuple(str(row["name"]) for row in rows(tags, "models") if embeds(row))
    return Inventory(
        models=names(tags, line.provider),
        loaded=names(running, line.provider),
        embedding=embedding,
    )


def embeds(row: Mapping[str, Any]) -> bool:
    """By its family: encoders only embed."""
    family = str(inner(row, "details").get("family", ""))
    return "bert" in family or "embed" in str(row.get("name", ""))


async def lmstudio_models(line: Line) -> Inventory:
    try:
        body = await line.at_root().get("/api/v1/models")
    except (Misdirected, Refused):
        return await listed_models(line)  # before 0.4.0 it had only /v1/models
    found = [row for row in rows(body, "models", "data") if row.get("key")]
    return Inventory(
        models=tuple(str(row["key"]) for row in found),
        loaded=tuple(str(row["key"]) for row in found if row.get("loaded_instances")),
        embedding=tuple(str(row["key"]) for row in found if row.get("type") == "embedding"),
    )


async def llamacpp_models(line: Line) -> Inventory:
    """One process serves one model, which is loaded; as a router it says which are."""
    body = await line.at_root().get("/v1/models")
    found = names(body, line.provider)
    states = {str(row.get("id")): status(row) for row in rows(body, "data")}
    loaded = tuple(name for name in found if states.get(name) in ("", "loaded"))
    return Inventory(models=found, loaded=loaded)


def status(row: Mapping[str, Any]) -> str:
    return str(inner(row, "status").get("value", ""))


INVENTORIES: Mapping[str, Callable[[Line], Awaitable[Inventory]]] = {
    "ollama": ollama_models,
    "lmstudio": lmstudio_models,
    "llamacpp": llamacpp_models,
}


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
