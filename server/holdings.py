"""The models in the memory of this machine: in programs the user runs, and in engines of ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from ..providers import probe
from ..providers.memory import Held, gb
from ..providers.probe import Probe
from ..providers.residents import Resident
from . import results
from .desk import Desk
from .engines.loaded import Loaded, loaded
from .ledger import lately, owners
from .ledger.driver import Connection
from .ledger.lately import RunningCall, Usage
from .listed import LATEST, Listed
from .moments import duration

LATELY_S = 3600.0
LOOK_BACK_S = 7 * 86_400.0
PROBE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A loaded model. `size` is in bytes: what its program reports, or what our engine's processes
    hold; `idle_s` is since the last call of ours, 0 during one; `users` are the clients that used
    it within the hour, each with its server; `expires` is when it goes if nobody uses it, in epoch
    seconds. None: not known."""

    provider: str
    model: str
    size: int | None = None
    context: int | None = None
    idle_s: float | None = None
    expires: float | None = None
    users: tuple[tuple[str, str], ...] = ()
    instances: tuple[str, ...] = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Uses:
    """What the ledger knows of the use of local models."""

    usage: Sequence[Usage]
    running: Mapping[str, Sequence[RunningCall]]
    now: float

    def of(
        self, provider: str, names: set[str]
    ) -> tuple[float | None, tuple[tuple[str, str], ...]]:
        """Seconds since the last call of ours, and who made those of the last hour."""
        now = [c for c in self.running.get(provider, ()) if c.model in names]
        past = [u for u in self.usage if u.provider == provider and u.model in names]
        recent = [(u.client, u.server) for u in past if self.now - u.last <= LATELY_S]
        users = dict.fromkeys([*((c.client, c.server) for c in now), *recent])
        if now:
            return 0.0, tuple(users)
        last = max((u.last for u in past), default=None)
        return (None if last is None else max(0.0, self.now - last)), tuple(users)


def may_hold(row: Listed) -> bool:
    """Is it a local program that could have a model loaded, not ours?"""
    provider = row.provider
    return row.enabled and provider.local and not provider.by_name_only and not provider.setup


async def held(desk: Desk, only: str | None = None) -> list[Holding]:
    """Every loaded model, asked for now; of the provider `only`, if one is named."""
    rows = [row for row in desk.registry.listed() if only in (None, row.provider.name)]
    probes: dict[str, Probe] = {}

    async def ask(row: Listed) -> None:
        key = row.key.value if row.key else None
        found = await probe.probe(desk.http, row.provider, key, timeout_s=PROBE_S)
        probes[row.provider.name] = found

    async with anyio.create_task_group() as group:
        for row in filter(may_hold, rows):
            group.start_soon(ask, row)
    return await described(desk, rows, probes)


async def described(
    desk: Desk, rows: Iterable[Listed], probes: Mapping[str, Probe]
) -> list[Holding]:
    """The loaded models of these providers, with what the ledger knows of their use. Programs are
    those that `probes` are of; our engines are known without one."""
    rows = list(rows)
    engines = {e.provider: e for e in await loaded(desk)} if any_engine(rows) else {}
    names = [row.provider.name for row in rows]
    uses = await desk.ledger.read(uses_of, desk, names)
    found: list[Holding] = []
    for row in rows:
        name = row.provider.name
        if name in engines:
            found.append(of_engine(engines[name], uses))
        elif name in probes:
            found += [of_program(name, each, uses) for each in probes[name].resident]
    return found


def any_engine(rows: Sequence[Listed]) -> bool:
    return any(row.provider.setup is not None for row in rows)


def uses_of(db: Connection, desk: Desk, names: Sequence[str]) -> Uses:
    now, alive = desk.clock(), partial(owners.alive, desk.ledger.run_dir)
    running = {name: lately.running(db, name, alive=alive) for name in names}
    return Uses(lately.usage(db, now - LOOK_BACK_S), running, now)


def of_program(provider: str, resident: Resident, uses: Uses) -> Holding:
    names = names_of(resident.model) | set(resident.instances)
    idle_s, users = uses.of(provider, names)
    several = resident.instances if resident.instances != (resident.model,) else ()
    return Holding(
        provider=provider,
        model=resident.model,
        size=resident.size,
        context=resident.context,
        idle_s=idle_s,
        expires=resident.expires,
        users=users,
        instances=several,
    )


def of_engine(engine: Loaded, uses: Uses) -> Holding:
    _, users = uses.of(engine.provider, names_of(engine.model))
    return Holding(
        provider=engine.provider,
        model=engine.model,
        size=engine.memory,
        idle_s=engine.idle_s,
        expires=uses.now + max(0.0, engine.stops_after_s - engine.idle_s),
        users=users,
        pid=engine.pid,
    )


def names_of(model: str) -> set[str]:
    """A model as it may have been named: local programs add `:latest`."""
    return {model, model.removesuffix(LATEST), model + LATEST}


async def freeable(desk: Desk) -> list[Held]:
    """What could be unloaded to make room, as far as it was lately seen."""
    found = [
        Held(f"{row.provider.name}/{each.model}", each.size or row.found.weights.get(each.model))
        for row in desk.registry.listed()
        if row.found is not None and may_hold(row)
        for each in row.found.resident
    ]
    if any_engine(desk.registry.listed()):
        found += [Held(f"{e.provider}/{e.model}", e.memory) for e in await loaded(desk)]
    return found


def as_data(holding: Holding) -> dict[str, Any]:
    """For results: without what is not known."""
    said = {
        "model": holding.model,
        "size_bytes": holding.size,
        "idle_s": None if holding.idle_s is None else round(holding.idle_s, 1),
        "expires": None if holding.expires is None else results.iso(holding.expires),
        "context": holding.context,
        "users": [f"{client} ({server[-6:]})" for client, server in holding.users],
        "instances": list(holding.instances),
        "pid": holding.pid,
    }
    return {name: value for name, value in said.items() if value not in (None, [])}


def words(holding: Holding, now: float) -> str:
    """Size, idle time, users and expiry, as far as they are known."""
    clients = dict.fromkeys(client for client, _ in holding.users)
    servers = {server for _, server in holding.users}
    parts = [
        gb(holding.size) if holding.size else "",
        f"{holding.context:,} tokens" if holding.context else "",
        idle_words(holding.idle_s),
        f"used by {', '.join(clients)}" if clients else "",
        f"in {len(servers)} servers" if len(servers) > 1 else "",
        "" if holding.expires is None else f"goes in {duration(max(0, holding.expires - now))}",
        f"{len(holding.instances)} instances" if len(holding.instances) > 1 else "",
    ]
    return ", ".join(filter(None, parts))


def idle_words(idle_s: float | None) -> str:
    if idle_s is None:
        return "not used by Roundhouse"
    return f"idle {duration(idle_s)}" if idle_s else "in use"
