"""What each attempt tells those who observe us: a client span, two metrics and a line of the log.

Names are those of the OpenTelemetry conventions for generative AI; what they have no word for
begins with `roundhouse.`. All of it goes to the tracer and the meter of the API: nobody listens
unless the user says so (exporting.py). The span is a child of the request's own, whose context
this task has inherited, and is made whole when the attempt has ended. Of what was said it holds
nothing, unless the user records content and the call may leave this machine.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from ..providers.types import Call, Completion, EmbedCall, Message
from .candidates import Offer
from .ledger.records import AttemptRow
from .run import Run, Trying

logger = logging.getLogger(__name__)

SCOPE = ("roundhouse", version("roundhouse-mcp"))
DURATIONS = tuple(0.01 * 2**n for n in range(14))  # seconds, as the conventions have them
TOKENS = tuple(4.0**n for n in range(14))
ANSWERED = frozenset({"ok", "misfit"})
NANO = 1_000_000_000

Attributes = dict[str, str | int | float | bool | Sequence[str]]

tracer = trace.get_tracer(*SCOPE)
meter = metrics.get_meter(*SCOPE)
duration = meter.create_histogram(
    "gen_ai.client.operation.duration",
    unit="s",
    description="GenAI operation duration.",
    explicit_bucket_boundaries_advisory=DURATIONS,
)
token_usage = meter.create_histogram(
    "gen_ai.client.token.usage",
    unit="{token}",
    description="Number of input and output tokens used.",
    explicit_bucket_boundaries_advisory=TOKENS,
)


def tell(run: Run, trying: Trying, row: AttemptRow) -> None:
    """Called once for every attempt that was made, when it has ended. Never raises: what listens
    is other people's code, and the call's money is not settled yet."""
    took_s = run.taken_s(trying)
    try:
        logger.info(
            "call %s, attempt %d at %s/%s: %s after %.0f ms",
            *(row.call_id, row.n, row.provider, row.model, row.outcome, took_s * 1000),
            extra={"fields": {"outcome": row.outcome, "cost_nano": row.cost_nano}},
        )
        known = cleaned(run, common(run, trying, row))
        measure(row, known, took_s)
        record(run, trying, row, known, took_s)
    except Exception as error:
        logger.warning("an attempt could not be traced: %s", type(error).__name__)


def common(run: Run, trying: Trying, row: AttemptRow) -> Attributes:
    """What spans and metrics both say: few different values each."""
    offer = trying.candidate.offer
    found: Attributes = {
        "gen_ai.operation.name": "embeddings" if isinstance(run.asked, EmbedCall) else "chat",
        "gen_ai.provider.name": offer.provider.otel_name or offer.provider.name,
        "gen_ai.request.model": row.model,
        **address(offer),
    }
    if row.answered_by:
        found["gen_ai.response.model"] = row.answered_by
    if row.outcome not in ANSWERED:
        found["error.type"] = row.outcome
    return found


def address(offer: Offer) -> Attributes:
    """Host and port alone: paths and queries may hold more than an address."""
    parts = urlsplit(offer.provider.base_url)
    if not parts.hostname:
        return {}
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return dict(present(server__address=parts.hostname, server__port=port))


def measure(row: AttemptRow, known: Attributes, took_s: float) -> None:
    """Tokens only as the provider counted them."""
    duration.record(took_s, known)
    if row.usage_estimated:
        return
    for kind, tokens in (("input", row.input_tokens), ("output", row.output_tokens)):
        if tokens is not None:
            token_usage.record(tokens, {**known, "gen_ai.token.type": kind})


def record(run: Run, trying: Trying, row: AttemptRow, known: Attributes, took_s: float) -> None:
    began = int(row.started * NANO)
    span = tracer.start_span(
        f"{known['gen_ai.operation.name']} {known['gen_ai.request.model']}",
        kind=SpanKind.CLIENT,
        attributes=known,
        start_time=began,
    )
    if span.is_recording():
        found = asked_for(run, trying) | answered(run, trying, row) | ours(run, row)
        if run.desk.settings.telemetry.record_content and not run.local_only:
            found |= content(run, row)
        span.set_attributes(cleaned(run, found))
        if row.outcome not in ANSWERED:
            span.set_status(StatusCode.ERROR)  # the provider's words may repeat the prompt
    span.end(began + int(took_s * NANO))


def cleaned(run: Run, found: Attributes) -> Attributes:
    """Without any key, whatever name somebody put one into."""
    clean = run.desk.redactor.text
    return {name: clean(said) if isinstance(said, str) else said for name, said in found.items()}


def present(**found: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of what is known; `a__b_c` stands for `a.b_c`."""
    yield from ((k.replace("__", "."), v) for k, v in found.items() if v is not None)


