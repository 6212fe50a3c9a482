"""What a call costs: rates as integers, the cost of what was used, the most a call can cost.

Rates are nano-dollars per million tokens. They come from the user's configuration, else from
prices.toml, else from genai-prices (loaded at first use, each model resolved once and kept half an
hour, since some prices change by the hour); local models cost nothing; None means the price is not
known. What a provider itself says of a bill is read in reported.py.
"""

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from .catalog import Provider
from .types import Usage

MILLION = 1_000_000
NANO = 1_000_000_000
PRICE_SPAN_S = 1800
SUFFIX = "{suffix}"  # what follows the colon in a model's name
CLOUD_SUFFIXES = ("-cloud", ":cloud")
SHIPPED = Path(__file__).with_name("prices.toml")
LONGEST_S = 600  # of machine time; no call of ours runs longer


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
    """Nano-dollars per million tokens, and where they come from: `config`, `override` with its day,
    `local`, or the price table with its version. `tiers` are in ascending order. `per_request`,
    `per_second` (of machine time) and `per_image` (read) are nano-dollars, and come on top."""

    input: int
    output: int
    cached: int
    cache_write: int
    source: str
    tiers: tuple[Tier, ...] = ()
    per_request: int = 0
    per_second: int = 0
    per_image: int = 0

    @property
    def by_time_alone(self) -> bool:
        return self.per_second > 0 and not (self.input or self.output or self.tiers)

    def at(self, tokens: int) -> "Rates | Tier":
        """The rates of a request that reads `tokens`."""
        return next((tier for tier in reversed(self.tiers) if tokens > tier.above), self)


FREE = Rates(input=0, output=0, cached=0, cache_write=0, source="local")


def per_million(usd: Decimal, multiplier: Decimal = Decimal(1)) -> int:
    """USD per million tokens as nano-dollars, rounded up."""
    return int((usd * multiplier * NANO).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price as people write it: USD per million tokens, per request, per second of machine time
    and per image read. A cached rate left out is the input rate."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    per_request: Decimal = Decimal(0)
    per_second: Decimal = Decimal(0)
    per_image: Decimal = Decimal(0)

    def rates(self, source: str, multiplier: Decimal = Decimal(1)) -> Rates:
        def nano(usd: Decimal | None) -> int:
            return per_million(self.input if usd is None else usd, multiplier)

        return Rates(
            input=nano(self.input),
            output=nano(self.output),
            cached=nano(self.cached),
            cache_write=nano(self.cache_write),
            per_request=nano(self.per_request),
            per_second=nano(self.per_second),
            per_image=nano(self.per_image),
            source=source,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One price of prices.toml: of which models (`provider/model`, wildcards allowed), from which
    day on."""

    pattern: str
    since: date
    price: Price


@lru_cache
def shipped_prices(path: Path = SHIPPED) -> tuple[Row, ...]:
    """Raises KeyError and TypeError for a row that is none."""
    return tuple(map(price_row, tomllib.loads(path.read_text(encoding="utf-8"))["price"]))


def price_row(given: Mapping[str, Any]) -> Row:
    said = dict(given)
    pattern, since, source = said.pop("model"), said.pop("from"), said.pop("source")
    if not source:
        raise TypeError(f"the price of {pattern} does not say where it is from")
    return Row(pattern, since, Price(**{name: Decimal(usd) for name, usd in said.items()}))


def shipped_rates(name: str, multiplier: Decimal, moment: int) -> Rates | None:
    """Our own word on a price. `moment` counts half hours since 1970."""
    today = datetime.fromtimestamp(moment * PRICE_SPAN_S, UTC).date()
    rows = [r for r in shipped_prices() if r.since <= today and fnmatchcase(name, r.pattern)]
    if not rows:
        return None
    row = max(rows, key=lambda each: (each.since, len(each.pattern)))
    return row.price.rates(f"override {row.since}", multiplier)


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
    """The rates of a model at a provider, None where nobody knows them. `overrides` are the user's
    own, named `provider/model`, wildcards allowed; they are final, `multiplier` scales prices of
    ours and of the table only."""
    mine = overridden(f"{provider.name}/{model}", overrides or {})
    if mine is not None:
        return mine
    if runs_here(provider, model):
        return FREE
    moment = int((time.time() if now is None else now) // PRICE_SPAN_S)
    service = provider.price_provider or provider.name
    ours = shipped_rates(f"{service}/{model}", multiplier, moment)
    if ours is not None:
        return ours
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
    table = "genai-prices updated" if snapshot.from_auto_update else "genai-prices"
    source = f"{table} {version('genai-prices')} {row.id}/{found.id}"
    return from_table(vars(prices), multiplier, source)


def from_table(prices: Mapping[str, Any], multiplier: Decimal, source: str) -> Rates | None:
    """A row of the price table as integers; None for what is not priced by tokens alone."""
    if prices.get("input_mtok") is None:
        return None
    thousand = prices.get("requests_kcount") or Decimal(0)
    if not isinstance(thousand, Decimal):
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
    request = per_million(thousand / 1000, multiplier)
    return replace(FREE, **at(0), source=source, tiers=tiers, per_request=request)


def cost(
    rates: Rates,
    usage: Usage,
    seconds: Decimal = Decimal(0),
    *,
    images: int = 0,
    requests: int = 1,
) -> int:
    """Nano-dollars for what was used, rounded up once. The caller fills in what a provider did not
    report; what is still None here counts as none. `seconds` are of machine time."""
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
    if rates.per_second and seconds:
        total += int((rates.per_second * seconds * MILLION).to_integral_value(ROUND_CEILING))
    return rates.per_request * requests + rates.per_image * images - (-total // MILLION)


def bound(
    rates: Rates,
    input_bound: int,
    output_cap: int,
    *,
    images: int = 0,
    seconds: int = LONGEST_S,
    requests: int = 1,
) -> int:
    """The most a request can cost, or several that share these sizes: that reads at most
    `input_bound` tokens, every one of them at the dearest rate it may meet, writes at most
    `output_cap`, and is stopped at our longest."""
    reachable = [rates, *(tier for tier in rates.tiers if input_bound > tier.above)]
    read = max(max(at.input, at.cached, at.cache_write) for at in reachable)
    write = max(at.output for at in reachable)
    apart = rates.per_request * requests + rates.per_image * images + rates.per_second * seconds
    return apart - (-(input_bound * read + output_cap * write) // MILLION)
