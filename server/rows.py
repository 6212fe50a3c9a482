"""From a run to the rows of the ledger. Pure, but for the clock and the dice of the desk."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache

from ..providers.errors import Throttled
from ..providers.prices import Rates
from ..providers.tokens import input_expected
from . import charges, circuits, results
from .books import Closing, Ending, Opening, Refusal, Verdict
from .candidates import EXPECTED_OUTPUT, Candidate
from .charges import Charge
from .errors import Declined, OverBudget
from .ledger.records import AttemptRow, CallRow, InflightRow, Status
from .outcomes import Attempted
from .run import Run, Trying

ERROR_CHARS = 300
STATUS_OF: Mapping[str, Status] = {
    "no_route": "refused",
    "over_budget": "refused",
    "busy": "refused",
    "approval_needed": "refused",
    "not_approved": "refused",
    "rate_limited": "refused",
    "bad_request": "refused",
    "not_found": "refused",
    "deadline_exceeded": "timeout",
}


@lru_cache(maxsize=256)
def rates_json(rates: Rates) -> str:
    return json.dumps(asdict(rates))


def one_line(text: str, limit: int = ERROR_CHARS) -> str:
    return " ".join(text.split())[:limit]


def waiting(run: Run, candidate: Candidate) -> InflightRow:
    """A call whose next attempt will be at this candidate, as soon as there is a place."""
    desk = run.desk
    return InflightRow(
        call_id=run.call_id,
        tool=run.wish.tool,
        server=desk.server_id,
        owner=desk.ledger.owner,
        client=run.client.name,
        project=desk.project,
        phase="queue",
        started=run.started,
        beat=desk.clock(),
        task=run.wish.task,
        strategy=run.plan.strategy if run.plan else None,
        privacy=run.wish.privacy,
        provider=candidate.offer.provider.name,
        model=candidate.offer.model,
        attempt=len(run.rows),
        input_tokens=input_expected(run.asked),
        trail=run.trail(),
    )


def opening(run: Run, trying: Trying) -> Opening:
    desk, candidate = run.desk, trying.candidate
    now, trying.estimated = desk.clock(), input_expected(run.asked)
    reserve = candidate.held_nano
    if not reserve and candidate.offer.provider.cost_field is None:
        reserve = None  # it costs nothing, and its provider cannot say otherwise
    shown = replace(
        waiting(run, candidate),
        phase="connect",
        attempt=trying.n,
        attempt_started=trying.started,
        reserved_nano=reserve or 0,
    )
    return Opening(
        inflight=shown,
        reservation=trying.reservation,
        reserve_nano=reserve,
        windows=candidate.offer.windows,
        guarded=desk.settings.circuits.enabled,
        allowance=candidate.offer.allowance,
        tokens=trying.estimated + min(candidate.max_tokens, EXPECTED_OUTPUT),
        mark=mark_of(run, candidate),
        takes_turn=run.turn_pending,
        approval=run.approval,
        run_dir=desk.ledger.run_dir,
        now=now,
    )


def closing(run: Run, trying: Trying, outcome: str) -> Closing:
    """The attempt's row, its charge and what it says of its circuits; notes the attempt on the
    run as well."""
    now = run.desk.clock()
    charge = charges.charge(run, trying, outcome)
    row = attempt_row(run, trying, outcome, charge, now)
    run.rows.append(row)
    run.attempts.append(
        Attempted(
            n=row.n,
            provider=row.provider,
            model=row.model,
            outcome=outcome,
            ms=round(run.taken_s(trying) * 1000),
            http_status=row.http_status,
            detail=row.error or "",
            cost_nano=row.cost_nano,
            cost_kind=row.cost_kind,
        )
    )
    run.usage = charge.usage
    return Closing(
        attempt=row,
        reservation=trying.reservation,
        money=charge.money,
        verdict=verdict(run, trying, outcome, now),
        speed=speed(run, trying, row, outcome),
        lesson=charges.lesson(run, trying, outcome, charge),
        now=now,
        by=run.desk.ledger.owner,
    )


def mark_of(run: Run, candidate: Candidate) -> str:
    key = run.registry.key(candidate.offer.provider.name)
    return key.mark if key else ""


def speed(run: Run, trying: Trying, row: AttemptRow, outcome: str) -> tuple[float, float] | None:
    """Milliseconds to the first token, and for each after it; None where that was not heard."""
    if outcome not in ("ok", "misfit") or trying.first_chunk_s is None:
        return None
    tokens = row.output_tokens or 0
    streamed = (run.taken_s(trying) - trying.first_chunk_s) * 1000
    return trying.first_chunk_s * 1000, streamed / tokens if tokens else 0.0


def attempt_row(run: Run, trying: Trying, outcome: str, charge: Charge, now: float) -> AttemptRow:
    offer, rates, error = trying.candidate.offer, trying.candidate.rates, trying.error
    answer = run.completion or run.embedding
    clean = run.desk.redactor.text
    request_id = (error.request_id if error else None) or trying.request_id
    return AttemptRow(
        call_id=run.call_id,
        n=trying.n,
        provider=offer.provider.name,
        model=offer.model,
        started=trying.started,
        ended=now,
        outcome=outcome,
        first_token_at=trying.first_chunk_at,
        http_status=error.status if error else trying.status,
        error=one_line(clean(error.detail)) if error else None,
        provider_request_id=clean(request_id) if request_id else None,
        answered_by=clean(answer.model) if answer and answer.model else None,
        waited_s=trying.waited_s,
        waited_for=trying.waited_for or None,
        input_tokens=charge.usage.input,
        output_tokens=charge.usage.output,
        cached_tokens=charge.usage.cached,
        cache_write_tokens=charge.usage.cache_write,
        reasoning_tokens=charge.usage.reasoning,
        usage_estimated=charge.usage.estimated,
        reserved_nano=trying.candidate.held_nano,
        cost_nano=charge.nano,
        cost_kind=charge.kind,
        rates=rates_json(rates) if rates else None,
        price_source="provider" if charge.reported else rates.source if rates else "unknown",
    )


def verdict(run: Run, trying: Trying, outcome: str, now: float) -> Verdict | None:
    """None where circuits are switched off. A caller's cancel says nothing, nor does a fault of our
    own; neither does a deadline shorter than a provider can be blamed for."""
    desk, error = run.desk, trying.error
    if not desk.settings.circuits.enabled or trying.opened is None:
        return None
    provider = trying.candidate.offer.provider
    wait = error.retry_after_s if isinstance(error, Throttled) else None
    short = run.taken_s(trying) < min(provider.first_byte_timeout_s, circuits.COOLDOWN_S)
    return Verdict(
        error=error,
        neutral=outcome in ("cancelled", "deadline", "crashed"),
        epochs=trying.opened.epochs,
        policy=circuits.policy(desk.settings.circuits, local=provider.local),
        jitter=desk.draw(),
        mark=mark_of(run, trying.candidate),
        until=None if wait is None else now + wait,
        run_out_until=None if trying.run_out_s is None else now + trying.run_out_s,
        blameless=error is not None and error.kind == "timed_out" and short,
    )


def ending(run: Run, declined: Declined | None) -> Ending:
    """The call's row, with sums over its attempts; marks the run as recorded."""
    run.recorded = True
    run.ended, run.took_s = run.desk.clock(), run.elapsed_s()
    cost, kind = run.total_cost()
    last = run.rows[-1] if run.rows else None
    row = CallRow(
        call_id=run.call_id,
        tool=run.wish.tool,
        server=run.desk.server_id,
        client=run.client.name,
        project=run.desk.project,
        status=status(run, declined),
        started=run.started,
        ended=run.ended,
        task=run.wish.task,
        strategy=run.plan.strategy if run.plan else None,
        privacy=run.wish.privacy,
        provider=last.provider if last else None,
        model=last.model if last else None,
        finish_reason=run.answer.finish_reason if run.answer else None,
        error_kind=error_kind(run, declined),
        error=complaint(run, declined),
        attempts=len(run.rows),
        first_token_at=run.first_token_at,
        input_tokens=total(run, "input_tokens"),
        output_tokens=total(run, "output_tokens"),
        cached_tokens=total(run, "cached_tokens"),
        cache_write_tokens=total(run, "cache_write_tokens"),
        reasoning_tokens=total(run, "reasoning_tokens"),
        usage_estimated=any(row.usage_estimated for row in run.rows),
        cost_nano=cost,
        cost_kind=kind,
        trail=run.trail(),
        client_version=run.client.version,
    )
    return Ending(
        call=row, attempts=tuple(run.rows), decision=decision(run), refusal=refusal(run, declined)
    )


