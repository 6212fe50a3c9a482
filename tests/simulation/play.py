"""Plays one world from beginning to end, and reports what did not hold."""

import asyncio
import json
import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import anyio

from roundhouse_mcp.providers.types import Call, EmbedCall, Message
from roundhouse_mcp.server import asks, circuits
from roundhouse_mcp.server.asks import Ask, EmbedAsk, Size, Wish
from roundhouse_mcp.server.candidates import Plan
from roundhouse_mcp.server.desk import Client
from roundhouse_mcp.server.errors import Declined
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.ledger import circuit_rows
from roundhouse_mcp.server.ledger.driver import Connection
from roundhouse_mcp.server.outcomes import Embedded, Outcome
from roundhouse_mcp.server.redact import Redactor
from roundhouse_mcp.server.registry import Registry
from roundhouse_mcp.server.run import Run
from roundhouse_mcp.server.settings import Settings

from .checks import Watch
from .clock import Stuck, VirtualLoop, run
from .reckoning import Reckoning
from .servers import Recorded, SeededDesk, Server, built
from .store import Killed, StandIn, Store
from .upstreams import Heard, Upstream, Ways, Wires
from .worlds import PROMPT, SCHEMA, Accident, Asking, Place, World, world

SHM = Path("/dev/shm")
LATE_S = 1.0
LONGEST_S = 2000.0  # after the last call until everything must have ended
LONGEST_OUT_S = {"circuit_open": 700.0, "cooldown": 3700.0}


@dataclass(slots=True)
class Played:
    """What came of a world: the faults found (none, if all is well) and the timeline."""

    world: World
    faults: list[str]
    timeline: list[str]
    calls: int = 0
    requests: int = 0
    statuses: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def report(self) -> str:
        spec = json.dumps(told(self.world), indent=1, default=str)
        lines = ["FAULTS", *self.faults, "", "TIMELINE", *self.timeline]
        return "\n".join(
            (f"seed {self.world.seed}", spec, *lines, "", f"replay: {command(self.world.seed)}")
        )


def command(seed: int) -> str:
    return f"python -m tests.simulate --seeds 1 --start {seed}"


def told(world: World) -> dict[str, Any]:
    return {
        "config": world.config,
        "places": [brief(place) for place in world.places],
        "calls": [brief(call) for call in world.calls],
        "accidents": [brief(accident) for accident in world.accidents],
        "slowest_s": world.slowest_s,
    }


def brief(part: Place | Asking | Accident) -> str:
    """A part of a world without what is as usual."""
    usual = {each.name: each.default for each in fields(part)}
    said = {name: value for name, value in asdict(part).items() if value != usual[name]}
    return ", ".join(f"{name}={value!r}" for name, value in said.items())


