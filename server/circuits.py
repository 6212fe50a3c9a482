"""Is a model at a provider usable now? Pure transitions; the rows live in the ledger.

closed ──threshold failures──> open ──retry_at, one prober──> half_open ──success──> closed
                                 ^                                │
                                 └────failure, or no verdict──────┘

A cooldown (429) and a hold (auth, quota, config, manual) are apart from the state. Every change
of state raises the epoch, and a result counts only under the epoch it was admitted with, so a
slow success from before a trip closes nothing. Keys are (provider, model), and (provider, "*")
for what concerns the whole provider: nobody could connect, the key is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..providers.errors import Unreachable, UpstreamError
from .settings import CircuitSettings

Key = tuple[str, str]
State = Literal["closed", "open", "half_open"]
Kind = Literal["success", "failure", "cooldown", "hold", "neutral"]
VerdictKind = Literal["closed", "probe_due", "refused"]
Refusal = Literal["circuit_open", "half_open", "cooldown", "hold"]

FORGET_S = 300.0
MOST_DOUBLINGS = 10
LONGEST_OPEN_S = 600.0
SPREAD = 0.1
LONGEST_PROBE_S = 120.0
PROBE_MARGIN_S = 5.0
COOLDOWN_S = 10.0
SET_BACK_S = 10.0  # longer than a write waits: what is younger was written by another meanwhile
LONGEST_COOLDOWN_S = 60.0
TRIPPED = "tripped by hand"
HOLD_WORDS: Mapping[str, str] = {
    "auth": "its key was refused",
    "quota": "its account is out of credit or quota",
    "config": "its address or model was not found",
    "manual": "set by hand",
}
HOLD_S: Mapping[str, float | None] = {"auth": 600.0, "quota": 3600.0, "config": 600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many failures in a row open a circuit, and for how long at first."""

    threshold: int = 5
    reset_s: float = 60.0


LOCAL = Policy(threshold=2, reset_s=5.0)


