"""Where a call may go: filters first, then a strategy. Pure functions over offers and a snapshot.

An offer is one model at one provider. `plan` sorts offers into candidates, in the order they will
be tried, and exclusions, each with one reason of a closed set. `route_for_task` shows the plan;
`complete` executes the same one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from ..providers.wires.schemas import takes_schemas
from . import limits
from .amounts import fitted, priced
from .candidates import Candidate, Demand, Excluded, Offer, Plan, Snapshot, excluded
from .estimates import UNKNOWN
from .limits import Unfit
from .reasons import Block
from .settings import Privacy
from .speeds import expected_ms
from .strategies import why

# Filters: each says why an offer is out, or None. Order is the order of the checks.

CAPABILITY = {  # need -> (fact of the model, capability of the provider, in words)
    "images": ("vision", "vision", "takes no images"),
    "tools": ("tools", "tools", "calls no tools"),
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
    return left_out(offer, block) if block else None


FILTERS: tuple[Callable[[Offer, Demand, Snapshot], Excluded | None], ...] = (
    too_public,
    of_other_kind,
    absent,
    incapable,
    too_small,
    blocked,
)


def left_out(offer: Offer, block: Block) -> Excluded:
    return excluded(offer, block.reason, block.detail, block.until)


def measured(candidate: Candidate, demand: Demand, snapshot: Snapshot) -> Candidate:
    """The candidate with what strategies look at beside quality and price."""
    key = candidate.offer.key
    written = min(candidate.max_tokens, demand.expected_output)
    return replace(
        candidate,
        turn=snapshot.turn,
        draw=drawn(snapshot.turn, key),
        expected_ms=expected_ms(snapshot.speeds.get(key), written, snapshot.now),
        load=snapshot.loads.get(key, 0),
    )


def drawn(turn: int, key: tuple[str, str]) -> float:
    """A number in (0, 1) that every process draws alike for a turn and a model."""
    digest = blake2b(f"{turn}/{key[0]}/{key[1]}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


def held_to_schemas(kept: Sequence[Candidate]) -> tuple[list[Candidate], list[Excluded]]:
    """Where a service can hold a model to a schema, models that can only be asked in words are left
    out, unless they were named."""
    able = {c.offer.key for c in kept if takes_schemas(c.offer.provider, c.offer.facts)}
    if not able:
        return list(kept), []
    out = [
        excluded(c.offer, "capability", "can be asked for a JSON schema, but not held to it")
        for c in kept
        if c.offer.key not in able and c.offer.group
    ]
    gone = {(each.provider, each.model) for each in out}
    return [c for c in kept if c.offer.key not in gone], out


def not_full(
    kept: Sequence[Candidate], full: frozenset[str]
) -> tuple[list[Candidate], list[Excluded]]:
    """Providers with no place for another call are passed over while others have one; where none
    has, the call waits for its turn."""
    able = [c for c in kept if c.offer.provider.name not in full]
    if not able:
        return list(kept), []
    out = [
        excluded(
            c.offer, "busy", f"answers {c.offer.provider.concurrency} calls already (concurrency)"
        )
        for c in kept
        if c.offer.provider.name in full
    ]
    return able, out


def plan(offers: Sequence[Offer], demand: Demand, snapshot: Snapshot) -> Plan:
    """Candidates in the order they will be tried, and a reason for every offer left out."""
    kept: list[Candidate] = []
    unfit: list[Unfit] = []
    out: list[Excluded] = []
    for offer in offers:
        result = judged(offer, demand, snapshot)
        if isinstance(result, Excluded):
            out.append(result)
        elif isinstance(result, Unfit):
            unfit.append(result)
            out.append(result.excluded)
        else:
            kept.append(result)
    if "schema" in demand.needs:
        kept, others = held_to_schemas(kept)
        out += others
    kept, full = not_full(kept, snapshot.full)
    out += full
    chosen = limits.choose(kept, unfit, demand.strategy)
    ranked = tuple(
        replace(c, why=reason(c, demand, n, chosen.budget), is_probe=c.offer.key in snapshot.due)
        for n, c in enumerate(chosen.ranked, 1)
    )
    askable, asking = (None, None) if ranked else limits.asked_about(unfit, demand.strategy)
    return Plan(
        candidates=ranked,
        excluded=(*out, *chosen.excluded),
        strategy=demand.strategy,
        at_limit=chosen.budget,
        askable=askable,
        asking=asking,
    )


def judged(offer: Offer, demand: Demand, snapshot: Snapshot) -> Candidate | Unfit | Excluded:
    """One offer: a candidate, one that has no room, or out."""
    verdict = next(filter(None, (f(offer, demand, snapshot) for f in FILTERS)), None)
    result = verdict or priced(offer, demand, snapshot.estimates.get(offer.key, UNKNOWN))
    if isinstance(result, Excluded):
        return result
    found = fitted(result, demand, snapshot)
    if isinstance(found, Unfit):
        return replace(found, candidate=measured(found.candidate, demand, snapshot))
    return measured(found, demand, snapshot)


def reason(candidate: Candidate, demand: Demand, rank: int, budget: str | None) -> str:
    said = why(candidate, "cheapest" if budget else demand.strategy, rank)
    return f"fits budget {budget}; {said}" if budget else said
