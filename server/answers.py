"""What a run amounts to: answers, hand-backs, and the words for calls that got none. Pure."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..providers.types import Call, Completion, EmbedCall, Embedding, Usage
from . import schemas
from .errors import Declined, NoRoute, OverBudget
from .ledger.reservations import Warned
from .money import dollars
from .outcomes import Embedded, Failed, Late, Outcome
from .registry import Registry
from .routing import Candidate, Excluded
from .run import Run

NOTED_LATER = "the ledger could not be written; what this cost is noted later"
PRICELESS = "Give its price in config.toml under [prices], or set routing.allow_unpriced."
REASON_WORDS = {
    "disabled": "switched off",
    "key_missing": "without a key",
    "not_running": "not running",
    "over_budget": "over budget",
}


class Crashed(Exception):
    """A fault of ours: masked towards the client, logged here."""


def finished(run: Run) -> Outcome:
    """The outcome of a run that ended. Raises what it was declined for."""
    if run.declined is not None:
        raise run.declined
    if run.crash is not None:
        raise Crashed(type(run.crash).__name__) from run.crash
    if run.completion is None:
        raise Declined("the call was cancelled", retryable=True, nothing_sent=not run.attempts)
    completion = run.completion
    structured, complaint = fitted(run, completion)
    warnings = (*run.warnings, *filter(None, (complaint, impostor(run, completion))))
    return replace(
        outcome(run, completion),
        structured=structured,
        warnings=warnings,
    )


def impostor(run: Run, completion: Completion) -> str | None:
    """Local servers answer with whatever they have loaded. A version of the model's own name
    (`gpt-5` answered by `gpt-5-2026-01-01`) is the same model."""
    asked, said = run.attempts[-1].model.lower(), (completion.model or "").lower()
    if not said or asked.rpartition("/")[2] in said or said.rpartition("/")[2] in asked:
        return None
    return f"asked for {run.attempts[-1].model}, answered by {completion.model}"


def outcome(run: Run, completion: Completion) -> Outcome:
    last = run.attempts[-1]
    cost, kind = run.total_cost()
    first = run.first_token_at
    return Outcome(
        call_id=run.call_id,
        text=completion.text,
        finish_reason=completion.finish_reason,
        provider=last.provider,
        model=last.model,
        usage=run.usage,
        cost_nano=cost,
        cost_kind=kind,
        attempts=tuple(run.attempts),
        tool_calls=completion.tool_calls,
        reasoning=completion.reasoning,
        latency_ms=round(((run.ended or run.started) - run.started) * 1000),
        first_token_ms=None if first is None else round((first - run.started) * 1000),
        raw_usage=completion.raw_usage,
    )


def so_far(run: Run) -> Outcome:
    """The deadline's hand-back: the text there is, while the call goes on."""
    assert run.trying is not None
    offer = run.trying.candidate.offer
    begun = run.assembler is not None and bool(run.assembler.text)
    state = "the answer is still being written" if begun else "the model has not begun to answer"
    return Outcome(
        call_id=run.call_id,
        text=run.text,
        finish_reason="timeout",
        provider=offer.provider.name,
        model=offer.model,
        usage=run.observed(),
        cost_nano=None,
        cost_kind="unknown",
        attempts=tuple(run.attempts),
        warnings=(
            f"Time is up and {state}; read on with complete(call_id={run.call_id!r}, "
            f"offset={len(run.text)}). The cost is known when it ends.",
        ),
        latency_ms=round(run.elapsed_s() * 1000),
    )


def fitted(run: Run, completion: Completion) -> tuple[Any, str | None]:
    """The answer as data if a schema was asked for, and what is wrong with it, if anything."""
    call = run.asked
    if isinstance(call, EmbedCall) or call.output_schema is None or completion.tool_calls:
        return None, None
    try:
        value = json.loads(completion.text)
    except ValueError:
        return None, "the answer is not valid JSON, although a schema was asked for"
    return value, schemas.complaint(call.output_schema, value)


def embedded(run: Run, *, ranked_by: str | None) -> Embedded:
    """The vectors of a run that ended; with a query, which was embedded as the last text, the
    others ranked by it."""
    if run.declined is not None:
        raise run.declined
    if run.crash is not None:
        raise Crashed(type(run.crash).__name__) from run.crash
    if run.embedding is None:
        raise Declined("the call was cancelled", retryable=True, nothing_sent=not run.attempts)
    embedding, ranking = run.embedding, None
    if ranked_by is not None:
        *vectors, asked = embedding.vectors
        embedding = replace(embedding, vectors=tuple(vectors))
        ranking = ranked(asked, vectors)
    last = run.attempts[-1]
    cost, kind = run.total_cost()
    return Embedded(
        call_id=run.call_id,
        provider=last.provider,
        model=last.model,
        embedding=replace(embedding, usage=run.usage),
        dimensions=len(embedding.vectors[0]) if embedding.vectors else 0,
        cost_nano=cost,
        cost_kind=kind,
        attempts=tuple(run.attempts),
        warnings=tuple(run.warnings),
        ranking=ranking,
        latency_ms=round(((run.ended or run.started) - run.started) * 1000),
    )


