"""Getting local programs ready for calls of this server: one job for each model, however many wait.

A job goes on when its callers give up, and takes turns with those of other servers: two that loaded
a model at the same time would have it in memory twice.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ..providers import loading, memory
from ..providers.errors import NotReady, UpstreamError
from ..providers.loading import Order, Tell
from ..providers.memory import Need
from ..providers.probe import Line
from ..providers.request import name_on_wire
from .checks import loopback
from .ledger.locks import open_lock, try_lock

if TYPE_CHECKING:
    from ..providers.catalog import Provider
    from .desk import Desk

LOOK_S = 0.1


@dataclass(slots=True)
class Job:
    """What is done about one model. `words` say how far it is."""

    words: str = ""
    done: anyio.Event = field(default_factory=anyio.Event)
    failure: UpstreamError | None = None


@dataclass(slots=True)
class Readying:
    """Of one server process."""

    desk: "Desk"
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict[tuple[str, str], Job])

    async def ready(
        self, provider: "Provider", model: str, tell: Tell, *, local_only: bool
    ) -> None:
        """Returns once the program can take the call. `tell` hears what is being waited for.
        Raises UpstreamError."""
        if not self.is_needed(provider, model):
            return
        job = self.job(provider, model, local_only)
        while not job.done.is_set():
            tell(job.words)
            with anyio.move_on_after(LOOK_S):
                await job.done.wait()
        if job.failure is not None:
            raise job.failure

    def is_needed(self, provider: "Provider", model: str) -> bool:
        """Not where the program is known to be ready."""
        if provider.engine not in loading.READIERS or provider.base_url.startswith("mock:"):
            return False
        row = self.desk.registry.rows.get(provider.name)
        found = row.found if row is not None else None
        if found is None:
            return True
        return model not in (found.models if provider.engine == "ollama" else found.loaded)

    def job(self, provider: "Provider", model: str, local_only: bool) -> Job:
        group, key = self.desk.group, (provider.name, model)
        if key in self.jobs:
            return self.jobs[key]
        assert group is not None  # it runs the call that asks
        job = self.jobs[key] = Job()
        group.start_soon(self.carry_out, provider, model, local_only, job)
        return job

    async def carry_out(self, provider: "Provider", model: str, local_only: bool, job: Job) -> None:
        def tell(words: str) -> None:
            job.words = words

        async def fits(name: str, need: Need) -> str | None:
            return await shortage(self.desk, provider, name, need)

        secret = self.desk.registry.key_of(provider)
        line = Line(self.desk.http, provider, secret, local_only=local_only).at_root()
        try:
            async with turn(self.desk, provider.name, tell):
                await loading.made_ready(Order(line, name_on_wire(provider, model), tell, fits))
        except UpstreamError as error:
            job.failure = error
        except OSError as error:
            job.failure = NotReady(provider.name, f"its turn to load cannot be taken: {error}")
        finally:
            del self.jobs[provider.name, model]
            self.desk.registry.asked_at.pop(provider.name, None)  # what it has may have changed
            job.done.set()


@asynccontextmanager
async def turn(desk: "Desk", name: str, tell: Tell) -> AsyncGenerator[None]:
    """While entered, no other job of any server changes what this program holds."""
    directory = desk.home.run / "loads"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = open_lock(directory / f"{name}.lock")
    try:
        while not try_lock(fd):
            tell(f"waiting for {name} to load another model")
            await anyio.sleep(LOOK_S)
        yield
    finally:
        os.close(fd)


async def shortage(desk: "Desk", provider: "Provider", model: str, need: Need) -> str | None:
    """Why a model would not fit, with what could be unloaded; None where it fits, or nobody can
    tell: the memory of another machine is not ours to know."""
    if not loopback(host_of(provider)):
        return None
    free = await anyio.to_thread.run_sync(memory.available)
    if free is None or need.bytes <= free:
        return None
    from . import holdings

    return memory.shortage(f"{provider.name}/{model}", need, free, await holdings.freeable(desk))


def host_of(provider: "Provider") -> str:
    return urlsplit(provider.base_url).hostname or ""
