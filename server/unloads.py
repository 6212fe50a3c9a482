"""Giving the memory of local models back: what is meant, who still uses it, what became of it.

Nothing is unloaded before all of it may be: calls in flight, in whichever server, are waited for a
moment, then refused, or cancelled by force. What holds no memory of this machine is no error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread

from ..providers import probe, unloading
from ..providers.errors import UpstreamError
from ..providers.memory import gb
from . import following, holdings, processes
from .checks import loopback
from .desk import Desk
from .engines import unloading as ending
from .errors import NotFound
from .listed import Listed
from .listeners import pid_at
from .registry import expanded
from .tasks import MODEL_ALIASES
from .users import Users

SHOWN = 4
SEEN = 1_000_000  # bytes; less comes and goes by itself
LOCAL = "local"
HEALTH = "provider_health lists what is loaded."


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider; `*` where the provider holds none."""

    row: Listed
    model: str

    @property
    def provider(self) -> str:
        return self.row.provider.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one model. `pid` is the process that held it, `memory_before` and
    `memory_after` the bytes of that process and its children; `size` is what the program said the
    model took. None: nobody can tell."""

    provider: str
    model: str
    unloaded: bool
    detail: str
    pid: int | None = None
    memory_before: int | None = None
    memory_after: int | None = None
    size: int | None = None


async def unload(desk: Desk, model: str, provider: str | None, *, force: bool) -> list[Done]:
    """What became of each model that was meant. Raises NotFound and BadRequest."""
    following.follow(desk)
    await desk.registry.discover(desk.http)
    targets = await meant(desk, model if provider is None else within(provider, model))
    if not targets:
        return [Done(provider="", model="", unloaded=False, detail=f"no model is loaded. {HEALTH}")]
    local = [target for target in targets if target.row.provider.local]
    if not local:
        return [in_the_cloud(target) for target in targets]
    for target in local:
        users = Users(desk, target.provider, target.model)
        await (users.cancel() if force else users.wait())
    return [await drop(desk, target, force=force) for target in local]


def within(provider: str, model: str) -> str:
    """The model of this provider, written out; the provider alone stands for all it holds."""
    if model == provider or model.startswith((f"{provider}/", f"{provider}:")):
        return model
    return f"{provider}/{model}"


async def meant(desk: Desk, name: str) -> list[Target]:
    """The models behind a name: each once. Raises NotFound, with near names, for one that nobody
    has; what holds no model now has none."""
    registry, found = desk.registry, list[Target]()
    if name == LOCAL and name not in registry.aliases:
        return [Target(registry.rows[h.provider], h.model) for h in await holdings.held(desk)]
    for each in expanded(name, registry.aliases):
        head, rest = registry.split(each)
        if head is not None and not rest:
            found += await all_of(desk, registry.rows[head])
        else:
            found += one(desk, each)
    return list({(target.provider, target.model): target for target in found}.values())


def one(desk: Desk, name: str) -> list[Target]:
    """A model, at each local provider that has it, or else where it is."""
    if name in MODEL_ALIASES:
        raise NotFound(f"{name!r} is no model; it stands for whichever fits", next_step=HEALTH)
    pairs = [Target(row, model) for row, model in desk.registry.resolve(name)]
    return [target for target in pairs if target.row.provider.local] or pairs[:1]


async def all_of(desk: Desk, row: Listed) -> list[Target]:
    """Everything a provider holds now."""
    if not row.provider.local:
        return [Target(row, "*")]
    if row.provider.setup is not None:
        return [Target(row, row.provider.setup.alias)]
    key = row.key.value if row.key else None
    found = await probe.probe(desk.http, row.provider, key)
    return [Target(row, each.model) for each in found.resident] or [Target(row, "*")]


def in_the_cloud(target: Target) -> Done:
    detail = f"{target.provider} runs in the cloud; there is no memory of yours to free"
    return Done(provider=target.provider, model=target.model, unloaded=False, detail=detail)


async def drop(desk: Desk, target: Target, *, force: bool) -> Done:
    """Has the program drop the model, and looks at its memory before and after."""
    row, model = target.row, target.model
    if row.provider.setup is not None:
        ended = await ending.unload(desk, target.provider, force=force)
        return Done(
            provider=target.provider,
            model=model,
            unloaded=ended.unloaded,
            detail=ended.detail,
            pid=ended.pid,
            memory_before=ended.memory_before,
            memory_after=ended.memory_after,
        )
    if model == "*":
        return idle(target)
    pid, before = await anyio.to_thread.run_sync(holder, row)
    try:
        done = await unloading.unload(
            desk.http, row.provider, desk.registry.key_of(row.provider), model
        )
    except UpstreamError as error:
        hint = f"; {row.provider.start_hint}" if row.provider.start_hint else ""
        detail = f"{target.provider} does not answer: {error.detail}{hint}"
        return Done(provider=target.provider, model=model, unloaded=False, detail=detail)
    desk.registry.asked_at.pop(target.provider, None)  # what it holds has changed
    after = None
    if done.unloaded and pid is not None:
        after = await anyio.to_thread.run_sync(processes.tree_memory, pid)
    return Done(
        provider=target.provider,
        model=model,
        unloaded=done.unloaded,
        detail=done.detail + ("" if done.unloaded else near(row, model)),
        pid=pid,
        memory_before=before,
        memory_after=after,
        size=done.size,
    )


def idle(target: Target) -> Done:
    reason, detail = target.row.absent()
    why = f"{target.provider} {detail}" if reason else f"{target.provider} holds no model now"
    return Done(provider=target.provider, model="", unloaded=False, detail=why)


def near(row: Listed, model: str) -> str:
    """Which model may have been meant, if this one is not there at all."""
    if row.named(model) is not None:
        return ""
    close = get_close_matches(model, row.models, 1)
    return f"; did you mean {row.provider.name}/{close[0]}?" if close else ""


def holder(row: Listed) -> tuple[int | None, int | None]:
    """The process of this machine that serves the provider, and its memory in bytes."""
    url = urlsplit(row.provider.base_url)
    if url.scheme == "mock" or url.port is None or not loopback(url.hostname or ""):
        return None, None
    pid = pid_at(url.port)
    return pid, None if pid is None else processes.tree_memory(pid)


def as_data(done: Sequence[Done]) -> dict[str, Any]:
    """The first one's words and, of several or where there is more to say, each."""
    first = next((each for each in done if each.unloaded), done[0])
    return {
        "unloaded": any(each.unloaded for each in done),
        "detail": words(done),
        "provider": first.provider,
        "model": first.model,
        "models": [known(each) for each in done],
    }


def known(done: Done) -> Mapping[str, Any]:
    said = {
        "provider": done.provider,
        "model": done.model,
        "unloaded": done.unloaded,
        "pid": done.pid,
        "memory_before": done.memory_before,
        "memory_after": done.memory_after,
        "reported_size": done.size,
    }
    return {name: value for name, value in said.items() if value is not None}


def words(done: Sequence[Done]) -> str:
    return "; ".join(sentence(each) for each in done[:SHOWN]) + (
        f"; and {len(done) - SHOWN} more" if len(done) > SHOWN else ""
    )


def sentence(done: Done) -> str:
    """With what the process gave back, where that was the one that held the model."""
    before, after = done.memory_before or 0, done.memory_after or 0
    if not done.unloaded or done.size is not None or before - after < SEEN:
        return done.detail
    if f"process {done.pid}" in done.detail:
        return done.detail
    return f"{done.detail}; process {done.pid} held {gb(before)}, and holds {gb(after)} now"
