"""In which order candidates are tried: one pure function per strategy, candidates -> candidates.

What was named for a call stands in front whatever the strategy; each orders what is equally meant.
Strategies that vary (`round_robin`, `random`, the two choices of `fastest`) draw from a counter in
the snapshot that only `complete` advances, so `route_for_task` shows the very next call.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from .candidates import Candidate, standing
from .money import dollars
from .speeds import UNMEASURED_MS

Strategy = Callable[[Sequence[Candidate]], list[Candidate]]

UNKNOWN_COST = 2**62
WEIGHTS: Mapping[str, float] = {"quality": 0.4, "cost": 0.3, "speed": 0.2, "load": 0.1}
NEUTRAL = 0.5
LOADED: Mapping[bool | None, int] = {True: 0, None: 1, False: 2}


def preference(candidate: Candidate) -> tuple[int, int, int]:
    return standing(candidate.offer)


def priority(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=preference)


def round_robin(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The next in turn first, the others after it in their order."""
    ordered = priority(candidates)
    turn = ordered[0].turn % len(ordered) if ordered else 0
    return ordered[turn:] + ordered[:turn]


def random(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Drawn without replacement, by the weights of their providers."""
    return sorted(candidates, key=lambda c: (-(c.draw ** (1 / c.offer.weight)), preference(c)))


def local_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of the local ones, what is loaded first: it answers at once, and takes no more memory."""

    def rank(c: Candidate) -> tuple[bool, int, tuple[int, int, int]]:
        local = c.offer.private == "local"
        return not local, LOADED[c.offer.loaded] if local else 0, preference(c)

    return sorted(candidates, key=rank)


def cloud_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (c.offer.private == "local", *preference(c)))


def cheapest(candidates: Iterable[Candidate]) -> list[Candidate]:
    """By expected cost of this very request; a model without a known price comes last."""

    def rank(c: Candidate) -> tuple[int, tuple[int, int, int]]:
        return (UNKNOWN_COST if c.expected_nano is None else c.expected_nano), preference(c)

    return sorted(candidates, key=rank)


def best(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By the quality rank of the model's row, best first; unranked models last."""
    return sorted(candidates, key=lambda c: (-(c.offer.facts.quality or 0), preference(c)))


def fastest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The better of two that are drawn, so that not every process runs to the same one; then the
    others by how long this request would take them."""
    ordered = sorted(candidates, key=lambda c: (time_ms(c), preference(c)))
    drawn = sorted(candidates, key=lambda c: c.draw)[:2]
    first = next((c for c in ordered if c in drawn), None)
    return ordered if first is None else [first, *(c for c in ordered if c is not first)]


def time_ms(candidate: Candidate) -> float:
    """How long the request would take there, times how many wait for it already."""
    alone = UNMEASURED_MS if candidate.expected_ms is None else candidate.expected_ms
    return alone * (candidate.load + 1)


def least_busy(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (c.load, preference(c)))


def balanced(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By a weighted sum of quality, cost, speed and load, each measured among these candidates;
    what is not known counts half."""
    scores = scored(candidates)
    return sorted(candidates, key=lambda c: (-scores[c.offer.key], preference(c)))


def scored(candidates: Sequence[Candidate]) -> dict[tuple[str, str], float]:
    measures: Mapping[str, list[float | None]] = {
        "quality": [c.offer.facts.quality for c in candidates],
        "cost": [None if c.expected_nano is None else -c.expected_nano for c in candidates],
        "speed": [None if c.expected_ms is None else -c.expected_ms for c in candidates],
        "load": [-c.load for c in candidates],
    }
    parts = {name: normal(values) for name, values in measures.items()}
    return {
        c.offer.key: sum(WEIGHTS[name] * parts[name][n] for name in WEIGHTS)
        for n, c in enumerate(candidates)
    }


def normal(values: Sequence[float | None]) -> list[float]:
    """0 for the least, 1 for the most; all equal or not known: in the middle."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if low == high:
        return [NEUTRAL] * len(values)
    return [NEUTRAL if v is None else (v - low) / (high - low) for v in values]


STRATEGIES: Mapping[str, Strategy] = {
    "priority": priority,
    "round_robin": round_robin,
    "random": random,
    "cheapest": cheapest,
    "fastest": fastest,
    "best": best,
    "local_first": local_first,
    "cloud_first": cloud_first,
    "balanced": balanced,
    "least_busy": least_busy,
}
VARYING = frozenset({"round_robin", "random", "fastest"})
MEASURING = frozenset({"fastest", "least_busy", "balanced"})
HINTS: Mapping[str, str] = {
    "local_preferred": "local_first",
    "cloud_preferred": "cloud_first",
    "best_quality": "best",
    "cheapest": "cheapest",
    "fastest": "fastest",
}


def ordered(candidates: Sequence[Candidate], strategy: str) -> list[Candidate]:
    """Group by group: what was named, what is meant for the task, everything else."""
    groups = groupby(sorted(candidates, key=preference), key=lambda c: c.offer.group)
    return [c for _, group in groups for c in STRATEGIES[strategy](list(group))]


def why(candidate: Candidate, strategy: str, rank: int) -> str:
    """A few words on why this candidate stands where it stands."""
    offer = candidate.offer
    named = "named first for this call" if rank == 1 else "named for this call"
    said = WORDS.get(strategy, lambda _: "")(candidate)
    if offer.group == 0:
        return f"{named}; {said}" if said and strategy in VARYING | MEASURING else named
    if said:
        return said
    if offer.group == 1:
        return "meant for this task"
    return f"priority {offer.priority}" if offer.priority < 1_000_000 else "available"


def cost_words(c: Candidate) -> str:
    return "no known price" if c.expected_nano is None else f"about {dollars(c.expected_nano)}"


def speed_words(c: Candidate) -> str:
    return "not measured lately" if c.expected_ms is None else f"about {c.expected_ms / 1000:.1f} s"


def place_words(c: Candidate) -> str:
    return "local" if c.offer.private == "local" else "cloud"


def local_words(c: Candidate) -> str:
    return "local, loaded" if c.offer.loaded else place_words(c)


WORDS: Mapping[str, Callable[[Candidate], str]] = {
    "best": lambda c: f"quality {c.offer.facts.quality}" if c.offer.facts.quality else "unranked",
    "balanced": lambda c: f"{speed_words(c)}, {cost_words(c)}",
    "cheapest": cost_words,
    "cloud_first": place_words,
    "fastest": lambda c: f"{speed_words(c)}, {c.load} running",
    "least_busy": lambda c: f"{c.load} running",
    "local_first": local_words,
    "random": lambda c: f"drawn with weight {c.offer.weight:g}",
    "round_robin": lambda c: "in turn",
}
