"""After a failed attempt: once more here, on to the next candidate, or stop. Pure."""

from dataclasses import dataclass
from typing import Literal

from ..providers.errors import Throttled, UpstreamError

THROTTLE_BASE_S = 1.0
CAP_S = 8.0
LONGEST_WAIT_S = 5.0
MOST_TOKENS = 10.0
GIVEN = 0.1


@dataclass(frozen=True, slots=True)
class Next:
    """`wait_s` applies to `again` only; `why` is a few words for the ledger."""

    step: Literal["again", "next", "stop"]
    wait_s: float = 0.0
    why: str = ""


@dataclass(slots=True)
class Bucket:
    """Tokens for retries, of one provider in one process: a failure's retry takes one, a success
    gives back a tenth, and below half there are none. A provider that fails for everybody is not
    asked twice by everybody (gRPC's retry throttling)."""

    tokens: float = MOST_TOKENS

    @property
    def may_retry(self) -> bool:
        return self.tokens > MOST_TOKENS / 2

    def take(self) -> None:
        self.tokens = max(0.0, self.tokens - 1)

    def give(self) -> None:
        self.tokens = min(MOST_TOKENS, self.tokens + GIVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the call has come: attempts made at this candidate and in all (the failed one
    included), candidates left after this one, seconds left, and a draw in [0, 1) for jitter.
    `may_retry`: the provider's bucket has tokens."""

    here: int
    total: int
    candidates_left: int
    remaining_s: float
    jitter: float
    may_retry: bool = True


def backoff_s(error: UpstreamError, tries: int, *, base_s: float, jitter: float) -> float:
    """Full jitter under a doubling ceiling; a provider's own wait wins."""
    if error.retry_after_s is not None:
        return error.retry_after_s
    base = THROTTLE_BASE_S if isinstance(error, Throttled) else base_s
    return jitter * min(base * 2 ** (tries - 1), CAP_S)


def in_vain(error: UpstreamError, *, cools: bool) -> bool:
    """Would a second try here meet the cooldown the first one began? Told to slow down without a
    time, a circuit waits longer than a call does."""
    return cools and isinstance(error, Throttled) and error.retry_after_s is None


def after(
    error: UpstreamError, progress: Progress, *, per_provider: int, per_call: int, base_s: float
) -> Next:
    """What to do about `error`. Another provider that may answer now beats a long wait here, and
    keeps an attempt of its own: two that are down do not use up the turn of a third."""
    if progress.total >= per_call:
        return Next("stop", why=f"{per_call} attempts are the limit of one call")
    spare = per_call - progress.total - progress.candidates_left
    if error.retry_same and progress.may_retry and progress.here < per_provider and spare > 0:
        wait = backoff_s(error, progress.here, base_s=base_s, jitter=progress.jitter)
        if wait <= LONGEST_WAIT_S and wait < progress.remaining_s:
            return Next("again", wait, "retry-after" if error.retry_after_s else "backoff")
    if error.fall_back and progress.candidates_left and progress.remaining_s > 0:
        return Next("next")
    return Next("stop")
