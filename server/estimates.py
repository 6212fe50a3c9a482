"""What calls of a model use in fact, learned from those that were settled. Pure.

Four measures of a model at a provider, each a moving mean and spread of logarithms:

input     tokens read over those estimated
output    tokens written
share     tokens written over the cap that was sent
seconds   of machine time, where a service bills it

A budget with `reserve = "expected"` holds what all but a few of these calls stay below; the plan
shows what they use on average. Outputs are judged by two measures, and the larger counts: a short
answer under a small cap says little of what a large one would let the model write.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

Measure = Literal["input", "output", "share", "seconds"]

FEWEST = 20  # calls that say enough
WEIGHT = 0.05  # of the newest call, once there are many
DEVIATIONS = 2.0  # above the mean: 39 of 40 calls of a model whose logarithms spread normally
RARE = 1 / 40  # calls that exceed the mark, however they spread
STEP = 0.6  # of the spread, by which the mark rises for a call above it
LEAST_SPREAD = 0.1  # who has always answered alike may yet answer otherwise
FARTHEST = 50.0  # logarithms of what no call uses


@dataclass(frozen=True, slots=True)
class Learned:
    """The mean and variance of a measure's logarithms, over how many calls. `high` is a mark that
    rises by a step for a call above it and sinks by a thirty-ninth of one for a call below: where
    it stays, one call of forty is above it, whatever becomes of the others."""

    mean: float
    variance: float
    high: float
    samples: int

    @property
    def spread(self) -> float:
        return max(math.sqrt(max(self.variance, 0.0)), LEAST_SPREAD)

    @property
    def usual(self) -> float:
        return math.exp(min(self.mean + self.variance / 2, FARTHEST))

    @property
    def safe(self) -> float:
        """What few calls exceed."""
        return math.exp(min(max(self.mean + DEVIATIONS * self.spread, self.high), FARTHEST))


def heard(before: Learned | None, value: float) -> Learned:
    """The measure after one more call; what is not above nothing counts as very little."""
    found = math.log(max(value, 1e-6))
    if before is None:
        return Learned(found, 0.0, found, 1)
    weight = max(WEIGHT, 1 / (before.samples + 1))
    away = found - before.mean
    after = replace(
        before,
        mean=before.mean + weight * away,
        variance=(1 - weight) * (before.variance + weight * away * away),
        samples=before.samples + 1,
    )
    step = STEP * after.spread
    moved = step if found > before.high else -step * RARE / (1 - RARE)
    return replace(after, high=before.high + moved)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a model at a provider. A measure of too few calls says nothing."""

    measures: Mapping[Measure, Learned]

    def known(self, measure: Measure) -> Learned | None:
        found = self.measures.get(measure)
        return found if found is not None and found.samples >= FEWEST else None

    def input_usual(self, estimated: int) -> int:
        found = self.known("input")
        return estimated if found is None else math.ceil(estimated * found.usual)

    def input_safe(self, estimated: int, most: int) -> int:
        """Tokens few calls of this size exceed, never fewer than estimated; `most` where nobody
        knows."""
        found = self.known("input")
        return most if found is None else bounded(estimated * found.safe, estimated, most)

    def output_usual(self, cap: int, otherwise: int) -> int:
        found = self.known("output")
        return min(cap, otherwise if found is None else math.ceil(found.usual))

    def output_safe(self, cap: int) -> int:
        """Tokens few answers under this cap exceed; the cap where nobody knows."""
        written, share = self.known("output"), self.known("share")
        if written is None or share is None:
            return cap
        return bounded(max(written.safe, share.safe * cap), 0, cap)

    @property
    def seconds_usual(self) -> Decimal:
        found = self.known("seconds")
        return Decimal(0) if found is None else Decimal(math.ceil(found.usual))

    def seconds_safe(self, most: int) -> int:
        found = self.known("seconds")
        return most if found is None else bounded(found.safe, 1, most)


UNKNOWN = Estimate({})


def bounded(value: float, least: int, most: int) -> int:
    return min(most, max(least, math.ceil(min(value, most))))


def lesson(
    *, read: int | None, wrote: int | None, estimated: int, cap: int, seconds: float | None
) -> dict[Measure, float]:
    """What an answer teaches whose usage the provider counted."""
    said: dict[Measure, float] = {}
    if read and estimated > 0:
        said["input"] = read / estimated
    if wrote is not None and cap > 0:
        said |= {"output": max(wrote, 1), "share": max(wrote, 1) / cap}
    if seconds is not None:
        said["seconds"] = seconds
    return said
