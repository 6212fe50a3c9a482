"""Where a call may go: filters first, then a strategy. Pure functions over offers and a snapshot.

An offer is one model at one provider. `plan` sorts offers into candidates, in the order they will
be tried, and exclusions, each with one reason of a closed set. `route_for_task` shows the plan;
`complete` executes the same one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..providers.catalog import Model, Provider
from ..providers.prices import Rates, bound, cost
from ..providers.types import Usage
from .budgets import Window
from .money import dollars
from .reasons import Reason
from .settings import Privacy

SMALLEST_CAP = 256
LARGEST_CAP = 10_000_000  # more than any model writes; what it may cost fits the ledger's integers
CEILING = Rates(  # what an unknown price is held and charged at, where the user allows that
    input=75_000_000_000,
    output=300_000_000_000,
    cached=75_000_000_000,
    cache_write=100_000_000_000,
    source="ceiling",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One model at one provider, with all that is known of it before anyone calls.

    `group`: 0 is what was named, or the task's own models; 1 is meant for the task (`use_for`);
    2 is everything else. `order` breaks ties the way the user wrote them. `absent` says why it
    cannot be used at all, if so. `private` is the strictest privacy it satisfies."""

    provider: Provider
    model: str
    facts: Model
    group: int = 2
    priority: int = 1_000_000
    order: int = 0
    absent: Reason | None = None
    absent_detail: str = ""
    private: Privacy = "any"
    rates: Rates | None = None
    windows: tuple[Window, ...] = ()
    max_tokens: int = 4096

    @property
    def key(self) -> tuple[str, str]:
        return self.provider.name, self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why a model at a provider is not admitted now. `until` is epoch seconds, None: by hand."""

    reason: Reason
    detail: str
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a budget has left in its window."""

    limit_nano: int
    free_nano: int
    resets_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the machine at one moment: circuits, cooldowns, holds and money. `due` are the
    open circuits whose time to be probed has come."""

    now: float
    blocks: Mapping[tuple[str, str], Block] = field(default_factory=dict[tuple[str, str], Block])
    rooms: Mapping[str, Room] = field(default_factory=dict[str, Room])
    due: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a call requires of whoever takes it. `input_bound` is a strict upper bound in tokens;
    `input_expected` a fair estimate; `cap` an output cap the caller set, None if they did not."""

    needs: frozenset[str] = frozenset()
    privacy: Privacy = "any"
    input_bound: int = 0
    input_expected: int = 0
    cap: int | None = None
    expected_output: int = 500
    max_cost_nano: int | None = None
    strategy: str = "priority"
    allow_unpriced: bool = False
    dimensions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that may be tried. `max_tokens` is the cap that will be sent; `bound_nano` the most
    an attempt can cost, `expected_nano` what it probably will (None: no known price). `is_probe`:
    its circuit is open, and this call would be the one that tests it."""

    offer: Offer
    max_tokens: int
    bound_nano: int | None
    expected_nano: int | None
    rates: Rates | None = None
    is_probe: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    provider: str
    model: str
    reason: Reason
    detail: str
    until: float | None = None
    budget: str | None = None
    needed_nano: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    candidates: tuple[Candidate, ...]
    excluded: tuple[Excluded, ...]
    strategy: str


# Filters: each says why an offer is out, or None. Order is the order of the checks.

CAPABILITY = {  # need -> (fact of the model, capability of the provider, in words)
    "images": ("vision", "vision", "takes no images"),
    "tools": ("tools", "tools", "calls no tools"),
    "schema": ("json", "json", "cannot be held to a JSON schema"),
    "json": ("json", "json", "has no JSON mode"),
    "vision": ("vision", "vision", "takes no images"),
    "reasoning": ("reasoning", "reasoning", "does not reason"),
}
PRIVACY_RANK: Mapping[Privacy, int] = {"any": 0, "no_retention": 1, "local": 2}


def lacks(offer: Offer, demand: Demand) -> str | None:
    """The first need the model is known not to meet. A model's own fact outranks the provider's."""
    for need in sorted(demand.needs & CAPABILITY.keys()):
        fact, capability, words = CAPABILITY[need]
        known: bool | None = getattr(offer.facts, fact)
        if known is False or (known is None and capability not in offer.provider.capabilities):
            return words
    sizes = offer.facts.dimensions
    if demand.dimensions and sizes and demand.dimensions not in sizes:
        return f"has no {demand.dimensions} dimensions (it has {', '.join(map(str, sizes))})"
    return None


def of_other_kind(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    """Embeddings of a model that only chats, or a chat with one that only embeds: no key and no
    start of a program changes that."""
    embeds, provider = offer.facts.embeddings, offer.provider
    if "embeddings" in demand.needs:
        able = embeds or (embeds is None and provider.embed_wire is not None)
        return None if able else excluded(offer, "capability", "makes no embeddings")
    able = not embeds and bool(offer.facts.wire or provider.wire)
    return None if able else excluded(offer, "capability", "only makes embeddings")


def absent(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    return excluded(offer, offer.absent, offer.absent_detail) if offer.absent else None


def too_public(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    if PRIVACY_RANK[offer.private] >= PRIVACY_RANK[demand.privacy]:
        return None
    words = {
        "local": "is not on this machine",
        "no_retention": "states no zero-retention policy we have a source for",
    }
    return excluded(offer, "privacy", words.get(demand.privacy, ""))


def incapable(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    words = lacks(offer, demand)
    return excluded(offer, "capability", words) if words else None


def too_small(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    """Against the fair estimate: the strict bound is several times too large and would rule out
    models that fit. A provider that disagrees says so itself, and the call falls back."""
    context = offer.facts.context
    needed = demand.input_expected + (demand.cap or 0)
    if context is None or needed <= context:
        return None
    return excluded(
        offer, "context", f"needs about {needed:,} tokens, its context holds {context:,}"
    )


def blocked(offer: Offer, demand: Demand, snapshot: Snapshot) -> Excluded | None:
    block = snapshot.blocks.get(offer.key) or snapshot.blocks.get((offer.provider.name, "*"))
    return excluded(offer, block.reason, block.detail, block.until) if block else None


FILTERS: tuple[Callable[[Offer, Demand, Snapshot], Excluded | None], ...] = (
    too_public,
    of_other_kind,
    absent,
    incapable,
    too_small,
    blocked,
)


def excluded(offer: Offer, reason: Reason, detail: str, until: float | None = None) -> Excluded:
    return Excluded(
        provider=offer.provider.name, model=offer.model, reason=reason, detail=detail, until=until
    )


# Money: what the attempt may cost at most decides whether it fits.


def cap_for(offer: Offer, demand: Demand) -> int:
    """The output cap to send: the caller's, else the default, within what the model can write."""
    if "embeddings" in demand.needs:
        return 0
    wanted = demand.cap or offer.max_tokens
    return min(wanted, offer.facts.max_output or LARGEST_CAP)


