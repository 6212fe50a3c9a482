"""How fast a provider may be used, as the user says: requests and tokens a minute, requests a day.
Counted in the ledger over all processes. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from .reasons import Block

MINUTE_S = 60.0
DAY_S = 86_400.0


class Allowance(NamedTuple):
    """None: not limited."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None

    @property
    def limited(self) -> bool:
        return any(limit is not None for limit in (self.rpm, self.tpm, self.rpd))


UNLIMITED = Allowance()


class Used(NamedTuple):
    """What was used within the last minute and day. `oldest` is when the first request of the span
    began, so that its end frees a place."""

    minute: int = 0
    minute_tokens: int = 0
    minute_oldest: float = 0.0
    day: int = 0
    day_oldest: float = 0.0


def block(allowance: Allowance, used: Used, tokens: int) -> Block | None:
    """Why one more request of this many tokens would be too much, and until when, if it would."""
    return next(blocks(allowance, used, tokens), None)


def blocks(allowance: Allowance, used: Used, tokens: int) -> Iterator[Block]:
    rpm, tpm, rpd = allowance.rpm, allowance.tpm, allowance.rpd
    if rpd is not None and used.day >= rpd:
        yield said(f"has had {used.day} of {rpd} requests a day (rpd)", used.day_oldest + DAY_S)
    until = used.minute_oldest + MINUTE_S
    if rpm is not None and used.minute >= rpm:
        yield said(f"has had {used.minute} of {rpm} requests a minute (rpm)", until)
    # A request larger than the whole allowance may go out when nothing else does.
    if tpm is not None and used.minute and used.minute_tokens + tokens > tpm:
        yield said(
            f"has read and written {used.minute_tokens:,} of {tpm:,} tokens a minute (tpm), "
            f"and this needs about {tokens:,}",
            until,
        )


def said(detail: str, until: float) -> Block:
    return Block(reason="rate_limit", detail=detail, until=until)
