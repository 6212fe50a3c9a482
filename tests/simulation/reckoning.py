"""What must add up when a world is over: calls, attempts, money, plans, secrets."""

from collections import Counter, defaultdict
from typing import Any

from roundhouse_mcp.providers.prices import Rates, cost
from roundhouse_mcp.providers.types import Usage
from roundhouse_mcp.server.circuits import Key
from roundhouse_mcp.server.run import Run

from .checks import Watch
from .worlds import KEY, PROMPT

RETRIED = frozenset({"faulted", "throttled", "conflicted", "unreachable"})
CUT = "interrupted"


class Reckoning:
    """Compares what a watch saw with what the ledger says."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.world = watch.world
        self.runs = watch.runs
        self.admitted = watch.admitted
        self.broken = watch.broken
        self.name = watch.name
        assert watch.db is not None
        self.db = watch.db

    def at_the_end(self) -> None:
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
        settled = {
            *tried,
            *(key for call_id, key in self.watch.turned_away if call_id == run.call_id),
        }
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
        for n, heard in enumerate(self.watch.heard):
            billed[self.watch.attempt_of[n]].update(read=heard.read, written=heard.written)
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
        content = self.db.serialize()
        for secret in (KEY, PROMPT.strip()):
            if secret.encode() in content:
                self.broken(f"the ledger holds {secret}")
