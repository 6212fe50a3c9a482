"""Calls as table rows and as lines of detail."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..server.ledger.watch import Finished, Running, Tried
from . import glyphs
from .draw import Phase, fit, time_line, time_scale, wrap
from .figures import NOTHING, duration, money, speed, time_of_day, tokens
from .reader import Detail
from .rows import Cells, Column, Look, Row, Tone, row_of

STATE = Column(key="state", title="STATE", width=9)
ROUTE = Column(key="route", title="ROUTE  model ← what failed before it", width=12, flex=True)
DURATION = Column(key="dur", title="DUR", width=6, align="right")
TASK = Column(key="task", title="TASK", width=8)
TRIES = Column(key="n", title="#", width=2, align="right")
OUT = Column(key="out", title="OUT", width=5, align="right")
SPEED = Column(key="speed", title="TOK/S", width=6, align="right")
COST = Column(key="cost", title="COST $", width=8, align="right")
WIDE = (
    STATE,
    Column(key="start", title="START", width=8),
    DURATION,
    Column(key="client", title="CLIENT", width=8),
    TASK,
    Column(key="strategy", title="STRATEGY", width=8),
    ROUTE,
    TRIES,
    Column(key="in", title="IN", width=5, align="right"),
    OUT,
    SPEED,
    COST,
)
NARROW = (STATE, DURATION, TASK, ROUTE, TRIES, OUT, SPEED, COST)
TINY = (STATE, DURATION, ROUTE, OUT, COST)

SHORT_KINDS = {
    "over_budget": "budget",
    "no_route": "no route",
    "all_failed": "failed",
    "deadline_exceeded": "timeout",
    "bad_request": "refused",
    "ledger_unavailable": "ledger",
    "locked": "auth",
    "exhausted": "quota",
    "throttled": "429",
    "unreachable": "no conn",
    "timed_out": "timeout",
    "misdirected": "config",
    "interrupted": "cut off",
}


def columns_for(width: int) -> tuple[Column, ...]:
    return WIDE if width >= 100 else NARROW if width >= 72 else TINY


def running_row(call: Running, columns: tuple[Column, ...], look: Look) -> Row:
    retrying = call.phase == "retry"
    sign = glyphs.RETRY if retrying else glyphs.RUNNING
    streamed = look.now - call.first_token_at if call.first_token_at else None
    cells: Cells = {
        "state": (f"{sign} {call.phase}", "warn" if retrying else "busy"),
        "start": (time_of_day(call.started, look.zone), ""),
        "dur": (duration(look.now - call.started), ""),
        "n": (str(call.attempt), ""),
        "in": (tokens(call.input_tokens), ""),
        "out": (tokens(call.output_tokens), ""),
        "speed": (speed(call.output_tokens, streamed), ""),
        "cost": (money(call.reserved_nano, about=call.reserved_nano > 0), ""),
        "route": (running_route(call, columns, look), ""),
        **shared(call),
    }
    return row_of(call.call_id, cells, columns)


def finished_row(call: Finished, columns: tuple[Column, ...], look: Look) -> Row:
    word, tone = finished_state(call)
    streamed = call.ended - call.first_token_at if call.first_token_at else None
    about = call.cost_kind in ("estimated", "presumed")
    cells: Cells = {
        "state": (word, tone),
        "start": (time_of_day(call.started, look.zone), ""),
        "dur": (duration(call.ended - call.started), ""),
        "n": (str(call.attempts), ""),
        "in": (tokens(call.input_tokens), ""),
        "out": (tokens(call.output_tokens), ""),
        "speed": (speed(call.output_tokens, streamed), ""),
        "cost": (cost(call.cost_nano, call.cost_kind, about), ""),
        "route": (finished_route(call, columns), "" if call.status == "ok" else "dim"),
        **shared(call),
    }
    return row_of(call.call_id, cells, columns)


def shared(call: Running | Finished) -> Cells:
    return {
        "client": (call.client, ""),
        "task": (call.task or NOTHING, ""),
        "strategy": (call.strategy or NOTHING, ""),
    }


def cost(nano: int | None, kind: str, about: bool) -> str:
    """A call that cost nothing because none was sent shows 0; an unknown price shows `?`."""
    return money(0 if nano is None and kind == "none" else nano, about=about)


def finished_state(call: Finished) -> tuple[str, Tone]:
    match call.status:
        case "ok" if call.finish_reason in (None, "stop", "tool_calls"):
            return f"{glyphs.OK} ok", "ok"
        case "ok":
            return f"{glyphs.OK} {call.finish_reason}", "ok"
        case "cancelled":
            return f"{glyphs.IDLE} cancel", "dim"
        case "lost":
            return f"{glyphs.LOST} lost", "dim"
        case _:
            kind = call.error_kind or call.status
            return f"{glyphs.FAILED} {SHORT_KINDS.get(kind, kind.replace('_', ' '))}", "err"


def target(call: Running | Finished) -> str:
    return f"{call.provider}/{call.model}" if call.provider else ""


def running_route(call: Running, columns: tuple[Column, ...], look: Look) -> str:
    route = target(call) or "choosing"
    if call.phase == "retry" and call.next_try_at is not None:
        again = duration(call.next_try_at - look.now)
        return f"{came_from(call.trail, columns) or route}, again in {again}"
    return joined(route, call.trail, columns)


def finished_route(call: Finished, columns: tuple[Column, ...]) -> str:
    route = target(call)
    if call.status == "lost":
        return f"{route}, its server died" if route else "its server died"
    if call.status == "ok" or not call.error:
        return joined(route, call.trail, columns)
    return f"{route}, {call.error}" if route and call.attempts else call.error


def joined(route: str, trail: str, columns: tuple[Column, ...]) -> str:
    before = came_from(trail, columns)
    return f"{route} ← {before}" if before else route


def came_from(trail: str, columns: tuple[Column, ...]) -> str:
    """`openai/gpt-5 429, openai/gpt-5 429` as `openai✗429×2`; only the number where it is
    narrow."""
    failed = [part for part in trail.split(", ") if part]
    if columns is not WIDE:
        return str(len(failed)) if failed else ""
    counted: dict[str, int] = {}
    for part in failed:
        name, _, why = part.rpartition(" ")
        short = f"{name.split('/')[0]}{glyphs.FAILED}{why}" if name else part
        counted[short] = counted.get(short, 0) + 1
    return " ".join(word if n == 1 else f"{word}×{n}" for word, n in counted.items())


def fields_of(call: Running | Finished) -> dict[str, str]:
    """What the filter line looks in."""
    state = call.phase if isinstance(call, Running) else call.status
    error = "" if isinstance(call, Running) else call.error or ""
    return {
        "call": call.call_id,
        "tool": call.tool,
        "client": call.client,
        "project": call.project,
        "task": call.task or "",
        "strategy": call.strategy or "",
        "provider": call.provider or "",
        "model": call.model or "",
        "status": state,
        "trail": call.trail,
        "error": error,
    }


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
    for left_out in mappings(decision.get("excluded")):
        said = str(left_out.get("detail") or str(left_out.get("reason")).replace("_", " "))
        parts.append(f"{glyphs.FAILED} {name_of(left_out)}: {said}")
    lines = wrap([fit(p, width - 6).rstrip() for p in parts[:12]], width, indent=6, between=" · ")
    return [("WHY   " if not index else "      ") + line for index, line in enumerate(lines)]


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
