"""Is a provider up, which models does it have, which are loaded.

Only questions that cost nothing. An answer counts when its body can be read, not by its status.
Local programs are told apart by the row's `engine`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

from .catalog import Provider, shipped_rows
from .errors import Garbled, Locked, Misdirected, Refused, TimedOut, Unreachable, UpstreamError
from .listings import inner, rows
from .residents import Resident, of_llamacpp, of_lmstudio, of_ollama, sizes

if TYPE_CHECKING:
    from .http import Http
    from .setup import Setup

TIMEOUT_S = 5.0
UNLOAD_S = 60.0
METHODS = "supportedGenerationMethods"
LISTS = ("data", "models", "modelSummaries")
MLX_STARTED_WITH = "default_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`key_accepted` is None where no key was tried or none is needed. `embedding` names the
    models that say they make embeddings. `resident` is what is said of the loaded ones, `weights`
    the bytes all of them have on disk. `understood`: it answered the question, and not something
    else."""

    reachable: bool
    key_accepted: bool | None = None
    models: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    resident: tuple[Resident, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    detail: str = ""
    latency_ms: int | None = None
    understood: bool = True

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """The loaded models with the bytes they take, where that is known or can be told from
        their weights."""
        found = ((r.model, r.size or self.weights.get(r.model)) for r in self.resident)
        return tuple((model, size) for model, size in found if size is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`listed`: false where the service lists no models, and only took the key."""

    models: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    listed: bool = True
    resident: tuple[Resident, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Line:
    """Questions to one provider."""

    http: "Http"
    provider: Provider
    key: str | None
    timeout_s: float = TIMEOUT_S
    local_only: bool = False

    async def get(self, path: str) -> Any:
        return await self.ask("GET", path, None, self.timeout_s)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float = UNLOAD_S) -> Any:
        return await self.ask("POST", path, body, timeout_s)

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float
    ) -> Any:
        return await self.http.fetch(
            self.provider,
            self.key,
            method,
            path,
            json=body,
            timeout_s=timeout_s,
            local_only=self.local_only,
        )

    @property
    def unnamed(self) -> bool:
        """Is this the address the row ships? Other programs use the same ports."""
        return shipped_rows().get(self.provider.name, {}).get("base_url") == self.provider.base_url

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
    if provider.setup is not None:
        return startable(provider.setup)
    line = Line(http, provider, key, timeout_s)
    started = time.monotonic()
    if not (provider.models_path or provider.key_path or provider.engine or provider.plugin):
        return await reached(line, started)
    try:
        if provider.plugin is not None:
            said = await http.code.health(provider, key, timeout_s)
            return replace(said, latency_ms=ms(started))
        found = await INVENTORIES.get(provider.engine or "", listed_models)(line)
    except UpstreamError as error:
        return failed(error, key, ms(started))
    return Probe(
        reachable=True,
        key_accepted=True if key and not provider.models_public else None,
        models=found.models,
        loaded=found.loaded,
        embedding=found.embedding,
        resident=found.resident or tuple(Resident(model=name) for name in found.loaded),
        weights=found.weights,
        detail=f"{len(found.models)} models" if found.listed else "it has no list of models",
        latency_ms=ms(started),
    )


def startable(setup: "Setup") -> Probe:
    """An engine of ours runs only while it is used; can it be started?"""
    from . import engines

    models = (setup.alias,)
    try:
        engines.check_installed(setup)
    except engines.Unusable as unusable:
        return Probe(reachable=False, models=models, detail=str(unusable))
    return Probe(reachable=True, models=models, detail="started when it is needed")


async def reached(line: Line, started: float) -> Probe:
    """Of a service without any free question: is it there? Every answer shows that, so the key
    stays at home."""
    keyless = replace(line.provider, key_required=False)
    try:
        await replace(line, provider=keyless, key=None).get("")
    except Garbled:
        pass
    except UpstreamError as error:
        if error.status is None:
            return Probe(reachable=False, detail=error.detail)
    detail = "nothing free tests the key; it answers"
    return Probe(reachable=True, detail=detail, latency_ms=ms(started))


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
        understood=False,
    )


def names(body: Any, provider: Provider) -> tuple[str, ...]:
    """The models of a list. Raises Garbled for an answer that holds no list."""
    if not (isinstance(body, list) or {*LISTS} & set(body or ())):
        raise Garbled(provider.name, "it answered, but not with a list of models")
    found = map(listed_name, rows(body, *LISTS))
    return tuple(dict.fromkeys(name for name in found if name))


def listed_name(row: Mapping[str, Any]) -> str:
    """Google lists its models by their paths, with what each can do."""
    name = str(row.get("id") or row.get("modelId") or row.get("name") or "")
    return name.removeprefix("models/") if METHODS in row else name


async def listed_models(line: Line) -> Inventory:
    row = line.provider
    if row.models_base is not None:
        line = replace(line, provider=replace(row, base_url=row.models_base))
    if row.key_path and not row.models_path:
        await line.get(row.key_path)
        return Inventory(listed=False)
    body = await line.get(row.models_path or "/models")
    found = names(body, line.provider)
    embedding = tuple(
        listed_name(row)
        for row in rows(body, *LISTS)
        if is_for(row, "endpoints", "embed") or is_for(row, METHODS, "embedContent")
    )
    return Inventory(models=found, embedding=embedding)


def is_for(row: Mapping[str, Any], field: str, purpose: str) -> bool:
    purposes = row.get(field)
    return isinstance(purposes, list) and purpose in purposes


async def ollama_models(line: Line) -> Inventory:
    root = line.at_root()
    tags = await root.get("/api/tags")
    running = await root.get("/api/ps")
    embedding = tuple(str(row["name"]) for row in rows(tags, "models") if embeds(row))
    return Inventory(
        models=names(tags, line.provider),
        loaded=names(running, line.provider),
        embedding=embedding,
        resident=of_ollama(running, time.time()),
        weights=sizes(tags, "name", "size"),
    )


def embeds(row: Mapping[str, Any]) -> bool:
    """By its family: encoders only embed."""
    family = str(inner(row, "details").get("family", ""))
    return "bert" in family or "embed" in str(row.get("name", ""))


async def lmstudio_list(line: Line) -> dict[str, Any] | None:
    """Its own list of models; None where it is too old to have one."""
    try:
        body = await line.get("/api/v1/models")
    except (Misdirected, Refused):
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) and "models" in body else None


async def lmstudio_models(line: Line) -> Inventory:
    """Before 0.4.0 it had only /v1/models, and said so with a status of success."""
    body = await lmstudio_list(line.at_root())
    if body is None:
        return await listed_models(line)
    found = [row for row in rows(body, "models", "data") if row.get("key")]
    return Inventory(
        models=tuple(str(row["key"]) for row in found),
        loaded=tuple(str(row["key"]) for row in found if row.get("loaded_instances")),
        embedding=tuple(str(row["key"]) for row in found if row.get("type") == "embedding"),
        resident=of_lmstudio(body),
        weights=sizes(body, "key", "size_bytes"),
    )


def recognised(line: Line, body: Any, owner: str | None) -> None:
    """Raises Unreachable where the list at a shared port is another program's. At an address the
    user named, what answers is what they meant."""
    owners = {row.get("owned_by") for row in rows(body, "data")}
    if line.unnamed and owners and owners != {owner}:
        raise another(line)


def another(line: Line) -> Unreachable:
    return Unreachable(line.provider.name, f"another program answers at {line.provider.base_url}")


async def vllm_models(line: Line) -> Inventory:
    body = await line.get("/models")
    recognised(line, body, "vllm")
    found = names(body, line.provider)
    return Inventory(models=found, loaded=found)


async def mlx_models(line: Line) -> Inventory:
    """First the model it was started with; the others, which it found on the disk, would take that
    one's place. Where nothing was ever downloaded, its list is an empty body."""
    root = line.at_root()
    health = await root.get("/health")
    if not isinstance(health, dict) or "status" not in health:
        raise another(line)
    try:
        body = await root.get("/v1/models")
    except Garbled:
        body = None
    recognised(line, body, None)
    found = names(body, line.provider) if body else ()
    return Inventory(models=(MLX_STARTED_WITH, *found), loaded=(MLX_STARTED_WITH,))


async def transformers_models(line: Line) -> Inventory:
    """Its list names no program, its description of itself does."""
    if line.unnamed:
        described = await line.at_root().get("/openapi.json")
        if "/load_model" not in inner(described, "paths"):
            raise another(line)
    return await listed_models(line)


async def llamacpp_models(line: Line) -> Inventory:
    """One process serves one model, which is loaded; as a router it says which are."""
    body = await line.at_root().get("/v1/models")
    recognised(line, body, "llamacpp")
    resident = of_llamacpp(body)
    loaded = tuple(each.model for each in resident)
    return Inventory(models=names(body, line.provider), loaded=loaded, resident=resident)


INVENTORIES: Mapping[str, Callable[[Line], Awaitable[Inventory]]] = {
    "ollama": ollama_models,
    "lmstudio": lmstudio_models,
    "llamacpp": llamacpp_models,
    "mlx": mlx_models,
    "transformers": transformers_models,
    "vllm": vllm_models,
}