def ranked(
    asked: Sequence[float], vectors: Sequence[Sequence[float]]
) -> tuple[tuple[int, float], ...]:
    """Indexes by cosine similarity, closest first; ties keep the order of the texts."""
    scores = [(n, cosine(asked, vector)) for n, vector in enumerate(vectors)]
    return tuple(sorted(scores, key=lambda pair: -pair[1]))


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    length = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def batches(call: EmbedCall, size: int) -> Iterator[EmbedCall]:
    """The call cut into pieces no larger than a provider takes."""
    for start in range(0, len(call.texts), size):
        yield replace(call, texts=call.texts[start : start + size])


def call_for(asked: Call, candidate: Candidate, registry: Registry) -> Call:
    """The call as this candidate gets it: with the plan's output cap, and the temperature the user
    configured for the provider where the caller named none."""
    temperature = asked.temperature
    if temperature is None:
        temperature = registry.defaults(candidate.offer.provider.name).temperature
    return replace(asked, max_tokens=candidate.max_tokens, temperature=temperature)


def warnings(warned: Iterable[Warned]) -> list[str]:
    return [
        f"budget {each.budget} has used {dollars(each.committed_nano)} of "
        f"{dollars(each.limit_nano)}"
        for each in warned
    ]


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


def joined(parts: Sequence[Embedding]) -> Embedding:
    """Batches as one answer; a sum of usage is known only if every part's is."""
    inputs = [part.usage.input for part in parts]
    total = sum(n for n in inputs if n is not None) if None not in inputs else None
    return Embedding(
        vectors=tuple(vector for part in parts for vector in part.vectors),
        usage=Usage(input=total, output=0),
        model=parts[-1].model,
        request_id=parts[-1].request_id,
    )


def no_route(run: Run) -> Declined:
    """Why nothing is left to try, and what would change that."""
    assert run.plan is not None
    out = within_reach(run, run.plan.excluded)
    money = [e for e in out if e.reason in ("over_budget", "max_cost", "unpriced")]
    others = [e for e in out if e.reason not in ("key_missing", "not_running", "disabled")]
    if money and len(money) == len(others):
        return unaffordable(run, money)
    waits = [e.until for e in out if e.until is not None]
    soonest = min(waits) - run.desk.clock() if waits else None
    return NoRoute(
        f"no model can take this call: {listed(out, others, aimed(run))}",
        next_step=advice(run, others),
        retryable=bool(waits),
        retry_after_s=max(0.0, soonest) if soonest is not None else None,
    )


def within_reach(run: Run, out: Sequence[Excluded]) -> Sequence[Excluded]:
    """Of a call that must stay on this machine: what is on it, if anything."""
    here = [e for e in out if e.reason != "privacy"]
    return here if run.local_only and here else out


def unaffordable(run: Run, money: Sequence[Excluded]) -> Declined:
    first = money[0]
    if first.budget is None:
        return NoRoute(
            f"no model can take this call: {in_words(money)}",
            next_step=PRICELESS
            if first.reason == "unpriced"
            else "Raise max_cost_usd, lower max_tokens, or name a cheaper model.",
        )
    return OverBudget(
        f"{first.provider}/{first.model} is over budget: it {first.detail}",
        next_step="Lower max_tokens, name a cheaper model (prefer=cheapest), or raise the budget.",
        budget=first.budget,
        needed_nano=first.needed_nano,
        free_nano=run.rooms[first.budget].free_nano,
        resets_at=first.until,
    )


def aimed(run: Run) -> bool:
    """Did the caller say where the call should go, so that only that needs explaining?"""
    return bool(run.wish.model or run.wish.provider or run.local_only)


def listed(out: Sequence[Excluded], others: Sequence[Excluded], aimed: bool) -> str:
    """What there is and cannot be used; of a machine with nothing set up, just that."""
    if others or (aimed and out):
        return in_words(others or out)
    return "no provider that is switched on has a key, and no local program answers"


def in_words(excluded: Sequence[Excluded]) -> str:
    """The reasons, a few in full and the rest counted."""
    shown = [f"{e.provider}/{e.model} {e.detail or REASON_WORDS[e.reason]}" for e in excluded[:4]]
    more = f" and {len(excluded) - 4} more" if len(excluded) > 4 else ""
    return "; ".join(shown) + more


def advice(run: Run, others: Sequence[Excluded]) -> str:
    if others:
        return "route_for_task shows every reason; provider_health shows what is up."
    if aimed(run):
        return "`roundhouse doctor` says what is missing."
    return run.desk.registry.what_would_enable()


def all_failed(run: Run) -> Declined:
    """Every attempt failed, or the money went elsewhere between plan and attempt."""
    if not run.attempts:
        return run.refusal or NoRoute("every candidate was taken or blocked", retryable=True)
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


def amount(cost_nano: int | None) -> str:
    return "unknown" if cost_nano is None else dollars(cost_nano)


NEXT_STEPS = {
    "locked": "Check the key: `roundhouse doctor` says where it came from.",
    "exhausted": "The account is out of credit or quota; another provider can take over.",
    "misdirected": "Check the model's name and the provider's address.",
    "refused": "Change the request; sending it again will fail again.",
    "too_long": "Send less, or name a model with a larger context.",
    "throttled": "Wait, or name another provider.",
}


def next_step(run: Run) -> str:
    error = run.last_error
    if error is None:
        return ""
    provider = run.attempts[-1].provider
    hint = run.desk.registry.start_hint(provider) if error.kind == "unreachable" else ""
    return hint or NEXT_STEPS.get(error.kind, "provider_health shows what is up.")
