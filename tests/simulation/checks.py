"""What must hold in every world while it runs."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from roundhouse_mcp.server import books, circuits
from roundhouse_mcp.server.circuits import Circuit, Key
from roundhouse_mcp.server.ledger import circuit_rows, owners
from roundhouse_mcp.server.ledger.driver import Connection
from roundhouse_mcp.server.ledger.errands import Errand
from roundhouse_mcp.server.ledger.reaping import reap
from roundhouse_mcp.server.run import Run

from .upstreams import Heard
from .worlds import KEY, World

SPENDING = (books.open_attempt, books.close_attempt, reap)
OVER = (
    "SELECT budget, spent_nano, reserved_nano, limit_nano FROM budget_windows"
    " WHERE spent_nano + reserved_nano > limit_nano AND reserved_nano + spent_nano > 0"
)


@dataclass(slots=True)
class Admitted:
    """An attempt that passed the circuits: whose, where, under which epochs, and its probes."""

    call_id: str
    n: int
    key: Key
    owner: str
    epochs: dict[Key, int]
    at: float
    probes: dict[Key, int] = field(default_factory=dict[Key, int])


@dataclass(slots=True)
class Probe:
    owner: str
    call: tuple[str, int]
    lease_until: float


class Watch:
    """Sees every transaction and every request of a world. `faults` are what does not hold; `note`
    writes the timeline."""

    def __init__(self, world: World, note: Callable[[str], None]) -> None:
        self.world = world
        self.note = note
        self.db: Connection | None = None
        self.run_dir: Any = None
        self.clock: Callable[[], float] = lambda: 0.0
        self.now: Callable[[], float] = lambda: 0.0
        self.written: Callable[[], int] = lambda: 0
        self.written_at: dict[str, int] = {}
        self.runs: dict[str, Run] = {}  # by call id
        self.by_tag: dict[str, list[Run]] = defaultdict(list)
        self.names: dict[str, str] = {}
        self.admitted: dict[tuple[str, int], Admitted] = {}
        self.closed: set[tuple[str, int]] = set()
        self.turned_away: set[tuple[str, Key]] = set()
        self.probes: dict[Key, Probe] = {}
        self.probed: set[tuple[Key, int]] = set()
        self.before: dict[Key, Circuit] = {}
        self.heard: list[Heard] = []
        self.attempt_of: dict[int, tuple[str, int]] = {}
        self.faults: list[str] = []

    def broken(self, what: str) -> None:
        """Kept rather than raised: nothing may swallow it."""
        self.faults.append(what)
        self.note(f"BROKEN {what}")

    def met(self, tag: str, run: Run) -> None:
        self.runs[run.call_id] = run
        self.by_tag[tag].append(run)
        self.names[run.call_id] = tag

    def name(self, call_id: str) -> str:
        return self.names.get(call_id, call_id)

    # While it runs.

    def seen(
        self, operation: Callable[..., Any], args: tuple[Any, ...], errand: Errand | None
    ) -> None:
        if errand is None:
            self.first_write(operation, args)
        if operation is books.open_attempt:
            self.opening(args[0], errand)
        elif operation is books.close_attempt:
            self.closing(args[0], args[1], errand)
        if errand is not None and operation in SPENDING and self.world.config["budgets"]:
            self.budgets_hold()

    def first_write(self, operation: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """What had been written when the plan of a call was made, at most."""
        if operation is books.open_attempt:
            self.written_at.setdefault(args[0].inflight.call_id, self.written())
        elif operation is books.end:
            self.written_at.setdefault(args[0].call.call_id, self.written())

    def budgets_hold(self) -> None:
        assert self.db is not None
        for row in self.db.execute(OVER).fetchall():
            self.broken(f"budget {row[0]} spent {row[1]} + reserved {row[2]} > limit {row[3]}")

    def opening(self, opening: books.Opening, errand: Errand | None) -> None:
        assert self.db is not None
        row = opening.inflight
        key = (row.provider or "", row.model or "")
        if errand is None:
            self.before = {each: circuit_rows.find(self.db, each) for each in circuits.keys(*key)}
            return
        if errand.error is not None:
            self.turned_away.add((row.call_id, key))
            self.note(f"{self.name(row.call_id)} not opened at {key[0]}/{key[1]}: {errand.error}")
            return
        opened: books.Opened = errand.result  # type: ignore[assignment]
        made = Admitted(row.call_id, row.attempt, key, row.owner, opened.epochs, self.now())
        self.admitted[row.call_id, row.attempt] = made
        self.note(f"{self.name(row.call_id)} #{row.attempt} opened at {key[0]}/{key[1]}")
        if opening.guarded:
            self.admission(made, opening.now)

    def admission(self, made: Admitted, now: float) -> None:
        for key, was in self.before.items():
            if was.is_held(now) or was.cools(now):
                self.broken(f"{made.call_id} #{made.n} went to {key}, which rests: {was}")
            due = circuits.passed(was.retry_at, now) or was.set_back(now)
            if was.state == "open" and not due:
                self.broken(f"{made.call_id} #{made.n} went to {key}, which is open: {was}")
            if was.state != "closed":
                self.probing(made, key, was, now)

    def probing(self, made: Admitted, key: Key, was: Circuit, now: float) -> None:
        epoch = made.epochs[key]
        other = self.probes.get(key)
        if was.state == "half_open" and other is not None:
            alive = owners.alive(self.run_dir, other.owner)
            there = alive and now < other.lease_until and not was.set_back(now)
            if there and other.call not in self.closed:
                self.broken(f"{made.call_id} #{made.n} probes {key} while {other} does")
        if (key, epoch) in self.probed:
            self.broken(f"{made.call_id} #{made.n} is the second probe of {key} in epoch {epoch}")
        self.probed.add((key, epoch))
        made.probes[key] = epoch
        self.probes[key] = Probe(made.owner, (made.call_id, made.n), now + circuits.LONGEST_PROBE_S)
        self.note(f"{self.name(made.call_id)} #{made.n} probes {key[0]}/{key[1]} epoch {epoch}")

    def closing(
        self, closing: books.Closing, ending: books.Ending | None, errand: Errand | None
    ) -> None:
        assert self.db is not None
        row = closing.attempt
        keys = circuits.keys(row.provider, row.model)
        if errand is None:
            self.before = {key: circuit_rows.find(self.db, key) for key in keys}
            return
        self.closed.add((row.call_id, row.n))
        end = f", {ending.call.status}" if ending else ""
        self.note(
            f"{self.name(row.call_id)} #{row.n} closed: {row.outcome}, {closing.money}"
            f" {row.cost_nano}{end}"
        )
        for key, was in self.before.items():
            self.transition(row.call_id, row.n, was, circuit_rows.find(self.db, key))

    def transition(self, call_id: str, n: int, was: Circuit, now: Circuit) -> None:
        """Only a result of the running epoch changes a state, and only a probe closes."""
        if now.state == was.state:
            return
        name, made = self.name(call_id), self.admitted.get((call_id, n))
        self.note(f"{name} #{n} turns {was.key[0]}/{was.key[1]} from {was.state} to {now.state}")
        if made is None or made.epochs.get(was.key, 0) != was.epoch:
            self.broken(f"{name} #{n} is of another epoch and changed {was} to {now}")
        elif was.state == "half_open" and made.probes.get(was.key) != was.epoch:
            self.broken(f"{name} #{n} is no probe and changed {was} to {now}")

    def request(self, heard: Heard) -> None:
        """A request reached a provider."""
        tag = heard.asked.tag
        self.note(f"{tag} -> {heard.provider}/{heard.asked.model}: {heard.act}")
        running = [r for r in self.by_tag[tag] if r.trying is not None and r.trying.sent]
        run = running[-1] if running else None
        if run is None or run.trying is None:
            self.broken(f"{tag} was sent to {heard.provider} while no attempt is made")
            return
        self.attempt_of[len(self.heard)] = (run.call_id, run.trying.n)
        self.heard.append(heard)
        made = self.admitted.get((run.call_id, run.trying.n))
        if made is None:
            self.broken(f"{tag} was sent to {heard.provider} before it was admitted")
            return
        if (heard.provider, heard.asked.model) != made.key:
            self.broken(f"{tag} went to {heard.provider}/{heard.asked.model}, not to {made.key}")
        if heard.key and KEY + heard.provider not in heard.key:
            self.broken(f"{heard.provider} was given the key of another: {heard.key}")
        local = self.is_local(heard.provider)
        if self.private(run) == "local" and not local:
            self.broken(f"{tag} is private and went to {heard.provider}")
        if self.private(run) == "no_retention" and not (
            local or self.keeps_nothing(heard.provider)
        ):
            self.broken(f"{tag} must not be retained and went to {heard.provider}")
        if self.world.config["circuits"]["enabled"]:
            self.still_admitted(made, tag)

    def still_admitted(self, made: Admitted, tag: str) -> None:
        """Between admission and request nothing is waited for, so no door closes meanwhile."""
        assert self.db is not None
        for key in circuits.keys(*made.key):
            circuit = circuit_rows.find(self.db, key)
            if circuit.epoch != made.epochs.get(key, 0) and circuit.state != "closed":
                self.broken(f"{tag} was sent to {key}, which has opened since it was admitted")

    # Privacy, worked out from the world alone.

    def is_local(self, provider: str) -> bool:
        return provider.startswith("near")

    def keeps_nothing(self, provider: str) -> bool:
        return "retention" in self.world.config["providers"][provider]

    def private(self, run: Run) -> str:
        routing, wish = self.world.config["routing"], run.wish
        said = {wish.privacy, routing["privacy"]}
        if wish.task in routing["tasks"]:
            said.add(routing["tasks"][wish.task].get("privacy", "any"))
        if wish.task == "private" or wish.model == "local":
            said.add("local")
        return "local" if "local" in said else "no_retention" if "no_retention" in said else "any"
