"""Random worlds: from a seed to providers, settings, calls and accidents. Nothing runs here."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from .upstreams import FAULTS, GOOD

Table = dict[str, Any]
MODELS = ("m-a", "m-b", "m-c")
CLIENTS = ("one", "two")
TASKS = ("code", "quick", "private", "summarization", "own", "mine")
STRATEGIES = (
    "priority",
    "round_robin",
    "random",
    "cheapest",
    "fastest",
    "best",
    "local_first",
    "cloud_first",
    "balanced",
    "least_busy",
)
HINTS = ("local_preferred", "cloud_preferred", "best_quality", "cheapest", "fastest")
PROMPT = "Prompt-Canary "
KEY = "sk-canary-0123456789-"
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
FLAPPING = ("drip", "drip", "late", "500", "500", "refuse", "cut", "stall")
OUTAGES = ("refuse", "503 wait", "500", "silence", "stall at once", "connect hangs", "429", "401")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One call: who makes it, when, and what they do meanwhile. `routed`: they look at the route
    just before; `read_on` seconds they wait for the rest of an answer handed back too early."""

    tag: str
    at: float
    server: int
    client: str
    wish: Table
    size: int
    cap: int | None
    timeout_s: float | None
    cancel_after_s: float | None = None
    texts: int = 0
    query: bool = False
    schema: bool = False
    routed: bool = False
    read_on_s: float | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accident:
    """Something that happens to the machine: a server killed or stopped, a clock that steps by
    `amount` seconds, a circuit touched by hand."""

    at: float
    what: Literal["kill", "stop", "step", "trip", "reset", "hold", "unhold"]
    server: int = 0
    amount: float = 0.0
    provider: str = ""
    model: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A provider's address, and how it behaves."""

    name: str
    host: str
    wire: str
    trouble: float
    key: str | None
    outages: tuple[tuple[float, float, str], ...] = ()
    faults: tuple[str, ...] = FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    seed: int
    config: Table
    places: tuple[Place, ...]
    servers: int
    calls: tuple[Asking, ...]
    accidents: tuple[Accident, ...]
    slowest_s: float = 0.0
    begins: float = 0.0
    client: str | None = None
    notes: Table = field(default_factory=dict[str, Any])


def world(seed: int) -> World:
    return Maker(random.Random(seed)).world(seed)


