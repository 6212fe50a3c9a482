"""What providers themselves say of the bill of an answer, over all its parts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..providers import reported

if TYPE_CHECKING:
    from .run import Run, Trying


def named(run: "Run", trying: "Trying") -> int | None:
    """Nano-dollars, if the provider named what it bills for every part of the answer."""
    provider = trying.candidate.offer.provider
    amounts = [reported.cost_nano(provider, usage) for usage in usages(run, trying)]
    known = [nano for nano in amounts if nano is not None]
    return sum(known) if amounts and len(known) == len(amounts) else None


def seconds(run: "Run", trying: "Trying") -> Decimal | None:
    """Machine time, if the provider named it for every part of the answer."""
    provider = trying.candidate.offer.provider
    times = [reported.seconds(provider, usage) for usage in usages(run, trying)]
    known = [each for each in times if each is not None]
    return sum(known, Decimal(0)) if times and len(known) == len(times) else None


def usages(run: "Run", trying: "Trying") -> list[Mapping[str, Any] | None]:
    """The usage objects as sent: of the answer, or of each batch of an embedding."""
    if run.completion is not None:
        return [run.completion.raw_usage]
    return [part.raw_usage for part in trying.parts]