def affordable_cap(rates: Rates, demand: Demand, cap: int, room_nano: int) -> int:
    """The largest cap whose worst case fits into `room_nano`; 0 if not even the smallest does."""
    if bound(rates, demand.input_bound, cap) <= room_nano:
        return cap
    left = room_nano - bound(rates, demand.input_bound, 0)
    rate = rates.at(demand.input_bound).output
    fits = left * 1_000_000 // rate - 1 if rate > 0 and left > 0 else 0
    return fits if fits >= min(SMALLEST_CAP, cap) else 0


def priced(offer: Offer, demand: Demand, snapshot: Snapshot) -> Candidate | Excluded:
    """The offer with its price, its cap lowered to fit the budgets if need be; or why it is out."""
    cap = cap_for(offer, demand)
    rates = offer.rates
    if rates is None:
        if not offer.windows and demand.max_cost_nano is None:
            return Candidate(offer=offer, max_tokens=cap, bound_nano=None, expected_nano=None)
        if not demand.allow_unpriced:
            return excluded(offer, "unpriced", "has no known price, and a limit applies")
        rates = CEILING
    worst = bound(rates, demand.input_bound, cap)
    usage = Usage(input=demand.input_expected, output=min(cap, demand.expected_output))
    expected = cost(rates, usage)
    if demand.max_cost_nano is not None and worst > demand.max_cost_nano:
        cap = affordable_cap(rates, demand, cap, demand.max_cost_nano)
        if not cap:
            detail = f"may cost {dollars(worst)}, max_cost_usd is {dollars(demand.max_cost_nano)}"
            return excluded(offer, "max_cost", detail)
    rooms = [(w.budget, snapshot.rooms[w.budget]) for w in offer.windows]
    for name, room in sorted(rooms, key=lambda pair: pair[1].free_nano):
        cap_here = affordable_cap(rates, demand, cap, room.free_nano)
        if not cap_here and worst > room.free_nano:
            left = dollars(room.free_nano)
            detail = f"may cost {dollars(worst)}, budget {name} has {left} left"
            out = excluded(offer, "over_budget", detail, room.resets_at)
            return replace(out, budget=name, needed_nano=worst)
        cap = min(cap, cap_here)
    worst = bound(rates, demand.input_bound, cap)
    return Candidate(
        offer=offer, max_tokens=cap, bound_nano=worst, expected_nano=expected, rates=rates
    )