class Maker:
    """Draws a world, part by part, from one set of dice."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.flaps = dice.random() < 0.1  # slow answers among failures, and circuits in a hurry
        self.lasts = 20.0 if self.flaps else dice.choice((20.0, 120.0, 900.0))

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def world(self, seed: int) -> World:
        few = self.dice.choice((1, 1, 2) if self.flaps else (1, 2, 2, 3, 3, 4, 5))
        places = [self.place(n) for n in range(few)]
        providers = {place.name: self.provider(place) for place in places}
        servers = self.dice.choice((1, 1, 2, 3))
        count = 10 if self.flaps else self.dice.choice((2, 3, 5, 7, 10))
        calls = [self.asking(n, servers, providers) for n in range(count)]
        return World(
            seed=seed,
            config=self.config(providers),
            places=tuple(places),
            servers=servers,
            calls=tuple(sorted(calls, key=lambda call: call.at)),
            accidents=tuple(sorted(self.accidents(servers, providers), key=lambda a: a.at)),
            slowest_s=self.dice.choice((0.0, 0.002, 0.02)),
            begins=1_795_000_000.0 + self.dice.choice((0.0, 30_000.0, 86_400.0 * 6 + 55_000.0)),
        )

    # Providers.

    def place(self, n: int) -> Place:
        here = self.chance(0.35)
        name = f"{'near' if here else 'far'}{n}"
        trusted = here and self.chance(0.2)
        host = "box.lan" if trusted else f"127.0.0.{n + 1}" if here else f"{name}.example"
        few = tuple(self.dice.sample(FAULTS, self.dice.randrange(1, 6)))
        return Place(
            name=name,
            host=host if not trusted else f"box{n}.lan",
            wire=self.dice.choice(("openai_chat", "openai_chat", "anthropic_messages")),
            trouble=0.8 if self.flaps else self.dice.choice((0.0, 0.1, 0.3, 0.6, 1.0)),
            key=None if here or self.chance(0.05) else f"{KEY}{name}",
            outages=tuple(self.outage() for _ in range(self.dice.choice((0, 0, 1, 2)))),
            faults=FLAPPING if self.flaps else few if self.chance(0.5) else FAULTS,
        )

    def outage(self) -> tuple[float, float, str]:
        begin = self.dice.uniform(0, self.lasts)
        act = self.dice.choice((*OUTAGES, *FAULTS, *GOOD[:2]))
        return begin, begin + self.dice.uniform(0.1, 0.7) * self.lasts, act

    def provider(self, place: Place) -> Table:
        here = place.name.startswith("near")
        scheme = "http" if here else "https"
        port = ":11434" if here else ""
        row: Table = {
            "wire": place.wire,
            "base_url": f"{scheme}://{place.host}{port}/v1",
            "local": here,
            "models": self.dice.sample(MODELS, self.dice.choice((1, 1, 2))),
        }
        if not here:
            row["key_env"] = f"KEY_OF_{place.name.upper()}"
        if self.chance(0.4):
            row |= {"embed_wire": "openai_embeddings", "embedding_model": "e-a"}
        self.limits(row)
        return row

    def limits(self, row: Table) -> None:
        """Each of these is said of a provider now and then."""
        dice = self.dice
        sayings: tuple[tuple[float, str, tuple[Any, ...]], ...] = (
            (0.25, "concurrency", (1, 2)),
            (0.05, "rpm", (1, 2, 5)),
            (0.05, "rpd", (1, 2, 5)),
            (0.05, "tpm", (100, 2000)),
            (0.2, "timeout_s", (2.0, 15.0)),
            (0.15, "retention", ("none, says its policy",)),
            (0.05, "enabled", (False,)),
            (0.3, "weight", (0.2, 5.0)),
            (0.3, "priority", (0, 1, 2, 3, 4)),
            (0.2, "use_for", tuple([task] for task in TASKS[:4])),
        )
        for share, name, values in sayings:
            if self.chance(share):
                row[name] = dice.choice(values)
        if self.chance(0.4):
            row["facts"] = {model: self.facts() for model in row["models"]}

    def facts(self) -> Table:
        dice = self.dice
        said: Table = {"quality": dice.randrange(100)}
        if self.chance(0.2):
            said["context"] = dice.choice((100, 1000, 8000))
        if self.chance(0.3):
            said["json"] = self.chance(0.5)
        if self.chance(0.2):
            said["max_output"] = dice.choice((16, 200))
        return said

    # Settings.

    def config(self, providers: Table) -> Table:
        dice = self.dice
        trusted = [row["base_url"].split("/")[2].split(":")[0] for row in providers.values()]
        return {
            "timezone": dice.choice(("UTC", "Europe/Berlin", "Asia/Kathmandu")),
            "providers": providers,
            "routing": self.routing(providers),
            "budgets": [self.budget(providers) for _ in range(dice.choice((0, 1, 1, 2, 4)))],
            "circuits": {
                "enabled": not self.chance(0.08),
                "failure_threshold": dice.choice((1, 2) if self.flaps else (1, 2, 3, 5)),
                "reset_timeout_s": 1.0 if self.flaps else dice.choice((1.0, 10.0, 60.0)),
            },
            "retries": {
                "per_provider": dice.choice((1, 2, 2, 3)),
                "per_call": dice.choice((1, 2, 4, 4, 6)),
                "base_delay_ms": dice.choice((0, 50, 500)),
                "mid_stream": dice.choice(("restart", "restart", "partial", "error")),
            },
            "prices": self.prices(providers),
            "limits": {
                "timeout_s": dice.choice((5.0, 50.0)),
                "max_tokens": dice.choice((64, 4096)),
            },
            "network": {"trusted_hosts": [host for host in trusted if host.endswith(".lan")]},
        }

    def prices(self, providers: Table) -> Table:
        """In places that are not on this machine now and then nobody knows the price."""
        priced: Table = {}
        for name, row in providers.items():
            if row["local"] and not self.chance(0.1):
                continue
            for model in (*row["models"], *filter(None, [row.get("embedding_model")])):
                if not self.chance(0.12):
                    priced[f"{name}/{model}"] = {
                        "input": self.dice.choice(("0.1", "3", "15")),
                        "output": self.dice.choice(("0.4", "15", "75")),
                    }
        return priced

    def routing(self, providers: Table) -> Table:
        dice = self.dice
        names = list(providers)
        tasks: Table = {"own": {"privacy": "no_retention"}, "mine": self.task(names)}
        if self.chance(0.2):
            tasks["private"] = {"models": [dice.choice(names)], "privacy": "any"}
        table: Table = {
            "strategy": dice.choice(STRATEGIES) if self.chance(0.7) else "priority",
            "chain": dice.sample(names, dice.randrange(len(names) + 1)),
            "fallback": not self.chance(0.1),
            "privacy": dice.choice(("any",) * 20 + ("local", "no_retention")),
            "allow_unpriced": self.chance(0.5),
            "tasks": tasks,
            "aliases": {"pet": dice.sample(names, min(2, len(names)))},
        }
        if self.chance(0.3):
            small = {"when": {"max_input_tokens": 50}, "models": [dice.choice(names)]}
            table["rules"] = [small | {"only": self.chance(0.3)}]
        return table

    def task(self, names: list[str]) -> Table:
        dice = self.dice
        return {
            "models": [dice.choice(names)],
            "only": self.chance(0.3),
            "strategy": dice.choice((None, *STRATEGIES)),
            "privacy": dice.choice(("any", "any", "local")),
        }

    def budget(self, providers: Table) -> Table:
        dice = self.dice
        scopes = (
            "global",
            "global",
            f"provider:{dice.choice(list(providers))}",
            f"model:{dice.choice(MODELS)}",
            f"task:{dice.choice(TASKS)}",
            f"client:{dice.choice(CLIENTS)}",
            "project:here",
        )
        return {
            "scope": dice.choice(scopes),
            "period": dice.choice(("day", "day", "week", "month", "total")),
            "limit_usd": dice.choice(("0", "0.001", "0.02", "0.1", "0.1", "1", "5")),
        }

    # What happens.

    def asking(self, n: int, servers: int, providers: Table) -> Asking:
        dice = self.dice
        embeds = self.chance(0.15)
        schema = not embeds and self.chance(0.15)
        together = self.chance(0.3)  # several at the same moment
        return Asking(
            tag=f"call-{n}",
            at=self.lasts * 0.4 if together else dice.uniform(0, self.lasts),
            server=dice.randrange(servers),
            client=dice.choice(CLIENTS),
            wish=self.wish(providers, embeds=embeds),
            size=dice.choice((20, 20, 200, 1500)),
            cap=dice.choice((None, None, 1, 20, 600)),
            timeout_s=dice.choice((None, 0.5, 2.0, 10.0, 60.0, 200.0)),
            cancel_after_s=dice.choice((0.0, 0.01, 0.3, 4.0)) if self.chance(0.12) else None,
            texts=dice.choice((1, 3, 12)) if embeds else 0,
            query=embeds and self.chance(0.3),
            schema=schema,
            routed=not embeds and not schema and self.chance(0.3),
            read_on_s=dice.choice((0.1, 20.0, 300.0)) if self.chance(0.5) else None,
            key=f"key-{dice.randrange(2)}" if not embeds and self.chance(0.05) else None,
        )

    def wish(self, providers: Table, *, embeds: bool) -> Table:
        dice = self.dice
        said: Table = {"tool": "embed" if embeds else "complete"}
        how = dice.random()
        name = dice.choice(list(providers))
        if how < 0.15:
            said["model"] = dice.choice((*MODELS, f"{name}/{providers[name]['models'][0]}", name))
        elif how < 0.25:
            said["model"] = dice.choice(("fast", "best", "cheap", "local", "pet"))
        elif how < 0.3:
            said["provider"] = name
        elif how < 0.5 and not embeds:
            said["task"] = dice.choice(TASKS)
        if self.chance(0.2):
            said["prefer"] = dice.choice(HINTS)
        elif self.chance(0.15):
            said["strategy"] = dice.choice(STRATEGIES)
        if self.chance(0.1):
            said["privacy"] = dice.choice(("local", "no_retention"))
        if self.chance(0.15):
            said["max_cost_nano"] = dice.choice((0, 500_000, 5_000_000, 100_000_000))
        return said

    def accidents(self, servers: int, providers: Table) -> list[Accident]:
        ends: tuple[Literal["kill", "stop"], ...] = ("kill", "kill", "stop")
        found = [
            Accident(at=self.moment(), what=self.dice.choice(ends), server=server)
            for server in range(servers)
            if self.chance(0.15)
        ]
        if self.chance(0.15):
            steps = (-90_000.0, -300.0, -2.0, 5.0, 4000.0, 90_000.0)
            found += [
                Accident(at=self.moment(), what="step", amount=self.dice.choice(steps))
                for _ in range(self.dice.randrange(1, 4))
            ]
        if self.chance(0.15):
            found += [self.by_hand(providers) for _ in range(self.dice.randrange(1, 4))]
        return found

    def by_hand(self, providers: Table) -> Accident:
        name = self.dice.choice(list(providers))
        return Accident(
            at=self.moment(),
            what=self.dice.choice(("trip", "reset", "hold", "unhold")),
            provider=name,
            model=self.dice.choice(("*", providers[name]["models"][0])),
        )

    def moment(self) -> float:
        """Often just when several calls are made at once."""
        if self.chance(0.3):
            return self.lasts * 0.4 + self.dice.uniform(0, 3)
        return self.dice.uniform(0, self.lasts)
