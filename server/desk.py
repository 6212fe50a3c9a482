"""What the tools of one server process work with: settings, providers, ledger, clocks."""

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from ..providers.catalog import Provider
from . import fetching
from .errors import Busy
from .home import Home
from .redact import Redactor
from .registry import Registry
from .retries import Bucket
from .settings import Settings

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from ..providers.http import Http
    from ..providers.prices import Rates
    from .budgets import Budget
    from .calls import Calls
    from .engines.engines import Engines
    from .exporting import Exporting
    from .files import Roots
    from .ledger.store import Ledger
    from .logs import Logs
    from .readying import Readying
    from .vectors import Vectors

QUEUE = 64
VERSION_CHARS = 60
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
    """At most `limit` calls at one provider at a time, and a bounded number waiting; and how many
    retries it is good for."""

    def __init__(self, provider: str, limit: int) -> None:
        self.provider = provider
        self.limiter = anyio.CapacityLimiter(limit)
        self.retries = Bucket()

    @property
    def is_full(self) -> bool:
        return self.limiter.available_tokens <= 0

    def check(self) -> None:
        """Raises Busy where one more would wait behind too many."""
        waiting = self.limiter.statistics().tasks_waiting
        if self.is_full and waiting >= QUEUE:
            raise Busy(
                f"{QUEUE} calls already wait for {self.provider}",
                next_step="Try again later, or name another provider.",
                retryable=True,
            )


@dataclass(kw_only=True)
class Desk:
    """The process's parts. The clocks and the dice are fields, so that tests can set them.

    What only calls need is made at first use: their modules are half of what we import, and an
    editor waits for the server's first answer, not for them. `group` runs the calls while the
    server serves, `many` clients at once or one; `turns_taken` are turns of calls planned here that
    the ledger has not seen."""

    home: Home
    settings: Settings
    config_hash: str
    registry: Registry
    redactor: Redactor
    user_agent: str
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    read_as: tuple[object, object] = (None, None)
    client: str | None = None
    project: str = ""
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random
    group: TaskGroup | None = None
    met: Client | None = None
    exporting: "Exporting | None" = None
    logs: "Logs | None" = None
    many: bool = False
    turns_taken: int = 0
    queues: dict[str, Queue] = field(default_factory=dict[str, Queue])

    @cached_property
    def server_id(self) -> str:
        return self.new_id()

    @cached_property
    def http(self) -> "Http":
        from ..providers.http import Http

        network = self.settings.network
        return Http(
            proxy=network.proxy,
            ca_file=network.ca_file,
            trusted_hosts=network.trusted_hosts,
            user_agent=self.user_agent,
            learned=self.redactor.meet,
        )

    @cached_property
    def ledger(self) -> "Ledger":
        from .ledger.store import Ledger

        return Ledger(self.home.path)

    @cached_property
    def calls(self) -> "Calls":
        from .calls import Calls

        return Calls(self)

    @cached_property
    def engines(self) -> "Engines":
        from .engines.engines import Engines

        return Engines(self)

    @cached_property
    def readying(self) -> "Readying":
        from .readying import Readying

        return Readying(self)

    @cached_property
    def budgets(self) -> "tuple[Budget, ...]":
        from .budgets import from_settings

        return from_settings(self.settings.budgets)

    @cached_property
    def vectors(self) -> "Vectors":
        """Those that clients may fetch."""
        from .vectors import Vectors

        return Vectors()

    @cached_property
    def roots(self) -> "Roots":
        """The directories whose files callers may name."""
        from .files import roots

        return roots(self.project, self.settings.files.roots, self.home.path)

    @cached_property
    def prices(self) -> "Mapping[str, Rates]":
        from .money import own_prices

        return own_prices(self.settings)

    def take_up(self, settings: Settings, registry: Registry, config_hash: str) -> None:
        """Changed settings, for every call that begins from now on."""
        fetching.keep(registry, self.registry)
        self.settings, self.registry, self.config_hash = settings, registry, config_hash
        self.read_plugins()
        self.redactor.learn(registry.secrets())
        for made_of_settings in ("budgets", "prices", "roots"):
            self.__dict__.pop(made_of_settings, None)
        self.queues.clear()

    async def look_around(self, trusted: Sequence[str] | None = None) -> None:
        """What answers on this machine and which keys there are, as far as that is not known."""
        if await self.registry.discover(self.http, trusted=trusted):
            self.redactor.learn(self.registry.secrets())

    def read_plugins(self) -> None:
        """Imports the packages the user has providers of, when somebody first asks for any."""
        if self.registry.read_plugins():
            self.redactor.learn(self.registry.secrets())

    async def close(self) -> None:
        """Lets go of the network and the ledger, whichever were used."""
        if "engines" in self.__dict__:
            self.engines.close()
        if "http" in self.__dict__:
            await self.http.aclose()
        if "ledger" in self.__dict__:
            await anyio.to_thread.run_sync(self.ledger.close)

    def new_id(self) -> str:
        return ulid(self.clock(), secrets.randbits(80))

    def queue(self, provider: Provider) -> Queue:
        if provider.name not in self.queues:
            self.queues[provider.name] = Queue(provider.name, provider.concurrency)
        return self.queues[provider.name]

    def client_of(self, ctx: "Context[Any, Any]") -> Client:
        """The launch's `--client` or the name of the token, else what the client calls itself."""
        info = client_info(ctx)
        name = self.client or token_name(ctx) or normal(info[0]) or "unknown"
        return Client(name=name, version=(info[1] or "")[:VERSION_CHARS] or None)


def client_info(ctx: "Context[Any, Any]") -> tuple[str, str | None]:
    try:
        params = ctx.session.client_params
    except (AttributeError, ValueError):
        return "", None
    if params is None:
        return "", None
    return params.client_info.name, params.client_info.version


def token_name(ctx: "Context[Any, Any]") -> str | None:
    """Whose token a request over HTTP came with; None on stdio."""
    try:
        request = ctx.request_context.request
    except ValueError:
        return None
    return request.user.username if request is not None else None


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