# Strategies: candidates -> candidates. What was named or meant for the task stays in front.

Strategy = Callable[[Sequence[Candidate]], list[Candidate]]
UNKNOWN_COST = 2**62


def preference(candidate: Candidate) -> tuple[int, int, int]:
    return standing(candidate.offer)


def standing(offer: Offer) -> tuple[int, int, int]:
    """What was named stands in the order it was named in; the rest by the user's priorities."""
    return offer.group, 0 if offer.group == 0 else offer.priority, offer.order


def priority(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=preference)


def local_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (c.offer.private != "local", *preference(c)))


def cloud_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (c.offer.private == "local", *preference(c)))


def cheapest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By expected cost of this very request; a model without a known price comes last."""

    def rank(c: Candidate) -> tuple[int, tuple[int, int, int]]:
        return (UNKNOWN_COST if c.expected_nano is None else c.expected_nano), preference(c)

    return sorted(candidates, key=rank)


def best(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By the quality rank of the model's row, best first; unranked models last."""
    return sorted(candidates, key=lambda c: (-(c.offer.facts.quality or 0), preference(c)))


STRATEGIES: Mapping[str, Strategy] = {
    "priority": priority,
    "local_first": local_first,
    "cloud_first": cloud_first,
    "cheapest": cheapest,
    "best": best,
}
HINTS: Mapping[str, str] = {
    "local_preferred": "local_first",
    "cloud_preferred": "cloud_first",
    "cheapest": "cheapest",
    "best_quality": "best",
}


def why(candidate: Candidate, strategy: str, rank: int) -> str:
    """A few words on why this candidate stands where it stands."""
    offer = candidate.offer
    if offer.group == 0:
        return "named first for this call" if rank == 1 else "named for this call"
    said = {
        "cheapest": "no known price"
        if candidate.expected_nano is None
        else f"about {dollars(candidate.expected_nano)}",
        "best": f"quality {offer.facts.quality}" if offer.facts.quality else "quality not ranked",
        "local_first": "local" if offer.private == "local" else "cloud",
        "cloud_first": "local" if offer.private == "local" else "cloud",
    }.get(strategy, "")
    if said:
        return said
    if offer.group == 1:
        return "meant for this task"
    return f"priority {offer.priority}" if offer.priority < 1_000_000 else "available"


def plan(offers: Sequence[Offer], demand: Demand, snapshot: Snapshot) -> Plan:
    """Candidates in the order they will be tried, and a reason for every offer left out."""
    kept: list[Candidate] = []
    out: list[Excluded] = []
    for offer in offers:
        verdict = next(filter(None, (f(offer, demand, snapshot) for f in FILTERS)), None)
        result = verdict or priced(offer, demand, snapshot)
        if isinstance(result, Excluded):
            out.append(result)
        else:
            kept.append(result)
    ordered = STRATEGIES[demand.strategy](kept)
    ranked = tuple(
        replace(c, why=why(c, demand.strategy, n), is_probe=c.offer.key in snapshot.due)
        for n, c in enumerate(ordered, 1)
    )
    return Plan(candidates=ranked, excluded=tuple(out), strategy=demand.strategy)