def asked_for(run: Run, trying: Trying) -> Attributes:
    asked = run.asked
    if isinstance(asked, EmbedCall):
        return dict(present(gen_ai__embeddings__dimension__count=asked.dimensions))
    return dict(
        present(
            gen_ai__request__max_tokens=trying.candidate.max_tokens,
            gen_ai__request__temperature=asked.temperature,
            gen_ai__output__type="json" if asked.output_schema is not None else None,
        )
    )


def answered(run: Run, trying: Trying, row: AttemptRow) -> Attributes:
    answer = run.completion if row.outcome in ANSWERED else None
    return dict(
        present(
            gen_ai__response__id=row.provider_request_id,
            gen_ai__response__finish_reasons=[answer.finish_reason] if answer else None,
            gen_ai__response__time_to_first_chunk=trying.first_chunk_s,
            gen_ai__usage__input_tokens=row.input_tokens,
            gen_ai__usage__output_tokens=None if run.embedding else row.output_tokens,
            gen_ai__usage__cache_read__input_tokens=row.cached_tokens,
            gen_ai__usage__cache_creation__input_tokens=row.cache_write_tokens,
            gen_ai__usage__reasoning__output_tokens=row.reasoning_tokens,
            http__response__status_code=row.http_status,
        )
    )


def ours(run: Run, row: AttemptRow) -> Attributes:
    return dict(
        present(
            roundhouse__call_id=row.call_id,
            roundhouse__attempt=row.n,
            roundhouse__outcome=row.outcome,
            roundhouse__provider=row.provider,
            roundhouse__client=run.client.name,
            roundhouse__task=run.wish.task,
            roundhouse__waited_s=row.waited_s or None,
            roundhouse__usage_estimated=row.usage_estimated or None,
            roundhouse__cost__nano_usd=row.cost_nano,
            roundhouse__cost__kind=row.cost_kind,
        )
    )


def content(run: Run, row: AttemptRow) -> Attributes:
    """What was said, as JSON; pictures by their media type alone. Texts to embed are not told."""
    if not isinstance(run.asked, Call):
        return {}
    told = [message(each) for each in run.asked.messages if each.role != "system"]
    system = [text(each.text) for each in run.asked.messages if each.role == "system"]
    found: Attributes = {"gen_ai.input.messages": written(told)}
    if system:
        found["gen_ai.system_instructions"] = written(system)
    if run.completion is not None and row.outcome in ANSWERED:
        found["gen_ai.output.messages"] = written([reply(run.completion)])
    return found


def written(found: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(found, ensure_ascii=False)


def text(said: str) -> Mapping[str, Any]:
    return {"type": "text", "content": said}


def message(said: Message) -> Mapping[str, Any]:
    if said.role == "tool":
        part = {"type": "tool_call_response", "id": said.tool_call_id, "response": said.text}
        return {"role": "tool", "parts": [part]}
    parts = [text(said.text)] if said.text else []
    parts += [{"type": "image", "mime_type": image.media_type} for image in said.images]
    return {"role": said.role, "parts": [*parts, *calls(said)]}


def calls(said: Message | Completion) -> Iterator[Mapping[str, Any]]:
    for call in said.tool_calls:
        arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
        yield {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def reply(said: Completion) -> Mapping[str, Any]:
    parts = [text(said.text)] if said.text else []
    return {
        "role": "assistant",
        "parts": [*parts, *calls(said)],
        "finish_reason": said.finish_reason,
    }
