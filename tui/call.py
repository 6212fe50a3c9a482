"""One call looked at closely: why it went where it went, and its attempts on a time line."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..server.ledger.watch import Finished, Running, Tried
from . import glyphs
from .calls import cost, target
from .draw import Phase, fit, time_line, time_scale, wrap
from .figures import duration, money, tokens
from .reader import Detail
from .rows import Look

CANDIDATES_TOLD = 6
ALIKE = 2


def detail_lines(
    call: Running | Finished, detail: Detail | None, look: Look, width: int
) -> list[str]:
    """Everything known of one call: why it went where it went, its attempts on a time line."""
    seen = detail if detail and detail.call_id == call.call_id else Detail(call_id=call.call_id)
    head = [call.tool, call.task or "no task", call.strategy or "priority", f"for {call.client}"]
    said = " · ".join([f"call {call.call_id}", *head, call.project])
    lines = [fit(said, width).rstrip(), *why_lines(seen.why, width)]
    lines += waterfall(call, seen.attempts, look, width)
    if isinstance(call, Running):
        if call.trail:
            lines.append(f"BEFORE {call.trail}")
        held = money(call.reserved_nano, about=call.reserved_nano > 0)
        lines.append(f"HELD  {held} until it ends · attempts are listed when it ends")
    else:
        lines.append(token_line(call))
        if call.error:
            lines.append(f"ERROR {call.error}")
    return [*lines, "prompt and answer are not stored"]


def token_line(call: Finished) -> str:
    first = call.first_token_at
    parts = [
        f"TOKENS in {tokens(call.input_tokens)} (cached {tokens(call.cached_tokens)})",
        f"out {tokens(call.output_tokens)}",
        f"reasoning {tokens(call.reasoning_tokens)}",
        f"first token after {duration(first - call.started)}" if first else "no token",
    ]
    if call.usage_estimated:
        parts.append("estimated")
    return " · ".join(parts)


def why_lines(why: Any, width: int) -> list[str]:
    """The routing decision: candidates in order, then who was left out and why."""
    if not isinstance(why, dict):
        return ["WHY   the decision is written when the call ends"]
    decision = cast("Mapping[str, Any]", why)
    parts = [
        f"{rank} {name_of(candidate)}: {reason_of(candidate.get('why'))}"
        for rank, candidate in enumerate(mappings(decision.get("candidates")), 1)
    ]
    parts = [*parts[:CANDIDATES_TOLD], *left_out(mappings(decision.get("excluded")))]
    lines = wrap([fit(p, width - 6).rstrip() for p in parts], width, indent=6, between=" · ")
    return [("WHY   " if not index else "      ") + line for index, line in enumerate(lines)]


def left_out(excluded: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each with its reason; many with the same reason, such as no key, on one line."""
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for one in excluded:
        by_reason.setdefault(str(one.get("reason")).replace("_", " "), []).append(one)
    told: list[str] = []
    for reason, members in by_reason.items():
        if len(members) > ALIKE:
            told.append(f"{glyphs.FAILED} {len(members)} others: {reason}")
        else:
            told += [
                f"{glyphs.FAILED} {name_of(one)}: {one.get('detail') or reason}" for one in members
            ]
    return told


def mappings(value: Any) -> list[Mapping[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict)]


def name_of(candidate: Mapping[str, Any]) -> str:
    return f"{candidate.get('provider')}/{candidate.get('model')}"


def reason_of(why: Any) -> str:
    return (
        ", ".join(str(part) for part in cast("list[Any]", why))
        if isinstance(why, list)
        else str(why)
    )


def waterfall(
    call: Running | Finished, attempts: Sequence[Tried], look: Look, width: int
) -> list[str]:
    """One line per attempt, and one per wait before it, on a common time line."""
    end = look.now if isinstance(call, Running) else call.ended
    name, after = (26, 30) if width >= 100 else (22, 18)
    room = max(8, width - name - after - 5)
    lines: list[str] = []
    for tried in attempts[-8:]:
        if tried.waited_s > 0:
            pause = Phase(kind="pause", begin=tried.started - tried.waited_s, end=tried.started)
            line = time_line([pause], begin=call.started, end=end, width=room)
            said = f"wait {duration(tried.waited_s)} {tried.waited_for or ''}"
            lines.append(f"    {fit(said, name)} {line}".rstrip())
        line = time_line(phases_of(tried), begin=call.started, end=end, width=room)
        model = fit(f"{tried.provider}/{tried.model}", name)
        lines.append(f" {tried.n:>2} {model} {line} {fit(outcome_of(tried), after)}".rstrip())
    if isinstance(call, Running):
        lines.append(current_line(call, name=name, room=room, look=look))
    if not lines:
        return ["ATTEMPTS none: nothing was sent"]
    head = fit("ATTEMPTS", name + 5) + time_scale(end - call.started, room)
    return [head.rstrip(), *lines]


def current_line(call: Running, *, name: int, room: int, look: Look) -> str:
    phases: list[Phase] = []
    begun = call.attempt_started or call.started
    first = call.first_token_at if call.phase == "stream" else None
    phases.append(Phase(kind="waiting", begin=begun, end=first or look.now))
    if first:
        phases.append(Phase(kind="streaming", begin=first, end=look.now))
    line = time_line(phases, begin=call.started, end=look.now, width=room)
    model = fit(target(call) or "choosing", name)
    return f" {call.attempt:>2} {model} {line} {glyphs.RUNNING} {call.phase}"


def phases_of(tried: Tried) -> list[Phase]:
    if tried.first_token_at is None:
        kind = "waiting" if tried.outcome == "ok" else "failed"
        return [Phase(kind=kind, begin=tried.started, end=tried.ended)]
    return [
        Phase(kind="waiting", begin=tried.started, end=tried.first_token_at),
        Phase(
            kind="streaming" if tried.outcome == "ok" else "failed",
            begin=tried.first_token_at,
            end=tried.ended,
        ),
    ]


def outcome_of(tried: Tried) -> str:
    about = tried.cost_kind in ("estimated", "presumed")
    paid = cost(tried.cost_nano, tried.cost_kind, about)
    if tried.outcome == "ok":
        return f"{glyphs.OK} ok  {tokens(tried.output_tokens)} out  {paid}"
    status = f" {tried.http_status}" if tried.http_status else ""
    return f"{glyphs.FAILED}{status} {tried.outcome.replace('_', ' ')}  {paid}"
