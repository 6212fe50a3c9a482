"""What we decline to do, and why.

Declined
├── BadRequest        the arguments make no sense together, or break a limit
├── NoRoute           no candidate is left; `excluded` says why for each
├── OverBudget        a budget does not cover the worst case of this call
├── RateLimited       the client has made its calls of this minute
├── Busy              too many calls wait for the provider already
├── AllFailed         every candidate was tried and failed; `attempts` has them
├── DeadlineExceeded  nothing was answering when the time was up
├── LedgerUnavailable the shared store cannot be read or written
└── NotFound          no such call, model or provider here

ConfigError           the configuration file or environment is wrong (never reaches a model)

Messages are one sentence saying what happened and one saying what to do next; `code` is stable.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class Declined(Exception):
    """Roundhouse itself says no. `code` is stable; `facts` are extra `name: value` lines."""

    code: ClassVar[str] = "declined"

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
        nothing_sent: bool = True,
        facts: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.nothing_sent = nothing_sent
        self.facts = tuple(facts)


class BadRequest(Declined):
    code = "bad_request"


class NotFound(Declined):
    code = "not_found"


class NoRoute(Declined):
    code = "no_route"


class OverBudget(Declined):
    """`budget` is its id (`global/day`), amounts are nano-dollars, `resets_at` epoch seconds."""

    code = "over_budget"

    def __init__(
        self,
        message: str,
        *,
        budget: str,
        needed_nano: int,
        free_nano: int,
        resets_at: float | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(message, **rest)
        self.budget = budget
        self.needed_nano = needed_nano
        self.free_nano = free_nano
        self.resets_at = resets_at


class RateLimited(Declined):
    code = "rate_limited"


class Busy(Declined):
    code = "busy"


class AllFailed(Declined):
    code = "all_failed"


class DeadlineExceeded(Declined):
    code = "deadline_exceeded"


class LedgerUnavailable(Declined):
    code = "ledger_unavailable"


class ConfigError(Exception):
    """One sentence naming file, key and fix."""
