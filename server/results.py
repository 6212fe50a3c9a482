"""Both halves of every tool result, and the text of every error.

Clients show their model either `content` or `structuredContent`, so on success each half is
complete alone; an error is text only, one sentence first, at most 1 KB.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp.types import CallToolResult, TextContent

from ..providers.types import ToolCall, Usage
from .errors import Declined
from .lengths import Room
from .money import dollars
from .outcomes import Attempted, Embedded, Failed, Late, Outcome
from .reasons import MOST_IN_FULL, NOT_SET_UP

if TYPE_CHECKING:
    from .candidates import Candidate, Excluded, Plan

ERROR_BYTES = 1024
RAW_BYTES = 700
ENDLESS = Room()


def usd(nano: int | None) -> float | None:
    """Nano-dollars as dollars, exact to the nano-dollar."""
    return None if nano is None else round(nano / 1_000_000_000, 9)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def result(structured: Mapping[str, Any], *texts: str) -> CallToolResult:
    blocks = [TextContent(type="text", text=text) for text in texts if text]
    return CallToolResult(content=list(blocks), structured_content=dict(structured))


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def usage_of(usage: Usage) -> dict[str, Any]:
    """Only what is known; `estimated` only where it is true."""
    known = {
        "input": usage.input,
        "output": usage.output,
        "cached": usage.cached,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
    }
    said: dict[str, Any] = {k: v for k, v in known.items() if v is not None}
    return said | {"estimated": True} if usage.estimated else said


def tool_call_of(call: ToolCall) -> dict[str, Any]:
    said: dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return said | {"signature": call.signature} if call.signature else said


def attempt_of(attempt: Attempted) -> dict[str, Any]:
    said: dict[str, Any] = {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "ms": attempt.ms,
        "cost_usd": usd(attempt.cost_nano),
    }
    if attempt.http_status and attempt.outcome != "ok":
        said["http_status"] = attempt.http_status
    if attempt.detail:
        said["detail"] = attempt.detail
    return said


def price_words(cost_nano: int | None) -> str:
    return "cost unknown" if cost_nano is None else dollars(cost_nano)


def completed(
    outcome: Outcome, *, full: bool, offset: int = 0, room: Room = ENDLESS
) -> CallToolResult:
    """A completion, its text from `offset` on, as much as there is room for."""
    shown, warnings = page(outcome, offset, room)
    said: dict[str, Any] = {
        "text": shown,
        "finish_reason": outcome.finish_reason,
        "model": outcome.model,
        "provider": outcome.provider,
        "usage": usage_of(outcome.usage),
        "cost_usd": usd(outcome.cost_nano),
        "call_id": outcome.call_id,
    }
    extras: dict[str, Any] = {}
    if outcome.output_file is not None:
        extras |= {"output_file": outcome.output_file, "bytes": outcome.bytes}
    if outcome.structured is not None:
        extras["structured"] = outcome.structured
    if outcome.tool_calls:
        extras["tool_calls"] = [tool_call_of(call) for call in outcome.tool_calls]
    if warnings:
        extras["warnings"] = warnings
    if full or len(outcome.attempts) > 1:
        extras["attempts"] = [attempt_of(a) for a in outcome.attempts]
    if full:
        extras |= {"latency_ms": outcome.latency_ms, "first_token_ms": outcome.first_token_ms}
        extras |= {"reasoning": outcome.reasoning} if outcome.reasoning else {}
        extras |= {"raw_usage": dict(outcome.raw_usage)} if outcome.raw_usage else {}
    return result(said | extras, shown, caption(outcome, extras))


def page(outcome: Outcome, offset: int, room: Room) -> tuple[str, list[str]]:
    """What is shown of the text, and the warnings: one more if there is text after it."""
    text, warnings = outcome.text[offset:], list(outcome.warnings)
    shown = room.fitting(text)
    if shown == len(text):
        return text, warnings
    end = offset + shown
    warnings.append(
        f"{end} of {len(outcome.text)} characters are shown ({room.why}); read on "
        f"with complete(call_id={outcome.call_id!r}, offset={end})."
    )
    return text[:shown], warnings


def caption(outcome: Outcome, extras: Mapping[str, Any]) -> str:
    """What the structured half says beside the text, for clients that show only text."""
    usage = outcome.usage
    counts = f"{usage.input if usage.input is not None else '?'} in"
    counts += f", {usage.output if usage.output is not None else '?'} out"
    counts += " (estimated)" if usage.estimated else ""
    line = (
        f"[{outcome.provider}/{outcome.model} · {outcome.finish_reason} · {counts} · "
        f"{price_words(outcome.cost_nano)} · call_id {outcome.call_id}]"
    )
    shown = {k: v for k, v in extras.items() if k != "structured"}
    return line + (f"\n{compact(shown)}" if shown else "")


def embedded(
    outcome: Embedded,
    *,
    texts: Sequence[str],
    files: Sequence[str] = (),
    vectors: str | None = None,
) -> CallToolResult:
    """An embedding of texts, and of files after them: counts and dimensions; a ranking if there
    was a query; vectors on demand."""
    said: dict[str, Any] = {
        "model": outcome.model,
        "provider": outcome.provider,
        "dimensions": outcome.dimensions,
        "count": len(outcome.embedding.vectors),
        "usage": usage_of(outcome.embedding.usage),
        "cost_usd": usd(outcome.cost_nano),
        "call_id": outcome.call_id,
    }
    if outcome.ranking is not None:
        said["ranking"] = [
            {"rank": n, "index": index, "score": round(score, 6)} | ranked(index, texts, files)
            for n, (index, score) in enumerate(outcome.ranking, 1)
        ]
    if vectors == "inline":
        said["vectors"] = [list(vector) for vector in outcome.embedding.vectors]
    if outcome.warnings:
        said["warnings"] = list(outcome.warnings)
    if len(outcome.attempts) > 1:
        said["attempts"] = [attempt_of(a) for a in outcome.attempts]
    return result(said, compact(said))


def ranked(index: int, texts: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    if index < len(texts):
        return {"text": texts[index][:200]}
    return {"file": files[index - len(texts)]}


def candidate_of(candidate: "Candidate", rank: int) -> dict[str, Any]:
    offer = candidate.offer
    return {
        "rank": rank,
        "provider": offer.provider.name,
        "model": offer.model,
        "estimated_cost_usd": usd(candidate.expected_nano),
        "max_cost_usd": usd(candidate.bound_nano),
        "max_tokens": candidate.max_tokens or None,
        "circuit": "open, this call would test it" if candidate.is_probe else "closed",
        "why": candidate.why,
    }


def excluded_of(excluded: "Excluded") -> dict[str, Any]:
    said: dict[str, Any] = {
        "provider": excluded.provider,
        "model": excluded.model,
        "reason": excluded.reason,
        "detail": excluded.detail,
    }
    return said if excluded.until is None else said | {"until": iso(excluded.until)}


def plan_of(plan: "Plan") -> dict[str, Any]:
    """The plan as data: what `route_for_task` answers and what the ledger keeps as decision."""
    return {
        "candidates": [candidate_of(c, n) for n, c in enumerate(plan.candidates, 1)],
        "excluded": [excluded_of(e) for e in plan.excluded],
        "strategy": plan.strategy,
    }


def decision_of(plan: "Plan") -> dict[str, Any]:
    """The plan as the ledger keeps it with every call: where much is not set up, that is one entry
    a reason."""
    said = plan_of(plan)
    if sum(each["reason"] in NOT_SET_UP for each in said["excluded"]) <= MOST_IN_FULL:
        return said
    kept = [each for each in said["excluded"] if each["reason"] not in NOT_SET_UP]
    for reason in NOT_SET_UP:
        names = [each["provider"] for each in said["excluded"] if each["reason"] == reason]
        if names:
            kept.append({"provider": ", ".join(dict.fromkeys(names)), "reason": reason})
    return {**said, "excluded": kept}


def routed(plan: "Plan", expected_ms: Mapping[tuple[str, str], int]) -> CallToolResult:
    """The plan, with how long each candidate took lately (None: nobody knows)."""
    said = plan_of(plan)
    for candidate in said["candidates"]:
        key = (candidate["provider"], candidate["model"])
        candidate["expected_ms"] = expected_ms.get(key)
    lines = [f"strategy {plan.strategy}, {len(plan.candidates)} candidates"]
    lines += [candidate_line(candidate) for candidate in said["candidates"]]
    lines += [left_out_line(excluded) for excluded in plan.excluded]
    return result(said, "\n".join(lines))


def left_out_line(excluded: "Excluded") -> str:
    until = f", until {iso(excluded.until)}" if excluded.until is not None else ""
    name = f"{excluded.provider}/{excluded.model}"
    return f"left out {name}: {excluded.reason}, {excluded.detail}{until}"


def candidate_line(said: Mapping[str, Any]) -> str:
    parts = [f"{said['rank']}. {said['provider']}/{said['model']}: {said['why']}"]
    if said["estimated_cost_usd"] is not None:
        parts.append(f"about ${said['estimated_cost_usd']:.6f}")
    if said["expected_ms"] is not None:
        parts.append(f"about {said['expected_ms']} ms")
    if said["circuit"] != "closed":
        parts.append(f"circuit {said['circuit']}")
    return ", ".join(parts)


def attempt_line(attempt: Attempted) -> str:
    status = f" {attempt.http_status}" if attempt.http_status else ""
    words = f": {attempt.detail}" if attempt.detail else ""
    return (
        f"- {attempt.provider}/{attempt.model} {attempt.outcome}{status}{words} "
        f"({attempt.ms} ms, {price_words(attempt.cost_nano)})"
    )[:220]


def error_text(declined: Declined, *, raw: bool = False) -> str:
    """The text of an error: what happened, what to do next, then facts a program can read."""
    attempts = declined.attempts if isinstance(declined, Failed | Late) else ()
    lines = [" ".join(part for part in (sentence(declined.message), declined.next_step) if part)]
    lines.append(f"code: {declined.code}")
    lines += [f"{name}: {value}" for name, value in declined.facts]
    lines.append(f"retryable: {'true' if declined.retryable else 'false'}")
    if declined.retry_after_s is not None:
        lines.append(f"retry_after_s: {math.ceil(declined.retry_after_s)}")
    if isinstance(declined, Failed | Late):
        lines.append(f"call_id: {declined.call_id}")
    if declined.nothing_sent:
        lines.append("Nothing was sent, no cost.")
    if attempts:
        lines += ["attempts:", *(attempt_line(a) for a in attempts)]
    if raw and isinstance(declined, Failed) and declined.raw:
        lines.append(f"provider's own answer: {declined.raw[:RAW_BYTES]}")
        return shortened("\n".join(lines), ERROR_BYTES + RAW_BYTES)
    return shortened("\n".join(lines), ERROR_BYTES)


def sentence(text: str) -> str:
    """With a capital, unless it begins with a name, which is written as it is."""
    first = text.partition(" ")[0]
    text = text[:1].upper() + text[1:] if first.isalpha() else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def shortened(text: str, limit: int) -> str:
    data = text.encode()
    return text if len(data) <= limit else data[: limit - 4].decode("utf-8", "ignore") + "…"
