"""What is known of a cost, and how people read it."""

from collections.abc import Iterable
from typing import Literal

CostKind = Literal["none", "actual", "estimated", "presumed", "unknown"]
DOUBT: tuple[CostKind, ...] = ("none", "actual", "estimated", "presumed", "unknown")


def weakest(kinds: Iterable[CostKind]) -> CostKind:
    """How sure a sum is: as sure as its least certain part."""
    return DOUBT[max(map(DOUBT.index, kinds), default=0)]


def dollars(nano: int) -> str:
    """`$0.0312`: at least two digits after the point, at most six."""
    usd = nano / 1e9
    return f"${usd:.2f}" if usd >= 100 else f"${usd:.6f}".rstrip("0").ljust(5, "0")