class Stage:
    def __init__(self, world: World, directory: Path, loop: VirtualLoop) -> None:
        self.world = world
        self.directory = directory
        self.loop = loop
        self.stepped = 0.0
        self.timeline: list[str] = []
        self.watch = Watch(world, self.note)
        self.watch.clock = self.clock
        self.watch.now = loop.time
        self.store = Store(self.watch.seen)
        self.watch.db = self.store.db
        self.watch.written = lambda: self.store.commits
        self.watch.run_dir = directory / "run"
        self.upstreams = {
            place.host: Upstream(
                name=place.name,
                host=place.host,
                wire=place.wire,
                dice=random.Random(f"{world.seed}/{place.name}"),
                trouble=place.trouble,
                outages=place.outages,
                faults=place.faults,
            )
            for place in world.places
        }
        self.settings = Settings.model_validate(world.config)
        self.servers: list[Server] = []
        self.made = 0

    def clock(self) -> float:
        return self.world.begins + self.loop.time() + self.stepped

    def note(self, line: str) -> None:
        self.timeline.append(f"{self.loop.time():9.3f} {line}")

    def broken(self, what: str) -> None:
        self.watch.broken(what)

    # Servers.

    def server(self, n: int) -> Server:
        dice = random.Random(f"{self.world.seed}/server {n}")
        ledger = StandIn(
            self.store, self.directory, f"owner-{n}", self.clock, dice, self.world.slowest_s
        )
        registry = self.registry()
        desk = SeededDesk(
            home=Home(self.directory),
            settings=self.settings,
            config_hash="",
            registry=registry,
            redactor=Redactor(registry.secrets()),
            user_agent="roundhouse/simulation",
            project="here",
            clock=self.clock,
            monotonic=self.loop.time,
            draw=dice.random,
            dice=dice,
        )
        desk.__dict__["ledger"] = ledger
        desk.__dict__["http"] = Ways(lambda near: self.wires(ledger, near=near))
        desk.__dict__["calls"] = Recorded(desk, self.met)
        return Server(n, desk, ledger, anyio.Event(), anyio.CancelScope(), [])

    def wires(self, ledger: StandIn, *, near: bool) -> Wires:
        def watch(heard: Heard) -> None:
            if ledger.dead:
                raise Killed
            self.watch.request(heard)

        trusted = frozenset(self.settings.network.trusted_hosts)
        return Wires(self.upstreams, watch, near=near, trusted=trusted, server=ledger.owner)

    def registry(self) -> Registry:
        return built(
            self.settings,
            {f"KEY_OF_{place.name.upper()}": place.key for place in self.world.places if place.key},
        )

    def met(self, run: Run) -> None:
        text = (
            run.asked.texts[0] if isinstance(run.asked, EmbedCall) else run.asked.messages[0].text
        )
        tag = text.partition("<<")[2].partition(">>")[0]
        self.watch.met(tag, run)

    async def serve(self, server: Server) -> None:
        """As `lifetime` does it, without the heartbeat."""
        try:
            async with anyio.create_task_group() as group:
                server.desk.group = group
                server.scope = group.cancel_scope
                await server.ending.wait()
                server.desk.group = None
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            if (others := errors.split(Killed)[1]) is not None:
                self.broken(f"an exception left server {server.n}: {others!r}")
        finally:
            server.gone = True
            server.desk.group = None
            server.ledger.close()

    # Calls.

    def ask(self, call: Asking) -> Ask | EmbedAsk:
        text = f"<<{call.tag}>> {PROMPT}" + "simulation " * (call.size // 11)
        if call.texts:
            made = EmbedCall(texts=tuple(f"{text} {n}" for n in range(call.texts)))
            query = f"{text} query" if call.query else None
            needs = frozenset({"embeddings"})
            wish = Wish(**call.wish, needs=needs)
            return EmbedAsk(wish=wish, call=made, query=query, timeout_s=call.timeout_s)
        messages = (Message(role="user", text=text),)
        schema = SCHEMA if call.schema else None
        cap = call.cap or self.settings.limits.max_tokens
        made_chat = Call(messages=messages, max_tokens=cap, output_schema=schema)
        wish = Wish(**call.wish, needs=asks.needs(made_chat))
        return Ask(
            wish=wish,
            call=made_chat,
            capped=call.cap is not None,
            timeout_s=call.timeout_s,
            key=call.key,
        )

    async def make(self, call: Asking) -> None:
        server = self.servers[call.server]
        await anyio.sleep(call.at)
        if server.gone or server.ledger.dead or server.desk.group is None:
            self.note(f"{call.tag} finds no server")
            return
        with anyio.CancelScope() as caller:
            server.clients.append(caller)
            if call.cancel_after_s is not None:
                caller.deadline = anyio.current_time() + call.cancel_after_s
            try:
                await self.conversation(server, call)
            except Killed:
                self.note(f"{call.tag} dies with its server")
        if caller.cancelled_caught:
            self.note(f"{call.tag} was taken back")

    async def conversation(self, server: Server, call: Asking) -> None:
        ask, client = self.ask(call), Client(call.client)
        self.made += 1
        self.note(f"{call.tag} asked of server {server.n}")
        route = await self.route(server, call, ask, client) if call.routed else None
        outcome = await self.spoken(server, call, ask, client, route)
        again = outcome is not None and outcome.finish_reason == "timeout"
        if again and outcome is not None and call.read_on_s:
            await self.heard(
                call,
                call.read_on_s,
                lambda: server.desk.calls.read_on(outcome.call_id, client, call.read_on_s, silent),
            )

    async def route(
        self, server: Server, call: Asking, ask: Ask | EmbedAsk, client: Client
    ) -> tuple[Plan, int] | None:
        assert isinstance(ask, Ask)
        size = Size(prompt=ask.call.messages[0].text, cap=call.cap)
        with suppress(Declined):
            written = self.store.commits
            return await server.desk.calls.route(ask.wish, size, client), written
        return None

    async def spoken(
        self,
        server: Server,
        call: Asking,
        ask: Ask | EmbedAsk,
        client: Client,
        route: tuple[Plan, int] | None,
    ) -> Outcome | None:
        calls, limit = server.desk.calls, call.timeout_s or self.settings.limits.timeout_s
        if isinstance(ask, EmbedAsk):
            await self.heard(call, limit, lambda: calls.embed(ask, client))
            return None
        found = await self.heard(call, limit, lambda: calls.complete(ask, client, silent))
        self.no_wait_is_endless(call)
        if route is not None:
            self.same_plan(call, route)
        return found if isinstance(found, Outcome) else None

    async def heard(self, call: Asking, limit_s: float, ask: Callable[[], Any]) -> Any:
        """What the caller gets; nothing but an answer or a refusal, and in time."""
        begun, found = self.loop.time(), None
        try:
            found = await ask()
            self.note(f"{call.tag} got {words(found)}")
        except Declined as declined:
            self.note(f"{call.tag} declined: {declined.code}: {declined.message}")
        except Exception as error:  # what the watch is here for
            self.broken(f"{call.tag} raised {error!r} from {error.__cause__!r}")
        taken = self.loop.time() - begun
        if taken > limit_s + LATE_S:
            self.broken(f"{call.tag} took {taken:.3f} s, {limit_s:g} s were allowed")
        return found

    def no_wait_is_endless(self, call: Asking) -> None:
        """A clock that is set back keeps no circuit shut for as long as it was set back."""
        run = self.watch.by_tag[call.tag][-1] if self.watch.by_tag[call.tag] else None
        if run is None or run.plan is None or run.races:
            return
        for left_out in run.plan.excluded:
            longest = LONGEST_OUT_S.get(left_out.reason)
            if longest and left_out.until and left_out.until - run.started > longest:
                self.broken(f"{call.tag} was kept out until {left_out.until}: {left_out}")

    def same_plan(self, call: Asking, route: tuple[Plan, int]) -> None:
        """The route shown is the plan made, if nothing was written in between."""
        shown, written = route
        run = self.watch.by_tag[call.tag][-1] if self.watch.by_tag[call.tag] else None
        if run is None or run.plan is None or self.watch.written_at.get(run.call_id) != written:
            return
        if run.races:  # made anew since
            return
        if turn(shown) == turn(run.plan) and outline(shown) != outline(run.plan):
            self.broken(
                f"{call.tag} was shown another plan: {outline(shown)}, made {outline(run.plan)}"
            )

    # Accidents.

    async def happen(self, accident: Accident) -> None:
        await anyio.sleep(accident.at)
        self.note(
            f"ACCIDENT {accident.what} {accident.amount or accident.provider or accident.server}"
        )
        match accident.what:
            case "step":
                self.stepped += accident.amount
            case "kill" | "stop":
                self.end(self.servers[accident.server], killed=accident.what == "kill")
            case _:
                self.by_hand(accident)

    def end(self, server: Server, *, killed: bool) -> None:
        if server.gone or server.ledger.dead:
            return
        if killed:
            server.ledger.kill()
        server.desk.group = None
        server.ending.set()
        for client in server.clients:
            client.cancel()

    def by_hand(self, accident: Accident) -> None:
        key, now = (accident.provider, accident.model), self.clock()
        policy = circuits.policy(self.settings.circuits, local=accident.provider.startswith("near"))
        db = self.store.db
        match accident.what:
            case "trip":
                circuit_rows.trip(db, key, now=now, by="hand", policy=policy, jitter=0.5)
            case "reset":
                circuit_rows.reset(db, key, now=now, by="hand")
            case "hold":
                circuit_rows.hold(db, key, now=now, by="hand")
            case _:
                circuit_rows.unhold(db, key, now=now, by="hand")
        self.store.commits += 1

    # The whole.

    async def play(self) -> None:
        self.servers = [self.server(n) for n in range(self.world.servers)]
        async with anyio.create_task_group() as process:
            for server in self.servers:
                process.start_soon(self.serve, server)
            async with anyio.create_task_group() as events:
                for call in self.world.calls:
                    events.start_soon(self.make, call)
                for accident in self.world.accidents:
                    events.start_soon(self.happen, accident)
            await self.quiet()
            for server in self.servers:
                self.end(server, killed=False)
        self.aftermath()
        Reckoning(self.watch).at_the_end()

    async def quiet(self) -> None:
        """Until every call that outlives its caller has ended, too."""
        give_up = self.loop.time() + LONGEST_S
        while any(s.desk.calls.shelf.running() for s in self.servers if not s.gone):
            if self.loop.time() > give_up:
                left = [r.call_id for s in self.servers for r in s.desk.calls.shelf.running()]
                self.broken(f"{[self.watch.name(each) for each in left]} never end")
                return
            await anyio.sleep(5.0)

    def aftermath(self) -> None:
        """The next start finds what the dead left behind."""
        dice = random.Random(0)
        heir = StandIn(self.store, self.directory, "owner-heir", self.clock, dice, 0.0)
        heir.chores()
        heir.close()


def turn(plan: Plan) -> int | None:
    return plan.candidates[0].turn if plan.candidates else None


def outline(plan: Plan) -> tuple[object, ...]:
    return (
        plan.strategy,
        tuple((c.offer.key, c.max_tokens, c.is_probe) for c in plan.candidates),
        tuple((e.provider, e.model, e.reason) for e in plan.excluded),
    )


def words(found: Outcome | Embedded) -> str:
    if isinstance(found, Embedded):
        return f"{len(found.embedding.vectors)} vectors of {found.provider} for {found.cost_nano}"
    return f"{found.finish_reason} of {found.provider} for {found.cost_nano}"


async def silent(progress: float, total: float | None, message: str | None) -> None:
    """A client that listens to progress and says nothing."""


def play(seed: int) -> Played:
    """The world of a seed, played in a directory of its own that is gone afterwards."""
    drawn = world(seed)
    base = SHM if SHM.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="roundhouse-simulation-", dir=base))
    loop = VirtualLoop()
    stage = Stage(drawn, directory, loop)
    try:
        loop.set_exception_handler(lambda _, context: unheard(stage, context))
        with quiet():
            run(stage.play(), loop)
    except (Stuck, Exception) as error:
        stage.watch.broken(f"the world ended in {error!r}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    statuses = statuses_of(stage.store.db)
    stage.store.db.close()
    watch = stage.watch
    return Played(
        drawn,
        watch.faults,
        stage.timeline,
        calls=stage.made,
        requests=len(watch.heard),
        statuses=statuses,
    )


def unheard(stage: Stage, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if not isinstance(error, Killed | asyncio.CancelledError):
        stage.broken(f"{context.get('message')}: {error!r}")


def statuses_of(db: Connection) -> dict[str, int]:
    return dict(db.execute("SELECT status, count(*) FROM calls GROUP BY status").fetchall())


@contextmanager
def quiet() -> Generator[None]:
    """What servers complain of is what the worlds are made to bring about."""
    logger = logging.getLogger("roundhouse_mcp")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
