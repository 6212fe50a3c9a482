"""What goes on while the ledger fails: calls that cost nothing. What costs money is refused, since
nobody could say whether it is within its budgets."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from ..providers.prices import Rates
from .books import Looking, Opened, snapshot
from .budgets import Window
from .candidates import Offer, Plan, Room, Snapshot
from .errors import LedgerUnavailable
from .ledger.driver import Connection
from .ledger.store import Ledger
from .reasons import Block

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0  # how long a call that costs nothing waits for the ledger
NO_PLACE = Block("ledger", "costs money, and the ledger cannot be used")
OPENED = Opened(epochs={})


def is_free(rates: Rates | None) -> bool:
    """Can a call at these rates cost nothing at all?"""
    if rates is None:
        return False
    tokens = (rates.input, rates.output, rates.cached, rates.cache_write)
    apart = (rates.per_request, rates.per_second, rates.per_image)
    return not any(tokens + apart) and not rates.tiers


async def seen(
    ledger: Ledger, looking: Looking, offers: Sequence[Offer]
) -> tuple[Snapshot, LedgerUnavailable | None]:
    """The state of the machine; and while it cannot be read, one in which only free models have a
    place, with the reason. Who writes knows better than who reads why there is no ledger."""
    try:
        return await ledger.read(snapshot, looking), None
    except LedgerUnavailable as failure:
        reason = failure
    try:
        await ledger.write(nothing)
        return await ledger.read(snapshot, looking), None
    except LedgerUnavailable as failure:
        reason = failure
    logger.warning("the ledger cannot be used: %s", reason)
    return blind(offers, looking.windows, looking.now), reason


def nothing(db: Connection) -> None:
    """What is written to learn whether anything can be."""


def blind(offers: Iterable[Offer], windows: Iterable[Window], now: float) -> Snapshot:
    blocks: Mapping[tuple[str, str], Block] = {
        offer.key: NO_PLACE for offer in offers if not is_free(offer.rates)
    }
    rooms = {
        window.budget: Room(limit_nano=window.limit_nano, free_nano=0, resets_at=window.end)
        for window in windows
    }
    return Snapshot(now=now, blocks=blocks, rooms=rooms)


def is_why(plan: Plan) -> bool:
    """Is the ledger the reason that there is nothing to try?"""
    return not plan.candidates and any(each.reason == "ledger" for each in plan.excluded)


def busy(waited_s: float) -> LedgerUnavailable:
    """A call whose time was up before it could note what it was about to spend."""
    return LedgerUnavailable(
        f"The ledger is busy: another Roundhouse process has held it for {waited_s:g} s.",
        next_step="Try again; if it stays so, run `roundhouse doctor`.",
        retryable=True,
    )
