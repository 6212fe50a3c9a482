"""What must hold in every world, looked at while it runs and when it is over."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from roundhouse_mcp.providers.prices import Rates, cost
from roundhouse_mcp.providers.types import Usage
from roundhouse_mcp.server import books, circuits
from roundhouse_mcp.server.circuits import Circuit, Key
from roundhouse_mcp.server.ledger import circuit_rows, owners
from roundhouse_mcp.server.ledger.driver import Connection
from roundhouse_mcp.server.ledger.errands import Errand
from roundhouse_mcp.server.ledger.reaping import reap
from roundhouse_mcp.server.run import Run

from .upstreams import Heard
from .worlds import KEY, PROMPT, World

RETRIED = frozenset({"faulted", "throttled", "conflicted", "unreachable"})
QUEUED_S = 0.0005  # between admission and request: longer is a queue
CUT = "interrupted"
SPENDING = (books.open_attempt, books.close_attempt, reap)
OVER = (
    "SELECT budget, spent_nano, reserved_nano, limit_nano FROM budget_windows"
    " WHERE spent_nano + reserved_nano > limit_nano AND reserved_nano + spent_nano > 0"
)


class Broken(AssertionError):
    """An invariant does not hold."""


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
    """Sees every transaction and every request of a world, and raises Broken at the first wrong
    one. `note` writes the timeline."""

    def __init__(self, world: World, note: Callable[[str], None]) -> None:
        self.world = world
        self.note = note
        self.db: Connection | None = None
        self.run_dir: Any = None
        self.clock: Callable[[], float] = lambda: 0.0
        self.now: Callable[[], float] = lambda: 0.0
        self.stale = 0
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
            if was.state == "open" and not circuits.passed(was.retry_at, now):
                self.broken(f"{made.call_id} #{made.n} went to {key}, which is open: {was}")
            if was.state != "closed":
                self.probing(made, key, was, now)

    def probing(self, made: Admitted, key: Key, was: Circuit, now: float) -> None:
        epoch = made.epochs[key]
        other = self.probes.get(key)
        if was.state == "half_open" and other is not None:
            alive = owners.alive(self.run_dir, other.owner)
            if alive and now < other.lease_until and other.call not in self.closed:
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
        """What waited in the queue behind other calls was admitted long before it is sent, and is
        only counted: nobody asks the circuits again."""
        assert self.db is not None
        queued = self.now() - made.at > QUEUED_S
        for key in circuits.keys(*made.key):
            circuit = circuit_rows.find(self.db, key)
            opened = circuit.epoch != made.epochs.get(key, 0) and circuit.state != "closed"
            if (opened or circuit.is_held(self.clock())) and queued:
                self.stale += 1
                self.note(f"{tag} is sent to {key}, which has closed its doors meanwhile")
            elif opened:
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

    # When it is over.

    def at_the_end(self) -> None:
        assert self.db is not None
        calls = self.table("SELECT * FROM calls")
        attempts = self.table("SELECT * FROM attempts ORDER BY call_id, n")
        by_call: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in attempts:
            by_call[row["call_id"]].append(row)
        self.every_call_once(calls)
        for call in calls:
            self.call_adds_up(call, by_call[call["call_id"]])
            self.limits_hold(call, by_call[call["call_id"]])
            self.plan_is_followed(call, by_call[call["call_id"]])
        self.attempts_are_there(attempts)
        self.money_adds_up(attempts)
        self.bills_are_covered(attempts)
        self.nothing_is_left()
        self.no_secrets()

    def table(self, query: str, *values: object) -> list[dict[str, Any]]:
        assert self.db is not None
        cursor = self.db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def every_call_once(self, calls: list[dict[str, Any]]) -> None:
        ended = Counter(call["call_id"] for call in calls)
        for call_id, run in self.runs.items():
            lost = run.desk.ledger.dead and not self.was_open(call_id)  # type: ignore[attr-defined]
            if ended[call_id] != 1 and not lost:
                self.broken(f"{self.name(call_id)} has {ended[call_id]} rows")
        for call_id in ended.keys() - self.runs.keys():
            self.broken(f"{call_id} has a row, and nobody made it")

    def was_open(self, call_id: str) -> bool:
        return any(call == call_id for call, _ in self.admitted)

    def call_adds_up(self, call: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        name = self.name(call["call_id"])
        if [row["n"] for row in rows] != list(range(1, len(rows) + 1)):
            self.broken(f"{name} has attempts {[row['n'] for row in rows]}")
        if call["attempts"] != len(rows):
            self.broken(f"{name} says {call['attempts']} attempts, there are {len(rows)}")
        costs = [row["cost_nano"] for row in rows]
        whole = None if any(row["cost_kind"] == "unknown" for row in rows) else sum(costs)
        if call["status"] == "lost" and whole is None:
            return
        if call["cost_nano"] != whole and not (call["cost_nano"] is None and not rows):
            self.broken(f"{name} cost {call['cost_nano']}, its attempts {costs}")

    def limits_hold(self, call: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        name, retries = self.name(call["call_id"]), self.world.config["retries"]
        made = [row for n, row in enumerate(rows) if not (n and rows[n - 1]["outcome"] == "misfit")]
        here = Counter((row["provider"], row["model"]) for row in made)
        if len(made) > retries["per_call"]:
            self.broken(f"{name} made {len(made)} attempts, {retries['per_call']} are allowed")
        if here and max(here.values()) > retries["per_provider"]:
            self.broken(f"{name} made {max(here.values())} attempts at one provider")
        for n, row in enumerate(rows):
            later = {(each["provider"], each["model"]) for each in rows[n + 1 :]}
            again = (row["provider"], row["model"]) in later
            if again and row["outcome"] not in RETRIED | {"misfit"}:
                self.broken(f"{name} tried again after {row['outcome']}")
            if (
                row["outcome"] == "refused"
                and later
                and not (n and rows[n - 1]["outcome"] == "misfit")
            ):
                self.broken(f"{name} went elsewhere with a request that is wrong")

    def plan_is_followed(self, call: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Candidates are tried in their order, none is passed over, and nobody gives up early."""
        run, name = self.runs[call["call_id"]], self.name(call["call_id"])
        if run.plan is None:
            return
        planned = [candidate.offer.key for candidate in run.plan.candidates]
        tried = list(dict.fromkeys((row["provider"], row["model"]) for row in rows))
        if tried != [key for key in planned if key in tried]:
            self.broken(f"{name} tried {tried}, planned were {planned}")
        settled = {*tried, *(key for call_id, key in self.turned_away if call_id == run.call_id)}
        last = max((planned.index(key) for key in tried if key in planned), default=-1)
        missed = [key for key in planned[: last + 1] if key not in settled]
        if missed:
            self.broken(f"{name} passed over {missed}, tried {tried} of {planned}")
        self.nobody_gives_up(call, run, rows, [key for key in planned if key not in settled])

    def nobody_gives_up(
        self, call: dict[str, Any], run: Run, rows: list[dict[str, Any]], left: list[Key]
    ) -> None:
        config, name = self.world.config, self.name(run.call_id)
        if call["status"] != "failed" or not left or not config["routing"]["fallback"]:
            return
        final = {"refused"} if config["retries"]["mid_stream"] == "restart" else {"refused", CUT}
        wrong = rows and rows[-1]["outcome"] in final
        enough = len(rows) >= config["retries"]["per_call"]
        late = call["ended"] - call["started"] >= run.timeout_s - 1
        if not (wrong or enough or late or self.clock_steps()):
            self.broken(f"{name} gave up with {left} still to try: {rows}")

    def attempts_are_there(self, attempts: list[dict[str, Any]]) -> None:
        there = {(row["call_id"], row["n"]): row for row in attempts}
        for key, made in self.admitted.items():
            row = there.get(key)
            if row is None:
                self.broken(f"{self.name(key[0])} #{key[1]} was made and is in no row")
            elif (row["provider"], row["model"]) != made.key:
                self.broken(f"{self.name(key[0])} #{key[1]} has the row of another provider")
        for key in there.keys() - self.admitted.keys():
            row = there[key]
            if row["outcome"] not in ("cancelled", "deadline") or row["cost_nano"]:
                self.broken(f"{self.name(key[0])} #{key[1]} has a row and was never opened: {row}")
        for row in attempts:
            if row["ended"] < row["started"] and not self.clock_steps():
                self.broken(f"an attempt ends before it begins: {row}")

    def clock_steps(self) -> bool:
        return any(accident.what == "step" for accident in self.world.accidents)

    def money_adds_up(self, attempts: list[dict[str, Any]]) -> None:
        cost_of = {(row["call_id"], row["n"]): row for row in attempts}
        spent: dict[tuple[str, float], int] = defaultdict(int)
        windows = defaultdict[str, list[tuple[str, float]]](list)
        for row in self.table("SELECT * FROM reservation_windows"):
            windows[row["reservation"]].append((row["budget"], row["window_start"]))
        for held in self.table("SELECT * FROM reservations"):
            attempt = cost_of.get((held["call_id"], held["attempt"]))
            if held["state"] == "held":
                self.broken(f"{held} is still held")
                continue
            if attempt is None or attempt["cost_nano"] != held["cost_nano"]:
                self.broken(f"the reservation {held} is not what its attempt cost: {attempt}")
            if held["cost_nano"] > held["amount_nano"]:
                self.broken(f"{held} cost more than was held")
            for window in windows[held["id"]]:
                spent[window] += held["cost_nano"]
            self.scopes_match(held, {budget for budget, _ in windows[held["id"]]})
        for row in self.table("SELECT * FROM budget_windows"):
            if row["spent_nano"] != spent[row["budget"], row["window_start"]]:
                self.broken(f"{row} holds something else than its reservations")
        hours = self.table("SELECT sum(cost_nano) AS nano, sum(attempts) AS n FROM usage_hour")[0]
        total = sum(row["cost_nano"] or 0 for row in attempts)
        if (hours["nano"] or 0, hours["n"] or 0) != (total, len(attempts)):
            self.broken(f"the hours say {hours}, the attempts {total} in {len(attempts)}")

    def scopes_match(self, held: dict[str, Any], there: set[str]) -> None:
        run = self.runs[held["call_id"]]
        mine = {
            "global",
            f"provider:{held['provider']}",
            f"model:{held['model']}",
            f"task:{run.wish.task}",
            f"client:{run.client.name}",
            "project:here",
        }
        due = {
            f"{budget['scope']}/{budget['period']}"
            for budget in self.world.config["budgets"]
            if budget["scope"] in mine
        }
        if there != due:
            self.broken(f"{held} counts in {there}, and should in {due}")

    def bills_are_covered(self, attempts: list[dict[str, Any]]) -> None:
        """What the providers bill is what was charged, or less where nobody could know."""
        billed: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for n, heard in enumerate(self.heard):
            billed[self.attempt_of[n]].update(read=heard.read, written=heard.written)
        for row in attempts:
            bill = billed[row["call_id"], row["n"]]
            run = self.runs[row["call_id"]]
            rates = self.rates_of(run, row)
            if rates is None or row["cost_nano"] is None or row["cost_kind"] == "estimated":
                continue
            owed = cost(rates, Usage(input=bill["read"], output=bill["written"]))
            if owed > row["cost_nano"]:
                self.broken(f"{self.name(row['call_id'])} is billed {owed}, charged {row}")

    def rates_of(self, run: Run, row: dict[str, Any]) -> Rates | None:
        plan = run.plan
        key = (row["provider"], row["model"])
        if plan is None:
            return None
        return next((c.rates for c in plan.candidates if c.offer.key == key), None)

    def nothing_is_left(self) -> None:
        for row in self.table("SELECT * FROM inflight"):
            self.broken(f"{row} is still in flight")
        for row in self.table("SELECT * FROM budget_windows WHERE reserved_nano != 0"):
            self.broken(f"{row} still reserves")
        for row in self.table("SELECT * FROM budget_events WHERE kind = 'overrun'"):
            self.broken(f"there was an overrun: {row}")
        for row in self.table("SELECT * FROM speeds WHERE first_ms < 0 OR token_ms < 0"):
            self.broken(f"faster than nothing: {row}")

    def no_secrets(self) -> None:
        assert self.db is not None
        content = self.db.serialize()
        for secret in (KEY, PROMPT.strip()):
            if secret.encode() in content:
                self.broken(f"the ledger holds {secret}")
