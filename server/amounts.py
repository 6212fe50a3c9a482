"""What an attempt may cost, what its budgets hold for it, and whether they have room. Pure."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..providers.prices import LONGEST_S, Rates, bound, cost
from ..providers.types import Usage
from .batches import LANES
from .budgets import Window
from .candidates import Candidate, Demand, Excluded, Offer, Snapshot, excluded
from .estimates import UNKNOWN, Estimate
from .limits import Unfit
from .money import dollars

SMALLEST_CAP = 256
LARGEST_CAP = 10_000_000  # more than any model writes; what it may cost fits the ledger's integers
LEAST_CAPS = {"openai_responses": 16}  # wires whose services refuse a smaller output cap
CEILING = Rates(  # what an unknown price is held and charged at, where the user allows that
    input=75_000_000_000,
    output=300_000_000_000,
    cached=75_000_000_000,
    cache_write=100_000_000_000,
    source="ceiling",
)


def cap_for(offer: Offer, demand: Demand) -> int:
    """The output cap to send: the caller's, else the default, within what the model can write."""
    if "embeddings" in demand.needs:
        return 0
    least = LEAST_CAPS.get(offer.facts.wire or offer.provider.wire or "", 1)
    wanted = max(demand.cap or offer.max_tokens, least)
    return min(wanted, offer.facts.max_output or LARGEST_CAP)


def at_most(rates: Rates, demand: Demand, cap: int) -> int:
    return bounded(rates, demand, demand.input_bound, cap, LONGEST_S)


def safely(rates: Rates, demand: Demand, estimate: Estimate, cap: int) -> int:
    """What few attempts cost more than, as far as anybody knows."""
    read = estimate.input_safe(demand.input_expected, demand.input_bound)
    seconds = estimate.seconds_safe(LONGEST_S)
    return bounded(rates, demand, read, estimate.output_safe(cap), seconds)


def bounded(rates: Rates, demand: Demand, read: int, wrote: int, seconds: int) -> int:
    """`seconds` are of one machine; as many work at once as there are lanes."""
    return bound(
        rates,
        read,
        wrote,
        images=demand.images,
        seconds=seconds * min(demand.requests, LANES),
        requests=demand.requests,
    )


def usually(rates: Rates, demand: Demand, estimate: Estimate, cap: int) -> int:
    usage = Usage(
        input=estimate.input_usual(demand.input_expected),
        output=estimate.output_usual(cap, demand.expected_output),
    )
    return cost(rates, usage, estimate.seconds_usual, images=demand.images)


def affordable_cap(amount: Callable[[int], int], cap: int, room_nano: int) -> int:
    """The largest cap whose amount fits into `room_nano`; 0 if not even the smallest does. A larger
    cap never has a smaller amount."""
    if amount(cap) <= room_nano:
        return cap
    caps = range(min(SMALLEST_CAP, cap), cap)
    fits = bisect_right(caps, room_nano, key=amount)
    return caps[fits - 1] if fits else 0


def priced(offer: Offer, demand: Demand, estimate: Estimate = UNKNOWN) -> Candidate | Excluded:
    """The offer with its price, its cap lowered to what the caller would pay; or why it is out."""
    cap = cap_for(offer, demand)
    rates = offer.rates
    if rates is None:
        if not offer.windows and demand.max_cost_nano is None:
            return Candidate(offer=offer, max_tokens=cap, bound_nano=None, expected_nano=None)
        if not demand.allow_unpriced:
            return excluded(offer, "unpriced", "has no known price, and a limit applies")
        rates = CEILING
    worst = at_most(rates, demand, cap)
    if demand.max_cost_nano is not None and worst > demand.max_cost_nano:
        cap = affordable_cap(partial(at_most, rates, demand), cap, demand.max_cost_nano)
        if not cap:
            detail = f"may cost {dollars(worst)}, max_cost_usd is {dollars(demand.max_cost_nano)}"
            return excluded(offer, "max_cost", detail)
    return capped(offer, demand, rates, cap, estimate)


def capped(offer: Offer, demand: Demand, rates: Rates, cap: int, estimate: Estimate) -> Candidate:
    worst = at_most(rates, demand, cap)
    return Candidate(
        offer=offer,
        max_tokens=cap,
        bound_nano=worst,
        expected_nano=min(worst, usually(rates, demand, estimate, cap)),
        safe_nano=safely(rates, demand, estimate, cap) if offer.expects else None,
        rates=rates,
    )


def fitted(candidate: Candidate, demand: Demand, snapshot: Snapshot) -> Candidate | Unfit:
    """The candidate with its cap lowered to fit every budget, or those that have no room."""
    offer, rates, needed = candidate.offer, candidate.rates, candidate.held_nano
    if rates is None or needed is None:
        return candidate
    estimate = snapshot.estimates.get(offer.key, UNKNOWN)
    amount = partial(at_most, rates, demand)
    if offer.expects:
        amount = partial(safely, rates, demand, estimate)
    cap, short = candidate.max_tokens, list[Window]()
    for window in offer.windows:
        room = snapshot.rooms[window.budget]
        cap_here = affordable_cap(amount, candidate.max_tokens, room.free_nano)
        if not cap_here and needed > room.free_nano:
            short.append(window)
        cap = min(cap, cap_here)
    if not short:
        return capped(offer, demand, rates, cap, estimate)
    tightest = min(short, key=lambda w: snapshot.rooms[w.budget].free_nano)
    room, name = snapshot.rooms[tightest.budget], tightest.budget
    may = "probably costs up to" if offer.expects else "may cost"
    detail = f"{may} {dollars(needed)}, budget {name} has {dollars(room.free_nano)} left"
    out = excluded(offer, "over_budget", detail, room.resets_at)
    return Unfit(
        candidate,
        replace(out, budget=name, needed_nano=needed),
        {window.budget: window.at_limit for window in short},
    )
