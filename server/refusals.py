"""The words for calls that got no answer: what happened, and what would change it. Pure."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from operator import itemgetter

from ..providers.errors import UpstreamError
from .candidates import Candidate, Excluded
from .errors import Declined, NoRoute, OverBudget
from .listed import Listed
from .moments import duration
from .money import dollars
from .outcomes import Failed, Late
from .results import iso
from .run import Run

IN_FULL = 4
SHOWN = "route_for_task shows every reason; provider_health shows what is up."
PRICELESS = "Give its price in config.toml under [prices], or set routing.allow_unpriced."
EASE = "Lower max_tokens, use a local model, or raise the budget."
REASON_WORDS = {
    "disabled": "switched off",
    "key_missing": "without a key",
    "not_running": "not running",
    "over_budget": "over budget",
    "ledger": "without a ledger",
    "not_approved": "not approved for this project",
}


def too_late(run: Run) -> Late:
    cost, _ = run.total_cost()
    return Late(
        f"no model had begun to answer after {run.timeout_s:g} s",
        next_step="Raise timeout_s, or name a faster model.",
        call_id=run.call_id,
        attempts=tuple(run.attempts),
        retryable=True,
        nothing_sent=not run.attempts,
        facts=(("cost", amount(cost)),) if run.attempts else (),
    )


def no_route(run: Run) -> Declined:
    """Why nothing is left to try, and what would change that."""
    assert run.plan is not None
    out = within_reach(run, run.plan.excluded)
    money = [e for e in out if e.reason in ("over_budget", "max_cost", "unpriced")]
    others = set_up(out)
    if money and len(money) == len(others):
        return unaffordable(run, money)
    return nowhere(run, out, listed(out, others, aimed(run)), advice(run, others))


def nowhere(run: Run, out: Sequence[Excluded], why: str, next_step: str) -> NoRoute:
    """Nothing is left to try; and when the first of those left out may be."""
    message = f"no model can take this call: {why}"
    waits = [(e.until, e) for e in out if e.until is not None]
    if not waits:
        return NoRoute(message, next_step=next_step)
    until, first = min(waits, key=itemgetter(0))
    wait_s = max(0.0, until - run.desk.clock())
    soonest = f"{first.provider}/{first.model} can be tried in {duration(wait_s)}, none sooner."
    return NoRoute(
        message, next_step=f"{soonest} {next_step}", retryable=True, retry_after_s=wait_s
    )


def set_up(out: Sequence[Excluded]) -> Sequence[Excluded]:
    return [e for e in out if e.reason not in ("key_missing", "not_running", "disabled")]


def within_reach(run: Run, out: Sequence[Excluded]) -> Sequence[Excluded]:
    """Of a call that must stay on this machine: what is on it, if anything."""
    here = [e for e in out if e.reason != "privacy"]
    return here if run.local_only and here else out


def unaffordable(run: Run, money: Sequence[Excluded]) -> Declined:
    first = money[0]
    if first.budget is None:
        return NoRoute(
            f"no model can take this call: {in_words(money)}",
            next_step=priced(run, first)
            if first.reason == "unpriced"
            else "Raise max_cost_usd, lower max_tokens, or name a cheaper model.",
        )
    free = run.rooms[first.budget].free_nano
    return OverBudget(
        f"{first.provider}/{first.model} is over budget: it {first.detail}",
        next_step=f"{what_fits(run)} {reset(run, first)}".strip(),
        budget=first.budget,
        needed_nano=first.needed_nano,
        free_nano=free,
        resets_at=first.until,
        facts=(
            ("budget", first.budget),
            ("needed", dollars(first.needed_nano)),
            ("left", dollars(free)),
            *((("resets_at", iso(first.until)),) if first.until is not None else ()),
        ),
    )


def priced(run: Run, unpriced: Excluded) -> str:
    """A name without a price may be a name misspelled."""
    known, name = set(run.desk.registry.model_names()), f"{unpriced.provider}/{unpriced.model}"
    near = [] if name in known else get_close_matches(name, known, 1)
    return f"Did you mean {near[0]!r}? {PRICELESS}" if near else PRICELESS


def what_fits(run: Run) -> str:
    """The cheapest model that would take this call, and the cheapest on this machine."""
    fitting = run.plan.fitting if run.plan else ()
    local = next((c for c in fitting if c.offer.private == "local"), None)
    first = next(iter(fitting), None)
    said = [f"{name_of(first)} ({price_of(first)})"] if first else []
    said += [f"{name_of(local)} on this machine"] if local and local is not first else []
    if said:
        return f"What fits: {', or '.join(said)}."
    return f"Nothing that could take this call fits. {EASE}"


def name_of(candidate: Candidate) -> str:
    return f"{candidate.offer.provider.name}/{candidate.offer.model}"


def price_of(candidate: Candidate) -> str:
    if candidate.bound_nano is None:
        return "its price is not known"
    return f"at most {dollars(candidate.bound_nano)}" if candidate.bound_nano else "free"


def reset(run: Run, first: Excluded) -> str:
    if first.until is None:
        return ""
    wait_s = max(0.0, first.until - run.desk.clock())
    return f"Budget {first.budget} begins anew in {duration(wait_s)}."


def aimed(run: Run) -> bool:
    """Did the caller say where the call should go, so that only that needs explaining?"""
    return bool(run.wish.model or run.wish.provider or run.local_only)


def listed(out: Sequence[Excluded], others: Sequence[Excluded], aimed: bool) -> str:
    """What there is and cannot be used; of a machine with nothing set up, just that."""
    if others or (aimed and out):
        return in_words(others or out)
    return "no provider that is switched on has a key, and no local program answers"


def in_words(excluded: Sequence[Excluded]) -> str:
    """The reasons, a few in full and the rest counted by their words."""
    shown = [
        f"{e.provider}/{e.model} {e.detail or REASON_WORDS[e.reason]}" for e in excluded[:IN_FULL]
    ]
    counts = Counter(e.reason for e in excluded[IN_FULL:])
    rest = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return "; ".join(shown) + (f" and {counts.total()} more ({rest})" if rest else "")


def advice(run: Run, others: Sequence[Excluded]) -> str:
    unapproved = next((e.provider for e in others if e.reason == "not_approved"), None)
    if unapproved is not None:
        return f"The user can change that with `roundhouse approve --provider {unapproved}`."
    if others:
        return SHOWN
    if aimed(run):
        return "`roundhouse doctor` says what is missing."
    return run.registry.what_would_enable()


def all_failed(run: Run) -> Declined:
    """Every attempt failed, or the money went elsewhere between plan and attempt."""
    if not run.attempts:
        return run.refusal or taken(run)
    error = run.last_error
    last = run.attempts[-1]
    several = f" (the last of {len(run.attempts)} attempts)" if len(run.attempts) > 1 else ""
    status = f"HTTP {last.http_status}, " if last.http_status else ""
    cost, _ = run.total_cost()
    return Failed(
        f"{last.provider}/{last.model} {last.outcome.replace('_', ' ')}{several}: "
        f"{status}{last.detail or 'no detail'}",
        next_step=next_step(run),
        call_id=run.call_id,
        attempts=tuple(run.attempts),
        raw=run.desk.redactor.text(error.body) if error else "",
        retryable=bool(error and (error.retry_same or error.circuit == "failure")),
        retry_after_s=error.retry_after_s if error else None,
        nothing_sent=False,
        facts=(
            ("provider", last.provider),
            *((("http_status", str(last.http_status)),) if last.http_status else ()),
            ("cost", amount(cost)),
        ),
    )


def taken(run: Run) -> Declined:
    """Other calls were faster at every candidate of the plan."""
    out = (*run.passed_by, *within_reach(run, run.plan.excluded if run.plan else ()))
    declined = nowhere(run, out, in_words(set_up(out)) or "others were faster", SHOWN)
    declined.retryable = True
    return declined


def amount(cost_nano: int | None) -> str:
    return "unknown" if cost_nano is None else dollars(cost_nano)


NEXT_STEPS = {
    "locked": "Check the key: `roundhouse doctor` says where it came from.",
    "exhausted": "The account is out of credit or quota; another provider can take over.",
    "misdirected": "Check the model's name and the provider's address.",
    "refused": "Change the request; sending it again will fail again.",
    "too_long": "Send less, or name a model with a larger context.",
    "throttled": "Wait, or name another provider.",
    "not_ready": "Do that, or name another model.",
}
UNLOAD = "unload_model can free memory; provider_health lists what is loaded."


def next_step(run: Run) -> str:
    error = run.last_error
    if error is None:
        return ""
    last = run.attempts[-1]
    hint = local_step(run.registry.rows[last.provider], last.model, error)
    return hint or NEXT_STEPS.get(error.kind, "provider_health shows what is up.")


def local_step(row: Listed, model: str, error: UpstreamError) -> str:
    """The command that helps where a program of this machine fails, or what else it has."""
    provider = row.provider
    if error.kind == "unreachable" and provider.start_hint:
        return f"{provider.start_hint[:1].upper()}{provider.start_hint[1:]}."
    if error.kind == "misdirected" and error.model_specific and provider.get_hint:
        return f"Run `{provider.get_hint.replace('{model}', model)}`, or name a model it has."
    if error.kind != "not_ready" or error.status is None:
        return ""  # what we refused ourselves says what to do
    small = row.smaller(model)
    return f"It has smaller models: {', '.join(small)}." if small else UNLOAD
