"""Calls as table rows."""

import re
from collections.abc import Sequence

from rich.cells import cell_len

from ..server.ledger.closeup import Correction
from ..server.ledger.watch import Finished, Running
from . import glyphs
from .draw import fit
from .figures import NANO, NOTHING, duration, money, speed, time_of_day, tokens
from .rows import Cells, Column, Look, Row, Tone, row_of
from .sieve import Fields, Value

STATE = Column(key="state", title="STATE", width=9)
LONG_ROUTE = Column(key="route", title="ROUTE ← what failed before", width=12, flex=True)
ROUTE = Column(key="route", title="ROUTE", width=12, flex=True)
DURATION = Column(key="dur", title="DUR", width=6, align="right")
TASK = Column(key="task", title="TASK", width=8)
TRIES = Column(key="n", title="#", width=2, align="right")
OUT = Column(key="out", title="OUT", width=5, align="right")
SPEED = Column(key="speed", title="TOK/S", width=6, align="right")
COST = Column(key="cost", title="COST $", width=8, align="right")
CLIENT = Column(key="client", title="CLIENT", width=11)
IN = Column(key="in", title="IN", width=5, align="right")
START = Column(key="start", title="START", width=8)
STRATEGY = Column(key="strategy", title="STRATEGY", width=8)
WIDE = (STATE, START, DURATION, CLIENT, TASK, STRATEGY, LONG_ROUTE, TRIES, IN, OUT, SPEED, COST)
MIDDLE = (STATE, DURATION, CLIENT, TASK, ROUTE, TRIES, IN, OUT, SPEED, COST)
NARROW = (STATE, DURATION, TASK, ROUTE, TRIES, OUT, SPEED, COST)
TINY = (STATE, DURATION, ROUTE, OUT, COST)

