"""Giving the memory of local models back: what is meant, who still uses it, what became of it.

Nothing is unloaded before all of it may be: calls in flight, in whichever server, are waited for a
moment, then refused, or cancelled by force. What holds no memory of this machine is no error.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ..providers import probe, unloading
from ..providers.errors import UpstreamError
from ..providers.memory import gb
from . import following, holdings, processes
from .checks import loopback
from .desk import Desk
from .engines import unloading as ending
from .errors import BadRequest, NotFound
from .ledger import control_rows, lately, owners
from .ledger.driver import Connection
from .ledger.lately import RunningCall
from .listed import Listed
from .listeners import pid_at
from .registry import expanded
from .tasks import MODEL_ALIASES

PATIENCE_S = 1.0
CANCEL_S = 5.0
LOOK_S = 0.05
SHOWN = 4
SEEN = 1_000_000  # bytes; less comes and goes by itself
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider; `*` where the provider holds none."""

    row: Listed
    model: str

    @property
    def provider(self) -> str:
        return self.row.provider.name

    @property
    def name(self) -> str:
        return self.provider if self.model == "*" else f"{self.provider}/{self.model}"


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
    busy = [target for target in local if await in_use(desk, target)]
    for target in busy:
        await (cancelled(desk, target) if force else awaited(desk, target))
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


HEALTH = "provider_health lists what is loaded."


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


async def in_use(desk: Desk, target: Target) -> list[RunningCall]:
    """The calls in flight at the model, in every server: ours also before the ledger knows."""
    alive = partial(owners.alive, desk.ledger.run_dir)
    names = holdings.names_of(target.model)
    noted = await desk.ledger.read(partial(lately.running, alive=alive), target.provider)
    others = [c for c in noted if c.server != desk.server_id and c.model in names]
    here = [
        RunningCall(
            call_id=run.call_id,
            server=desk.server_id,
            client=run.client.name,
            model=target.model,
        )
        for run in desk.calls.shelf.running()
        if any(run.uses(target.provider, name) for name in names)
    ]
    return [*here, *others]


async def awaited(desk: Desk, target: Target) -> None:
    """Waits a moment for the calls. Raises BadRequest where some go on."""
    users = await remaining(desk, target, PATIENCE_S)
    if users:
        raise BadRequest(
            f"{target.name} is still in use ({by_whom(desk, users)})",
            next_step="Wait until it is free, or pass force=true to cancel them.",
        )


async def remaining(
    desk: Desk, target: Target, patience_s: float, among: set[str] | None = None
) -> list[RunningCall]:
    """The calls that still run after this time, of `among` only, if that is given."""
    users: list[RunningCall] = []
    for look in range(round(patience_s / LOOK_S)):
        if look:
            await anyio.sleep(LOOK_S)
        found = await in_use(desk, target)
        users = [each for each in found if among is None or each.call_id in among]
        if not users:
            break
    return users


def by_whom(desk: Desk, users: Sequence[RunningCall]) -> str:
    elsewhere = [each for each in users if each.server != desk.server_id]
    count = f"calls running: {len(users)}"
    if not elsewhere:
        return count
    clients = ", ".join(dict.fromkeys(each.client for each in users))
    return f"{count}, {len(elsewhere)} of them in other servers; clients: {clients}"


async def cancelled(desk: Desk, target: Target) -> None:
    """Cancels the calls in this server, and has the other servers cancel theirs. Raises BadRequest
    where one goes on all the same."""
    users = await in_use(desk, target)
    for each in users:
        run = desk.calls.shelf.find(each.call_id)
        if run is not None and each.server == desk.server_id:
            await desk.calls.stop(run)
        else:
            await desk.ledger.write(ask_to_cancel, desk, each)
    rest = await remaining(desk, target, CANCEL_S, {each.call_id for each in users})
    if rest:
        raise BadRequest(
            f"{target.name} is still in use: {len(rest)} calls did not end within {CANCEL_S:g} s",
            next_step="Their servers may be stuck; end those editors, then try again.",
        )


def ask_to_cancel(db: Connection, desk: Desk, call: RunningCall) -> None:
    control_rows.ask(
        db,
        by=f"unload_model ({desk.server_id[-6:]})",
        kind="cancel",
        target=call.server,
        argument=json.dumps({"call_id": call.call_id}),
        now=desk.clock(),
    )


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
