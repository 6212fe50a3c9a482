"""What is known of a cost, and how people read it."""

from collections.abc import Iterable
from typing import Literal

from ..providers.prices import Rates

CostKind = Literal["none", "actual", "estimated", "presumed", "unknown"]
DOUBT: tuple[CostKind, ...] = ("none", "actual", "estimated", "presumed", "unknown")


def weakest(kinds: Iterable[CostKind]) -> CostKind:
    """How sure a sum is: as sure as its least certain part."""
    return DOUBT[max(map(DOUBT.index, kinds), default=0)]


def dollars(nano: int) -> str:
    """`$0.0312`: at least two digits after the point, at most six."""
    usd = nano / 1e9
    return f"${usd:.2f}" if usd >= 100 else f"${usd:.6f}".rstrip("0").ljust(5, "0")


def list_price(known: Rates | None) -> str:
    """`$1.25 in, $10 out` per million tokens; `$0.02 in` where nothing is written."""
    if known is None:
        return "price unknown"
    if known.source == "local":
        return "local"
    read = f"${known.input / 1e9:g} in"
    return f"{read}, ${known.output / 1e9:g} out" if known.output else read