ROOMY = 32  # cells of a route that has words beside it
PID = re.compile(r"pid \d+")
SHORT_KINDS = {
    "over_budget": "budget",
    "not_approved": "approval",
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
    fitting = (
        columns for least, columns in ((116, WIDE), (100, MIDDLE), (72, NARROW)) if width >= least
    )
    return next(fitting, TINY)


def running_row(
    call: Running, columns: tuple[Column, ...], look: Look, *, gone: bool = False
) -> Row:
    """`gone`: its server is no longer heard from, and nobody has closed the call yet."""
    retrying = call.phase == "retry"
    sign = glyphs.RETRY if retrying else glyphs.RUNNING
    tone: Tone = "warn" if retrying else "dim" if call.phase == "queue" else "busy"
    streamed = call.beat - call.first_token_at if call.first_token_at else None
    cells: Cells = {
        "state": (f"{glyphs.LOST} gone", "dim") if gone else (f"{sign} {call.phase}", tone),
        "start": (time_of_day(call.started, look.zone), ""),
        "dur": (duration(look.now - call.started), ""),
        "n": (str(call.attempt), ""),
        "in": (tokens(call.input_tokens), ""),
        "out": (tokens(call.output_tokens), ""),
        "speed": (speed(call.output_tokens, streamed), ""),
        "cost": (money(call.reserved_nano, about=call.reserved_nano > 0), ""),
        "route": (running_route(call, columns, look, gone=gone), "dim" if gone else ""),
        **shared(call),
    }
    return row_of(call.call_id, cells, columns)


def finished_row(
    call: Finished,
    columns: tuple[Column, ...],
    look: Look,
    correction: Correction | None = None,
) -> Row:
    word, tone = finished_state(call)
    streamed = call.ended - call.first_token_at if call.first_token_at else None
    cells: Cells = {
        "state": (word, tone),
        "start": (time_of_day(call.started, look.zone), ""),
        "dur": (duration(call.ended - call.started), ""),
        "n": (str(call.attempts), ""),
        "in": (tokens(call.input_tokens), ""),
        "out": (tokens(call.output_tokens), ""),
        "speed": (speed(call.output_tokens, streamed), ""),
        "cost": (cost_of(call, correction), ""),
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


def cost_of(call: Finished, correction: Correction | None = None) -> str:
    """With what was corrected later. Of several attempts the others may still be estimates."""
    about = call.cost_kind in ("estimated", "presumed")
    if correction is None:
        return cost(call.cost_nano, call.cost_kind, about)
    unsure = call.attempts > correction.attempts and call.cost_kind != "actual"
    return money((call.cost_nano or 0) + correction.delta_nano, about=unsure)


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
            return f"{glyphs.FAILED} {short_kind(call.error_kind or call.status)}", "err"


def short_kind(kind: str) -> str:
    return SHORT_KINDS.get(kind, kind.replace("_", " "))


def target(call: Running | Finished) -> str:
    return f"{call.provider}/{call.model}" if call.provider else ""


def room_of(columns: tuple[Column, ...]) -> int:
    """The cells of the route's column."""
    return next((column.width for column in columns if column.key == "route"), 40)


def running_route(
    call: Running, columns: tuple[Column, ...], look: Look, *, gone: bool = False
) -> str:
    route, room = target(call) or "choosing", room_of(columns)
    if gone:
        return tailed(route, ", its server is gone" if room >= ROOMY else ", no server", room)
    if call.phase == "retry" and call.next_try_at is not None:
        why = call.trail.rpartition(" ")[2]
        left = call.next_try_at - look.now
        soon = f"in {duration(left)}" if left > 0 else "now"
        tail = f", again {soon}" if room >= ROOMY else f" {soon}"
        return tailed(route, f" {glyphs.FAILED}{why}{tail}", room)
    if call.phase == "queue" and not call.attempt and call.trail:
        return tailed(route, f", {call.trail}", room)
    return joined(route, call.trail, room)


def finished_route(call: Finished, columns: tuple[Column, ...]) -> str:
    route, room = target(call), room_of(columns)
    if call.status == "lost":
        pid = PID.search(call.error or "")
        died = f"{pid[0]} died" if pid else "its server died"
        return tailed(route, f", {died}", room) if route else died
    if call.status == "ok" or not call.error:
        return joined(route or "nothing was sent", call.trail, room)
    return (
        f"{fit_within(route, room // 2)}, {call.error}" if route and call.attempts else call.error
    )


def joined(route: str, trail: str, room: int) -> str:
    """The route and what failed before it: in short words where they fit, else their number."""
    failed = [part for part in trail.split(", ") if part]
    if not failed:
        return route
    full = f"{route} ← {came_from(failed)}"
    return full if cell_len(full) <= room else tailed(route, f" ← {len(failed)}", room)


def tailed(route: str, tail: str, room: int) -> str:
    """The tail in full, unless that leaves hardly anything of the route."""
    return f"{fit_within(route, max(12, room - cell_len(tail)))}{tail}"


def fit_within(text: str, room: int) -> str:
    return text if cell_len(text) <= room else fit(text, room)


def came_from(failed: Sequence[str]) -> str:
    """`openai/gpt-5 429` twice is `openai✗429×2`."""
    counted: dict[str, int] = {}
    for part in failed:
        name, _, why = part.rpartition(" ")
        short = f"{name.split('/')[0]}{glyphs.FAILED}{short_kind(why)}" if name else part
        counted[short] = counted.get(short, 0) + 1
    return " ".join(word if n == 1 else f"{word}×{n}" for word, n in counted.items())


def fields_of(call: Running | Finished) -> Fields:
    """What the filter looks in: dollars, seconds, tokens."""
    fields: dict[str, Value] = {
        "call": call.call_id,
        "tool": call.tool,
        "client": call.client,
        "project": call.project,
        "task": call.task or "",
        "strategy": call.strategy or "",
        "privacy": call.privacy,
        "provider": call.provider or "",
        "model": call.model or "",
        "trail": call.trail,
        "fallback": bool(call.trail) and not (isinstance(call, Running) and call.attempt == 0),
        "in": call.input_tokens,
        "out": call.output_tokens,
    }
    first = call.first_token_at
    if isinstance(call, Running):
        streamed, until = call.beat - first if first else 0.0, call.beat
        fields |= {"status": call.phase, "attempts": call.attempt, "error": ""}
        fields["reserved"] = call.reserved_nano / NANO
    else:
        streamed, until = call.ended - first if first else 0.0, call.ended
        fields |= {"status": call.status, "attempts": call.attempts, "error": call.error or ""}
        fields |= {"cached": call.cached_tokens, "at": call.ended}
        fields["cost"] = None if call.cost_nano is None else call.cost_nano / NANO
    fields["dur"] = until - call.started
    fields["ttft"] = first - call.started if first else None
    fields["tok/s"] = call.output_tokens / streamed if call.output_tokens and streamed else None
    return fields
