"""What a call costs: rates as integers, the cost of what was used, the most a call can cost.

Rates are nano-dollars per million tokens. They come from the user's overrides, else from
genai-prices (loaded at first use, each model resolved once and kept half an hour, since some
prices change by the hour); local models cost nothing; None means the price is not known.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from .catalog import Provider
from .types import Usage

MILLION = 1_000_000
NANO = 1_000_000_000
PRICE_SPAN_S = 1800
SUFFIX = "{suffix}"  # what follows the colon in a model's name
CLOUD_SUFFIXES = ("-cloud", ":cloud")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of a whole request that reads more than `above` tokens."""

    above: int
    input: int
    output: int
    cached: int
    cache_write: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-dollars per million tokens, and where they come from: `override`, `local` or the price
    table with its version. `tiers` are in ascending order."""

    input: int
    output: int
    cached: int
    cache_write: int
    source: str
    tiers: tuple[Tier, ...] = ()

    def at(self, tokens: int) -> "Rates | Tier":
        """The rates of a request that reads `tokens`."""
        return next((tier for tier in reversed(self.tiers) if tokens > tier.above), self)


FREE = Rates(input=0, output=0, cached=0, cache_write=0, source="local")


def per_million(usd: Decimal, multiplier: Decimal = Decimal(1)) -> int:
    """USD per million tokens as nano-dollars, rounded up."""
    return int((usd * multiplier * NANO).to_integral_value(ROUND_CEILING))


def override(
    *,
    input: Decimal,  # noqa: A002 (the word of the configuration)
    output: Decimal = Decimal(0),
    cached: Decimal | None = None,
    cache_write: Decimal | None = None,
) -> Rates:
    """The user's own price, in USD per million tokens. A cached rate left out is the input rate."""
    return Rates(
        input=per_million(input),
        output=per_million(output),
        cached=per_million(input if cached is None else cached),
        cache_write=per_million(input if cache_write is None else cache_write),
        source="override",
    )


def runs_here(provider: Provider, model: str) -> bool:
    """Does the provider's own machine run the model? Local programs also pass some on to a cloud,
    and mark those by name."""
    return provider.local and not model.endswith(CLOUD_SUFFIXES)


def rates(
    provider: Provider,
    model: str,
    *,
    overrides: Mapping[str, Rates] | None = None,
    multiplier: Decimal = Decimal(1),
    now: float | None = None,
) -> Rates | None:
    """The rates of a model at a provider, None where nobody knows them. `overrides` are named
    `provider/model`, wildcards allowed; they are final, `multiplier` scales table prices only."""
    mine = overridden(f"{provider.name}/{model}", overrides or {})
    if mine is not None:
        return mine
    if runs_here(provider, model):
        return FREE
    moment = int((time.time() if now is None else now) // PRICE_SPAN_S)
    service = provider.price_provider or provider.name
    if SUFFIX in service:
        model, _, suffix = model.partition(":")
        service = service.replace(SUFFIX, suffix)
    return table_rates(service, provider.base_url, model, multiplier, moment)


def overridden(name: str, overrides: Mapping[str, Rates]) -> Rates | None:
    if name in overrides:
        return overrides[name]
    matching = [pattern for pattern in overrides if fnmatchcase(name, pattern)]
    return overrides[max(matching, key=len)] if matching else None


@lru_cache(maxsize=4096)
def table_rates(
    service: str, base_url: str, model: str, multiplier: Decimal, moment: int
) -> Rates | None:
    """One look into the price table. `moment` counts half hours since 1970."""
    # 35 ms and 4 MB: only when a price is due.
    from importlib.metadata import version

    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    try:
        row, found = snapshot.find_provider_model(model, None, service, None)
    except LookupError:
        try:
            row, found = snapshot.find_provider_model(model, None, None, base_url)
        except LookupError:
            return None
    prices = found.get_prices(datetime.fromtimestamp(moment * PRICE_SPAN_S, UTC))
    source = f"genai-prices {version('genai-prices')} {row.id}/{found.id}"
    return from_table(vars(prices), multiplier, source)


def from_table(prices: Mapping[str, Any], multiplier: Decimal, source: str) -> Rates | None:
    """A row of the price table as integers; None for what is not priced by tokens alone."""
    if prices.get("input_mtok") is None or prices.get("requests_kcount"):
        return None
    starts = sorted({tier.start for p in prices.values() for tier in getattr(p, "tiers", ())})

    def at(tokens: int) -> dict[str, int]:
        def rate(key: str, otherwise: str | None) -> int:
            price = prices.get(key)
            if price is None:
                return rate(otherwise, None) if otherwise else 0
            applies = [t.price for t in getattr(price, "tiers", ()) if tokens > t.start]
            usd: Decimal = applies[-1] if applies else getattr(price, "base", price)
            return per_million(usd, multiplier)

        return {
            "input": rate("input_mtok", None),
            "output": rate("output_mtok", None),
            "cached": rate("cache_read_mtok", "input_mtok"),
            "cache_write": rate("cache_write_mtok", "input_mtok"),
        }

    tiers = tuple(Tier(above=start, **at(start + 1)) for start in starts)
    return replace(FREE, **at(0), source=source, tiers=tiers)


def cost(rates: Rates, usage: Usage) -> int:
    """Nano-dollars for what was used, rounded up once. The caller fills in what a provider did not
    report; what is still None here counts as none."""
    read = usage.input or 0
    cached = min(usage.cached or 0, read)
    written = min(usage.cache_write or 0, read - cached)
    at = rates.at(read)
    total = (
        (read - cached - written) * at.input
        + cached * at.cached
        + written * at.cache_write
        + (usage.output or 0) * at.output
    )
    return -(-total // MILLION)


def bound(rates: Rates, input_bound: int, output_cap: int) -> int:
    """The most a request can cost that reads at most `input_bound` tokens, every one of them at
    the dearest rate it may meet, and writes at most `output_cap`."""
    reachable = [rates, *(tier for tier in rates.tiers if input_bound > tier.above)]
    read = max(max(at.input, at.cached, at.cache_write) for at in reachable)
    write = max(at.output for at in reachable)
    return -(-(input_bound * read + output_cap * write) // MILLION)
