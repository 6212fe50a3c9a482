"""What is known of a cost, and how people read it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..providers.prices import Rates
    from .settings import Settings

CostKind = Literal["none", "actual", "estimated", "presumed", "unknown"]
DOUBT: tuple[CostKind, ...] = ("none", "actual", "estimated", "presumed", "unknown")


def weakest(kinds: Iterable[CostKind]) -> CostKind:
    """How sure a sum is: as sure as its least certain part."""
    return DOUBT[max(map(DOUBT.index, kinds), default=0)]


def own_prices(settings: "Settings") -> "dict[str, Rates]":
    """The user's own prices, by `provider/model`."""
    from ..providers.prices import Price  # dear to import, and the terminal interface needs none

    return {
        name: Price(
            input=said.input,
            output=said.output,
            cached=said.cached,
            cache_write=said.cache_write,
            per_request=said.per_request,
            per_second=said.per_second,
            per_image=said.per_image,
        ).rates("config")
        for name, said in settings.prices.items()
    }


def dollars(nano: int) -> str:
    """`$0.0312`: at least two digits after the point, at most six."""
    usd = nano / 1e9
    return f"${usd:.2f}" if usd >= 100 else f"${usd:.6f}".rstrip("0").ljust(5, "0")


def list_price(known: "Rates | None") -> str:
    """`$1.25 in, $10 out` per million tokens; `$0.02 in` where nothing is written."""
    if known is None:
        return "price unknown"
    if known.source == "local":
        return "local"
    said = [
        f"${nano / 1e9:g} {unit}"
        for nano, unit in (
            (known.input, "in"),
            (known.output, "out"),
            (known.per_request, "a request"),
            (known.per_second, "a second"),
            (known.per_image, "an image"),
        )
        if nano
    ]
    return ", ".join(said) or "$0 in"