def decision(run: Run) -> str | None:
    """The plan as JSON, with the candidates whose turn came when they were not free any more."""
    if run.plan is None:
        return None
    said = results.decision_of(run.plan)
    if run.passed_by:
        said["passed_by"] = [results.excluded_of(each) for each in run.passed_by]
    return results.compact(said)


def refusal(run: Run, declined: Declined | None) -> Refusal | None:
    """The budget that had no room when the plan was made. One that filled up later has recorded
    its refusal itself."""
    if not isinstance(declined, OverBudget) or declined is run.refusal:
        return None
    if isinstance(run.raced, OverBudget) and run.raced.budget == declined.budget:
        return None
    window = run.windows.get(declined.budget)
    return Refusal(window=window, needed_nano=declined.needed_nano) if window else None


def status(run: Run, declined: Declined | None) -> Status:
    if run.answer is not None or run.embedding is not None:
        return "ok"
    if declined is not None:
        return STATUS_OF.get(declined.code, "failed")
    return "failed" if run.crash is not None else run.ending


def error_kind(run: Run, declined: Declined | None) -> str | None:
    if run.answer is not None or run.embedding is not None:
        return None
    if run.crash is not None:
        return "internal"
    if run.last_error is not None and run.rows:
        return run.last_error.kind
    return declined.code if declined is not None else run.ending


def complaint(run: Run, declined: Declined | None) -> str | None:
    if run.crash is not None:
        return f"Roundhouse met a fault of its own: {type(run.crash).__name__}"
    return one_line(run.desk.redactor.text(declined.message)) if declined else None


def total(run: Run, column: str) -> int | None:
    """A sum over the attempts; None where none of them knows."""
    known = [value for row in run.rows if (value := getattr(row, column)) is not None]
    return sum(known) if known else None
