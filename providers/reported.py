"""What a provider itself says of an answer's bill, read from its usage object as sent."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from math import isfinite
from typing import Any, cast

from .catalog import Provider
from .prices import NANO


def cost_nano(provider: Provider, usage: Mapping[str, Any] | None) -> int | None:
    """Nano-dollars the provider says it bills, rounded up; None where it does not say. With a key
    of the user's own behind the service, what is billed there counts as well."""
    if provider.cost_field is None or usage is None:
        return None
    billed = number(usage, provider.cost_field)
    beside = provider.cost_beside
    if beside and value(usage, beside["when"]):
        there = number(usage, beside["field"])
        billed = None if billed is None or there is None else billed + there
    if billed is None:
        return None
    nano = billed * NANO / provider.cost_units
    return int(nano.to_integral_value(ROUND_CEILING))


def seconds(provider: Provider, usage: Mapping[str, Any] | None) -> Decimal | None:
    """The machine time the provider says it took; None where it does not say."""
    if provider.seconds_field is None or usage is None:
        return None
    return number(usage, provider.seconds_field)


def number(usage: Mapping[str, Any], path: str) -> Decimal | None:
    """A count or an amount as sent; None for what is none."""
    found = value(usage, path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not isfinite(found):
        return None
    return Decimal(str(found)) if found >= 0 else None


def value(usage: Mapping[str, Any], path: str) -> object:
    """What stands at a path such as `cost.total_cost`."""
    found: object = usage
    for name in path.split("."):
        found = cast("Mapping[str, object]", found).get(name) if isinstance(found, dict) else None
    return found
