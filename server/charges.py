"""What an attempt is charged. Unknown is never nothing: an answer without usage and a request whose
fate nobody knows count in full, and under a strict budget so does an answer that ended early, since
a provider may bill what it made and we never heard. Where budgets expect, what was seen counts,
and a quarter more."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ..providers.prices import Rates, cost
from ..providers.tokens import pictures
from ..providers.types import EmbedCall, Usage
from . import bills, estimates, unledgered
from .estimates import Measure
from .money import CostKind
from .run import Run, Trying

ZERO = Decimal(0)
MARGIN = 4  # one part in so many, on top of what was seen
ANSWERED = ("ok", "misfit")
Money = Literal["settle", "release", "presume"]


@dataclass(frozen=True, slots=True)
class Charge:
    """Nano-dollars (None: nobody knows the price), how sure that is, what becomes of the
    reservation, the usage it was worked out from, and whether the provider itself named the
    amount."""

    nano: int | None
    kind: CostKind
    money: Money
    usage: Usage
    reported: bool = False


def charge(run: Run, trying: Trying, outcome: str) -> Charge:
    if outcome in ANSWERED:
        return of_answer(run, trying)
    rates, billing = trying.candidate.rates, trying.error.billing if trying.error else "observed"
    nothing_read = not trying.answering and not trying.unanswered
    if not trying.sent or (billing == "none" and nothing_read):
        return Charge(0, "none", "release", Usage())
    timed = rates is not None and rates.per_second > 0  # nobody knows for how long it ran
    if billing != "presumed" and trying.answering and not timed:
        return of_part(run, trying)
    held = trying.candidate.held_nano
    return Charge(held, "presumed" if rates else "unknown", "presume", Usage())


def of_part(run: Run, trying: Trying) -> Charge:
    """Of an answer that broke off, or of the batches of an embedding that came back."""
    usage = run.observed(trying.parts, trying.unanswered)
    rates, held = trying.candidate.rates, trying.candidate.held_nano
    if rates is None:
        return Charge(None, "unknown", "settle", usage)
    if trying.parts and not usage.estimated:
        nano = cost(rates, usage, requests=len(trying.parts))
        return Charge(nano, "estimated", "settle", usage)
    if trying.candidate.offer.strict:
        if trying.parts:
            return Charge(held, "estimated", "settle", usage)
        return Charge(held, "presumed", "presume", usage)
    return Charge(likely_cost(run, trying, rates, usage), "estimated", "settle", usage)


def likely_cost(run: Run, trying: Trying, rates: Rates, usage: Usage) -> int:
    """By what was seen. A guess is never more than the most the call can cost, which no tokenizer
    exceeds; what the provider itself has reported is."""
    images, most = images_of(run), trying.candidate.bound_nano
    begun = max(1, len(trying.parts) + (trying.unanswered > 0))
    likely = cost(rates, usage, images=images, requests=begun)
    if trying.candidate.offer.expects:
        likely += likely // MARGIN
    if most is None or likely <= most:
        return likely
    reported = (run.assembler.usage if run.assembler else None) or Usage()
    return max(most, cost(rates, reported, images=images))


def of_answer(run: Run, trying: Trying) -> Charge:
    """Of a whole answer: what the provider says it bills, else what its usage costs, else all that
    was held, or, where budgets expect, what it probably cost."""
    answer, candidate = run.completion or run.embedding, trying.candidate
    rates, held = candidate.rates, candidate.held_nano
    usage = answer.usage if answer else Usage()
    known = usage.input is not None and usage.output is not None
    if not known:
        usage = run.observed()
    named = bills.named(run, trying)
    if named is not None:
        return Charge(named, "actual", "settle", usage, reported=True)
    if rates is None:
        return Charge(None, "unknown", "settle", usage)
    seconds = bills.seconds(run, trying)
    if rates.per_second and seconds is None:
        return Charge(held, "estimated", "settle", usage)
    if (known and not usage.estimated) or rates.by_time_alone:
        parts = max(1, len(trying.parts))
        nano = cost(rates, usage, seconds or ZERO, images=images_of(run), requests=parts)
        return Charge(nano, "actual", "settle", usage)
    # Several services report nothing of embeddings; what was read is known, but for the tokenizer.
    guessed = candidate.offer.expects or (run.embedding is not None and not candidate.offer.strict)
    nano = likely_cost(run, trying, rates, usage) if guessed else held
    return Charge(nano, "estimated", "settle", usage)


def images_of(run: Run) -> int:
    return 0 if isinstance(run.asked, EmbedCall) else pictures(run.asked)


def lesson(run: Run, trying: Trying, outcome: str, charged: Charge) -> Mapping[Measure, float]:
    """What the attempt says of the use of its model, if that was counted and costs anything."""
    candidate, usage = trying.candidate, charged.usage
    if outcome not in ANSWERED or candidate.rates is None or unledgered.is_free(candidate.rates):
        return {}
    seconds = bills.seconds(run, trying)
    counted = not usage.estimated
    return estimates.lesson(
        read=usage.input if counted else None,
        wrote=usage.output if counted else None,
        estimated=trying.estimated,
        cap=0 if isinstance(run.asked, EmbedCall) else candidate.max_tokens,
        seconds=None if seconds is None else float(seconds),
    )
