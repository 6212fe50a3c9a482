"""What the tools of one server process work with: settings, providers, ledger, clocks."""

import os
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from ..providers.catalog import Provider
from ..providers.http import Http
from ..providers.prices import Rates
from .budgets import Budget
from .errors import Declined
from .home import Home
from .ledger.store import Ledger
from .redact import Redactor
from .registry import Registry
from .settings import Settings

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from .calls import Calls

QUEUE = 64
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: sortable, no look-alikes


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as a label for budgets and reports: not a security boundary."""

    name: str
    version: str | None = None


def ulid(now: float, noise: int) -> str:
    """48 bits of milliseconds and 80 of noise as 26 letters, in order of time (ULID)."""
    number = (int(now * 1000) << 80) | noise
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


class Queue:
    """At most `limit` calls at one provider at a time, and a bounded number waiting."""

    def __init__(self, provider: str, limit: int) -> None:
        self.provider = provider
        self.limiter = anyio.CapacityLimiter(limit)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        if self.limiter.statistics().tasks_waiting >= QUEUE:
            raise Declined(
                f"{QUEUE} calls already wait for {self.provider}",
                next_step="Try again later, or name another provider.",
                retryable=True,
            )
        async with self.limiter:
            yield


@dataclass(slots=True, kw_only=True)
class Desk:
    """The process's parts, wired once in `serve.build`. The clocks and the dice are fields, so that
    tests can set them."""

    home: Home
    settings: Settings
    config_hash: str
    registry: Registry
    redactor: Redactor
    http: Http
    ledger: Ledger
    client: str | None = None
    budgets: tuple[Budget, ...] = ()
    prices: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    project: str = ""
    server_id: str = ""
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random
    calls: "Calls" = field(init=False)
    queues: dict[str, Queue] = field(default_factory=dict[str, Queue])

    def new_id(self) -> str:
        return ulid(self.clock(), secrets.randbits(80))

    def key_of(self, provider: Provider) -> str | None:
        key = self.registry.key(provider.name)
        return key.value if key else None

    def queue(self, provider: Provider) -> Queue:
        if provider.name not in self.queues:
            self.queues[provider.name] = Queue(provider.name, provider.concurrency)
        return self.queues[provider.name]

    def client_of(self, ctx: "Context[Any, Any]") -> Client:
        """The launch's `--client`, else what the client calls itself."""
        info = client_info(ctx)
        name = self.client or normal(info[0]) or "unknown"
        return Client(name=name, version=info[1])


def client_info(ctx: "Context[Any, Any]") -> tuple[str, str | None]:
    try:
        params = ctx.session.client_params
    except (AttributeError, ValueError):
        return "", None
    if params is None:
        return "", None
    return params.client_info.name, params.client_info.version


def normal(name: str) -> str:
    """`Claude Code` and `claude-code` are one client."""
    kept = "".join(c if c.isalnum() else "-" for c in name.lower()[:60])
    return "-".join(part for part in kept.split("-") if part)


def project_directory() -> str:
    """The directory the client started us in; empty where that is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""
