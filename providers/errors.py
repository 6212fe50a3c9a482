"""What can go wrong on the far side.

UpstreamError
├── Unreachable      nothing was sent: DNS, connect, TLS handshake
├── NotStarted       an engine of this machine did not start; nothing was sent
├── NotReady         a local program lacks the model, or the memory for it; nothing was sent
├── Misdirected      the row is wrong: certificate, redirect, unknown model or path
├── Locked           401, 403: the key is missing, wrong or not allowed
├── Exhausted        the account is out of money or quota; waiting seconds does not help
├── Throttled        429: too fast; `retry_after_s` when the provider said so
├── Faulted          408, 5xx, 529, or an overload reported inside a stream
├── Conflicted       409: the same request may pass a moment later
├── Refused          400, 413, 422: the same request fails again here
│   └── TooLong      the prompt does not fit this model's context
├── TimedOut         the request was sent and no answer began in time
├── Interrupted      an answer began and was cut off or stalled
└── Garbled          an answer came, but not what the wire promises

What follows from each class is a fact of the class (`circuit`, `hold`, `retry_same`, `fall_back`,
`billing`); `server/retries.py` and `server/circuits.py` only read it.
"""

from typing import ClassVar, Literal

from .types import Chunk

CircuitEffect = Literal["failure", "neutral", "cooldown", "hold"]
Billing = Literal["none", "presumed", "observed"]


class UpstreamError(Exception):
    """A provider did not answer as asked.

    `circuit`: what it does to the circuit. `hold`: the reason a hold is set, if any.
    `retry_same`: one more try at the same provider may help. `fall_back`: another provider may.
    `billing`: what the attempt is charged: nothing, the whole reservation, or what was observed.
    `detail` is one cleaned, bounded line; `body` is the provider's own answer, bounded; neither
    is redacted here (the server does that at one choke point). `billing` of an error reported
    inside an answer that had begun is `observed`, whatever its class says. `heard` is what came
    along with such an error: usage, as a rule.
    """

    circuit: ClassVar[CircuitEffect] = "neutral"
    hold: ClassVar[str | None] = None
    retry_same: ClassVar[bool] = False
    fall_back: ClassVar[bool] = True
    billing: Billing = "none"

    def __init__(
        self,
        provider: str,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        body: str = "",
        request_id: str | None = None,
        model_specific: bool = False,
    ) -> None:
        super().__init__(f"{provider}: {detail}")
        self.provider = provider
        self.detail = detail
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.body = body
        self.request_id = request_id
        self.model_specific = model_specific
        self.heard: Chunk | None = None

    @property
    def kind(self) -> str:
        """The class as a word for ledgers and messages: `timed_out`, `too_long`."""
        return KINDS[type(self)]


class Unreachable(UpstreamError):
    circuit = "failure"
    retry_same = True


class NotStarted(UpstreamError):
    circuit = "failure"


class NotReady(UpstreamError):
    """Its detail says what to do: that may be done, and help, a moment later."""


class Misdirected(UpstreamError):
    circuit = "hold"
    hold = "config"


class Locked(UpstreamError):
    circuit = "hold"
    hold = "auth"


class Exhausted(UpstreamError):
    circuit = "hold"
    hold = "quota"


class Throttled(UpstreamError):
    circuit = "cooldown"
    retry_same = True


class Faulted(UpstreamError):
    circuit = "failure"
    retry_same = True


class Conflicted(UpstreamError):
    retry_same = True


class Refused(UpstreamError):
    fall_back = False


class TooLong(Refused):
    fall_back = True


class TimedOut(UpstreamError):
    circuit = "failure"
    billing = "presumed"


class Interrupted(UpstreamError):
    circuit = "failure"
    billing = "observed"


class Garbled(UpstreamError):
    circuit = "failure"
    billing = "presumed"


KINDS: dict[type[UpstreamError], str] = {
    UpstreamError: "upstream",
    Unreachable: "unreachable",
    NotStarted: "not_started",
    NotReady: "not_ready",
    Misdirected: "misdirected",
    Locked: "locked",
    Exhausted: "exhausted",
    Throttled: "throttled",
    Faulted: "faulted",
    Conflicted: "conflicted",
    Refused: "refused",
    TooLong: "too_long",
    TimedOut: "timed_out",
    Interrupted: "interrupted",
    Garbled: "garbled",
}