def policy(settings: CircuitSettings, *, local: bool) -> Policy:
    if local:
        return LOCAL
    return Policy(threshold=settings.failure_threshold, reset_s=settings.reset_timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One row. Times are epoch seconds; `cooldown_s` is the length of the last cooldown;
    `hold_key` is the mark of the key that was refused; `hold_note` is what the user said of it."""

    provider: str
    model: str
    state: State = "closed"
    failures: int = 0
    first_failure_at: float | None = None
    opened_at: float | None = None
    retry_at: float | None = None
    open_count: int = 0
    epoch: int = 0
    probe_owner: str | None = None
    probe_lease_until: float | None = None
    cooldown_until: float | None = None
    cooldown_s: float | None = None
    hold_reason: str | None = None
    hold_until: float | None = None
    hold_by: str | None = None
    hold_key: str | None = None
    hold_note: str | None = None
    threshold: int = 5
    changed_at: float = 0.0
    last_ok_at: float | None = None
    last_failure_at: float | None = None
    last_error: str | None = None

    @property
    def key(self) -> Key:
        return self.provider, self.model

    def is_held(self, now: float, mark: str = "") -> bool:
        """`mark` is that of the key a call would use: a key that was refused holds no other."""
        if self.hold_reason is None or passed(self.hold_until, now):
            return False
        if self.hold_until is not None and self.hold_reason != "manual" and self.set_back(now):
            return False
        return not (self.hold_key and mark and self.hold_key != mark)

    def cools(self, now: float) -> bool:
        waits = self.cooldown_until is not None and now < self.cooldown_until
        return waits and not self.set_back(now)

    def set_back(self, now: float) -> bool:
        """Is this of the future? Then the clock was set back since, and nobody knows how much of
        a wait is left: it is over."""
        return self.changed_at > now + SET_BACK_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a call may pass, and under which epoch. `until`: earliest change, None if only by
    hand or not at all. `probe_due`: whoever wins the epoch may try, once."""

    kind: VerdictKind
    epoch: int = 0
    reason: Refusal | None = None
    until: float | None = None
    detail: str = ""


def passed(at: float | None, now: float) -> bool:
    return at is not None and now >= at


def keys(provider: str, model: str) -> tuple[Key, Key]:
    """Both circuits a call passes: the provider's and the model's."""
    return (provider, "*"), (provider, model)


def verdict(
    circuit: Circuit | None, now: float, *, prober_alive: bool = True, mark: str = ""
) -> Verdict:
    """`prober_alive`: whether the owner of the probe under way lives; of use in half_open only.
    `mark`: that of the key the call would use."""
    if circuit is None:
        return Verdict(kind="closed")
    refused = refusal(circuit, now, prober_alive=prober_alive, mark=mark)
    if refused is not None:
        return refused
    kind: VerdictKind = "closed" if circuit.state == "closed" else "probe_due"
    return Verdict(kind=kind, epoch=circuit.epoch)


def refusal(circuit: Circuit, now: float, *, prober_alive: bool, mark: str) -> Verdict | None:
    reason: Refusal
    if circuit.is_held(now, mark):
        reason, until, detail = "hold", circuit.hold_until, on_hold(circuit)
    elif circuit.cools(now):
        reason, until, detail = "cooldown", circuit.cooldown_until, "was told to wait"
    elif circuit.set_back(now):
        return None
    elif circuit.state == "open" and not passed(circuit.retry_at, now):
        reason, until, detail = "circuit_open", circuit.retry_at, failing(circuit)
    elif circuit.state == "half_open" and prober_alive and before(circuit.probe_lease_until, now):
        reason, until, detail = (
            "half_open",
            circuit.probe_lease_until,
            "one call is testing it",
        )
    else:
        return None
    return Verdict(kind="refused", epoch=circuit.epoch, reason=reason, until=until, detail=detail)


def failing(circuit: Circuit) -> str:
    if circuit.last_error == TRIPPED:
        return f"was {TRIPPED}"
    last = f", last {circuit.last_error}" if circuit.last_error else ""
    return f"has {circuit.failures} failures in a row{last}"


def on_hold(circuit: Circuit) -> str:
    reason = circuit.hold_reason or ""
    said = circuit.hold_note or HOLD_WORDS.get(reason, "the provider says so")
    return f"is on hold ({reason}): {said}"


def before(lease_until: float | None, now: float) -> bool:
    return lease_until is not None and now < lease_until


def judge(
    circuits: Mapping[Key, Circuit],
    provider: str,
    model: str,
    now: float,
    *,
    alive: Callable[[str], bool],
    mark: str = "",
) -> tuple[Verdict, tuple[Key, ...]]:
    """The verdict of both circuits together, and the keys whose probe must be won first. `alive`
    is asked only about the owner of a probe under way; `mark` is that of the call's key."""
    due: list[Key] = []
    verdicts: list[Verdict] = []
    for key in keys(provider, model):
        circuit = circuits.get(key)
        prober = circuit.probe_owner if circuit and circuit.state == "half_open" else None
        one = verdict(circuit, now, prober_alive=prober is not None and alive(prober), mark=mark)
        if one.kind == "refused":
            return one, ()
        if one.kind == "probe_due":
            due.append(key)
        verdicts.append(one)
    chosen = next((one for one in verdicts if one.kind == "probe_due"), verdicts[-1])
    return chosen, tuple(due)


def touched(
    provider: str, model: str, error: UpstreamError | None, *, blameless: bool = False
) -> tuple[tuple[Key, Kind], ...]:
    """What the end of an attempt means for each circuit; `error` None is a success. Whoever was
    answered at all, be it an error, could connect. `blameless`: the caller's own short deadline,
    not the provider's fault."""
    whole, one = keys(provider, model)
    if error is None:
        return (whole, "success"), (one, "success")
    if isinstance(error, Unreachable):
        return (whole, "neutral" if blameless else "failure"), (one, "neutral")
    if error.circuit == "hold" and not error.model_specific:
        return (whole, "hold"), (one, "neutral")
    return (whole, "success"), (one, "neutral" if blameless else error.circuit)


# Transitions: a circuit and what happened -> the circuit as it is then, the same object if nothing
# changes. `jitter` is a draw in [0, 1), stored in `retry_at` so that all processes agree.


def is_probe(circuit: Circuit, epoch: int) -> bool:
    return circuit.state == "half_open" and circuit.epoch == epoch


def succeeded(circuit: Circuit, epoch: int, now: float) -> Circuit:
    """Nothing to write on the happy path: closed, no failures, nothing run out to clear away."""
    if circuit.epoch != epoch or circuit.state == "open":
        return circuit
    if circuit.state == "half_open":
        return replace(closed(circuit, now), last_ok_at=now)
    stale_hold = circuit.hold_reason is not None and not circuit.is_held(now)
    if not circuit.failures and not stale_hold:
        return circuit
    cleared = lifted(circuit, now) if stale_hold else circuit
    return replace(cleared, failures=0, first_failure_at=None, last_ok_at=now)


def closed(circuit: Circuit, now: float) -> Circuit:
    return replace(
        circuit,
        state="closed",
        failures=0,
        first_failure_at=None,
        opened_at=None,
        retry_at=None,
        open_count=0,
        epoch=circuit.epoch + 1,
        probe_owner=None,
        probe_lease_until=None,
        changed_at=now,
    )


def opened(circuit: Circuit, now: float, *, policy: Policy, jitter: float) -> Circuit:
    """Open for the reset time, doubled with each opening in a row, at most ten times as long."""
    count = circuit.open_count + 1
    wait = min(policy.reset_s * min(2 ** min(count - 1, 8), MOST_DOUBLINGS), LONGEST_OPEN_S)
    return replace(
        circuit,
        state="open",
        opened_at=now,
        retry_at=now + wait * (1 - SPREAD + 2 * SPREAD * jitter),
        open_count=count,
        epoch=circuit.epoch + 1,
        probe_owner=None,
        probe_lease_until=None,
        changed_at=now,
    )


def failed(
    circuit: Circuit, epoch: int, now: float, *, policy: Policy, jitter: float, error: str
) -> Circuit:
    """One more failure in a row; one long ago does not count any more."""
    if circuit.epoch != epoch or circuit.state == "open":
        return circuit
    old = passed(circuit.first_failure_at, now - FORGET_S) and circuit.state == "closed"
    first = circuit.first_failure_at
    failing = replace(
        circuit,
        failures=1 if old else circuit.failures + 1,
        first_failure_at=now if old or first is None else first,
        threshold=policy.threshold,
        changed_at=circuit.changed_at or now,
        last_failure_at=now,
        last_error=error,
    )
    if circuit.state == "half_open" or failing.failures >= policy.threshold:
        return opened(failing, now, policy=policy, jitter=jitter)
    return failing


def cooled(
    circuit: Circuit, epoch: int, now: float, *, until: float | None = None, error: str = ""
) -> Circuit:
    """Too fast: wait until the time the provider said; it said none: 10 s, doubling to 60 s while
    it goes on. An answer all the same, so a probe ends without a verdict."""
    last = circuit.cooldown_s or 0.0
    goes_on = circuit.cooldown_until is not None and now < circuit.cooldown_until + last
    length = min(max(COOLDOWN_S, 2 * last if goes_on else 0.0), LONGEST_COOLDOWN_S)
    if circuit.cools(now):
        length = last  # answers to requests that were under way together count once
    wait_until = now + length if until is None else until
    return replace(
        neutral_probe(circuit, epoch, now),
        cooldown_until=max(wait_until, (circuit.cools(now) and circuit.cooldown_until) or 0.0),
        cooldown_s=length if until is None else circuit.cooldown_s,
        changed_at=circuit.changed_at if circuit.cools(now) else now,
        last_error=error or circuit.last_error,
    )


def held(
    circuit: Circuit,
    epoch: int,
    now: float,
    *,
    reason: str,
    by: str,
    until: float | None = None,
    error: str = "",
    mark: str | None = None,
    note: str | None = None,
) -> Circuit:
    """Not to be used until a time, or until lifted by hand. A hold by hand stays what it is."""
    if circuit.hold_reason == "manual" and circuit.is_held(now) and reason != "manual":
        return circuit
    limit = HOLD_S.get(reason)
    return replace(
        neutral_probe(circuit, epoch, now),
        hold_reason=reason,
        hold_until=now + limit if until is None and limit is not None else until,
        hold_by=by,
        hold_key=mark if reason == "auth" else None,
        hold_note=note,
        changed_at=now,
        last_error=error or circuit.last_error,
    )


def lifted(circuit: Circuit, now: float) -> Circuit:
    """No hold any more: by hand, or because the key is another one."""
    if circuit.hold_reason is None:
        return circuit
    return replace(
        circuit,
        hold_reason=None,
        hold_until=None,
        hold_by=None,
        hold_key=None,
        hold_note=None,
        changed_at=now,
    )


def neutral_probe(circuit: Circuit, epoch: int, now: float) -> Circuit:
    """A probe that ended without a verdict (cancelled, the caller's fault): the next may probe."""
    if not is_probe(circuit, epoch):
        return circuit
    return replace(
        circuit,
        state="open",
        retry_at=now,
        epoch=circuit.epoch + 1,
        probe_owner=None,
        probe_lease_until=None,
        changed_at=now,
    )


def probing(circuit: Circuit, now: float, *, owner: str, lease_until: float) -> Circuit:
    return replace(
        circuit,
        state="half_open",
        probe_owner=owner,
        probe_lease_until=lease_until,
        epoch=circuit.epoch + 1,
        changed_at=now,
    )


def probe_lease(now: float, attempt_timeout_s: float) -> float:
    """Until when a probe counts as under way."""
    return now + min(attempt_timeout_s + PROBE_MARGIN_S, LONGEST_PROBE_S)


def tripped(circuit: Circuit, now: float, *, policy: Policy, jitter: float) -> Circuit:
    """Opened by hand."""
    return replace(opened(circuit, now, policy=policy, jitter=jitter), last_error=TRIPPED)


def due(circuit: Circuit, now: float) -> Circuit:
    """Open no longer than now: the next call tests it."""
    if circuit.state != "open" or passed(circuit.retry_at, now):
        return circuit
    return replace(circuit, retry_at=now)


def reset(circuit: Circuit, now: float) -> Circuit:
    """Closed by hand, and no cooldown any more; a hold stays."""
    return replace(closed(circuit, now), cooldown_until=None, cooldown_s=None)
