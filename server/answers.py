"""What a run amounts to: its answer, or what there is of it at the deadline. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..providers.assemble import Assembler
from ..providers.body import Limits
from ..providers.errors import TimedOut
from ..providers.types import Call, Completion, EmbedCall, Usage
from ..providers.wires.schemas import enforces, instructed
from . import mending
from .candidates import Candidate, Offer
from .errors import Declined
from .ledger.reservations import Warned
from .money import dollars
from .outcomes import Embedded, Outcome
from .registry import Registry
from .run import Run, Trying

THINKING_S = 120.0
BROKE_OFF = "the answer broke off before its end; this is what came of it"
NOTED_LATER = "the ledger could not be written; what this cost is noted later"


class Crashed(Exception):
    """A fault of ours: masked towards the client, logged here."""


def why_not(run: Run) -> Exception:
    """What to raise for a run that ended without an answer."""
    if run.crash is not None:
        crashed = Crashed(type(run.crash).__name__)
        crashed.__cause__ = run.crash
        return crashed
    cancelled = Declined("the call was cancelled", retryable=True, nothing_sent=not run.attempts)
    return run.declined or cancelled


def finished(run: Run) -> Outcome:
    """The outcome of a run that ended. Raises what it was declined for."""
    completion = run.completion
    if completion is None or run.declined or run.crash:
        raise why_not(run)
    structured, complaint = mending.fitted(run.asked, completion)
    warnings = (
        *run.warnings,
        *unsent(run),
        *filter(None, (complaint, uncalled(run, completion), impostor(run, completion))),
    )
    return replace(
        outcome(run, completion),
        structured=structured,
        warnings=warnings,
    )


def unsent(run: Run) -> Iterator[str]:
    """What was asked for and not sent, because the model that answered does not take it."""
    call, taken = run.asked, run.answered_by
    if isinstance(call, EmbedCall) or taken is None:
        return
    provider, model = taken.offer.provider, taken.offer.model
    facts = taken.offer.facts
    dropped = provider.drop.union(facts.drop)
    name = f"{provider.name}/{model}"
    if call.temperature is not None and (facts.sampling is False or "temperature" in dropped):
        yield f"{name} takes no temperature; it was not sent"
    if call.stop and dropped & {"stop", "stop_sequences"}:
        yield f"{name} takes no stop sequences; they were not sent"
    if call.effort is not None and facts.reasoning is False:
        yield f"{name} does not reason; effort was not sent"
    forced = call.tool_choice not in (None, "auto", "none")
    if forced and "no_forced_tools" in provider.quirks:
        yield f"{name} cannot be made to call a tool; it was only offered"


def uncalled(run: Run, completion: Completion) -> str | None:
    """Local servers take a tool choice and do not keep to it."""
    call, taken = run.asked, run.answered_by
    if isinstance(call, EmbedCall) or taken is None or call.tool_choice in (None, "auto", "none"):
        return None
    if "no_forced_tools" in taken.offer.provider.quirks:
        return None  # which has been said
    called = [made.name for made in completion.tool_calls]
    if called if call.tool_choice == "required" else call.tool_choice in called:
        return None
    name = f"{taken.offer.provider.name}/{taken.offer.model}"
    wanted = "a tool" if call.tool_choice == "required" else f"the tool {call.tool_choice}"
    return f"{name} had to call {wanted} and did not"


def impostor(run: Run, completion: Completion) -> str | None:
    """Local servers answer with whatever they have loaded. A version of the model's own name
    (`gpt-5` answered by `gpt-5-2026-01-01`) is the same model."""
    asked, said = run.attempts[-1].model.lower(), (completion.model or "").lower()
    if not said or asked.rpartition("/")[2] in said or said.rpartition("/")[2] in asked:
        return None
    setup = run.answered_by.offer.provider.setup if run.answered_by else None
    if setup is not None and said == setup.engine.served_as:
        return None  # what it calls the only model it was started with
    return f"asked for {run.attempts[-1].model}, answered by {completion.model}"


def outcome(run: Run, completion: Completion) -> Outcome:
    last = run.attempts[-1]
    cost, kind = run.total_cost()
    first_s = run.first_token_s
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
        latency_ms=round((run.took_s or 0.0) * 1000),
        first_token_ms=None if first_s is None else round(first_s * 1000),
        raw_usage=completion.raw_usage,
    )


def limits_for(offer: Offer, first_byte_s: float) -> Limits:
    """How long to wait for this model. One that reasons may think in silence between its first
    sign of life and its first word."""
    if offer.facts.reasoning:
        return Limits(first_byte_s=first_byte_s, idle_s=THINKING_S)
    return Limits(first_byte_s=first_byte_s)


def silence(trying: Trying) -> TimedOut:
    """No sign of life within the attempt's patience."""
    name = trying.candidate.offer.provider.name
    return TimedOut(name, f"no answer began within {trying.patience_s:.0f} s")


def interrupted(heard: Assembler) -> Completion:
    """What was heard of an answer that broke off."""
    return Completion(
        text=heard.text,
        finish_reason="interrupted",
        usage=heard.usage or Usage(),
        model=heard.model,
        reasoning=heard.reasoning,
        request_id=heard.request_id,
        raw_usage=heard.raw_usage,
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


def embedded(run: Run, *, ranked_by: str | None) -> Embedded:
    """The vectors of a run that ended; with a query, which was embedded as the last text, the
    others ranked by it."""
    if run.embedding is None or run.declined or run.crash:
        raise why_not(run)
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
        latency_ms=round((run.took_s or 0.0) * 1000),
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


def call_for(asked: Call, candidate: Candidate, registry: Registry) -> Call:
    """The call as this candidate gets it: with the plan's output cap, the temperature the user
    configured for the provider where the caller named none, and a schema it cannot be held to
    asked for in words."""
    provider = candidate.offer.provider
    temperature = asked.temperature
    if temperature is None:
        temperature = registry.defaults(provider.name).temperature
    call = replace(asked, max_tokens=candidate.max_tokens, temperature=temperature)
    schema = call.output_schema
    if schema is None or enforces(provider, candidate.offer.model, schema):
        return call
    return replace(call, messages=instructed(call.messages, schema), output_schema=None)


def warnings(warned: Iterable[Warned]) -> list[str]:
    return [
        f"budget {each.budget} has used {dollars(each.committed_nano)} of "
        f"{dollars(each.limit_nano)}"
        for each in warned
    ]
