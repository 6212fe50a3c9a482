"""One call looked at closely: why it went where it went, its attempts, its money, its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..server.ledger.closeup import Correction, Host, Tried
from ..server.ledger.watch import Finished, Running, Server
from .calls import cost_of
from .closeup import Detail
from .draw import fit, fold, wrap
from .figures import duration, money, time_of_day, tokens
from .rows import Look
from .waterfall import WIDE, waterfall
from .why import reasons

UNSTORED = "PROMPT not stored, nor is the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What else is known of a call: the servers that live, and whether its own does."""

    servers: Sequence[Server] = ()
    gone: bool = False


def detail_lines(
    call: Running | Finished,
    detail: Detail | None,
    around: Around,
    look: Look,
    width: int,
    height: int,
) -> list[str]:
    """Everything known of one call, in at most `height` lines of `width` cells; what is left out
    first are the earliest attempts."""
    seen = detail if detail and detail.call_id == call.call_id else Detail(call_id=call.call_id)
    above = [*head_lines(call, seen, around, look, width), *why_lines(call, seen, look, width)]
    below = [
        line for lines in (end_lines(call, seen, look), budget_lines(call, seen)) for line in lines
    ]
    below = [line for each in (*below, UNSTORED) for line in fold(each, width, indent=8)]
    most = max(2, height - len(above) - len(below) - 1)
    drawn = waterfall(call, seen.attempts, seen.corrected, look, width, most)
    return [fit(line, width).rstrip() for line in (*above, *drawn, *below)]


def head_lines(
    call: Running | Finished, seen: Detail, around: Around, look: Look, width: int
) -> list[str]:
    asked = " · ".join((call.tool, call.task or "no task", call.strategy or "priority"))
    by = " ".join(filter(None, (process_of(call, seen.host, around), call.project)))
    if width >= WIDE:
        return [f"call {call.call_id} · {asked} · {by}"]
    return [f"call {call.call_id} · {state_of(call, around, look)}", f"{asked}   {by}"]


def state_of(call: Running | Finished, around: Around, look: Look) -> str:
    if isinstance(call, Finished):
        return f"{call.status} after {duration(call.ended - call.started)}"
    if around.gone:
        return "its server is gone"
    return f"{call.phase} since {duration(look.now - call.started)}"


def process_of(call: Running | Finished, host: Host | None, around: Around) -> str:
    """`cursor pid 8123`."""
    pid = host.pid if host else None
    pid = pid or next((one.pid for one in around.servers if one.id == call.server), None)
    return f"{call.client} pid {pid}" if pid else call.client


def why_lines(call: Running | Finished, seen: Detail, look: Look, width: int) -> list[str]:
    """Beside each other where there is room, else one under the other."""
    parts = reasons(seen.why, seen.attempts, look, ended=isinstance(call, Finished))
    if width < WIDE:
        return ["WHY", *(fit(f" {part}", width).rstrip() for part in parts)]
    parts = [fit(part, width - 6).rstrip() for part in parts]
    lines = wrap(parts, width, indent=6, between=" · ")
    return [("WHY   " if not index else "      ") + line for index, line in enumerate(lines)]


def end_lines(call: Running | Finished, seen: Detail, look: Look) -> list[str]:
    lines = [token_line(call)]
    errors = attempt_errors(seen.attempts)
    if isinstance(call, Finished) and call.error:
        errors.append(call.error)
    if errors:
        lines.append(f"ERROR   {' · '.join(errors)}")
    for each in seen.corrected:
        changed = ("+" if each.delta_nano >= 0 else "") + money(each.delta_nano)
        said = f"attempt {each.attempt} {changed}, {each.why} (by {each.by}"
        lines.append(f"LATER   {said}, {time_of_day(each.at, look.zone)})")
    return lines


def attempt_errors(attempts: Sequence[Tried]) -> list[str]:
    """What went wrong, once for all attempts at which it did."""
    told: dict[str, list[str]] = {}
    for tried in attempts:
        if tried.error and tried.outcome != "ok":
            told.setdefault(tried.error, []).append(str(tried.n))
    return [f"attempt {', '.join(numbers)}: {error}" for error, numbers in told.items()]


def token_line(call: Running | Finished) -> str:
    if isinstance(call, Running):
        said = f"TOKENS  in ~{tokens(call.input_tokens)} · out {tokens(call.output_tokens)}"
        first, tail = call.first_token_at, ""
    else:
        said = (
            f"TOKENS  in {tokens(call.input_tokens)} (cached {tokens(call.cached_tokens)})"
            f" · out {tokens(call.output_tokens)} · reasoning {tokens(call.reasoning_tokens)}"
        )
        first, tail = call.first_token_at, " · estimated" if call.usage_estimated else ""
    heard = f"first token after {duration(first - call.started)}" if first else "no token yet"
    return f"{said} · {heard}{tail}"


def budget_lines(call: Running | Finished, seen: Detail) -> list[str]:
    lines: list[str] = []
    if isinstance(call, Running):
        said = f"reserved {money(call.reserved_nano, about=call.reserved_nano > 0)}"
        lines.append(f"BUDGET  {said} until it ends, in {', '.join(seen.budgets) or 'no budget'}")
    else:
        reserved = [tried.reserved_nano for tried in seen.attempts if tried.reserved_nano]
        most = f" · reserved {money(sum(reserved))}" if reserved else ""
        lines.append(f"COST    {total(call, seen)}{most}")
    named = [f"{tried.n} {told}" for tried in seen.attempts if (told := request_of(tried))]
    return [*lines, *([f"REQUEST {' · '.join(named)}"] if named else [])]


def request_of(tried: Tried) -> str:
    """What to name when asking the provider about an attempt."""
    other = tried.answered_by not in (None, tried.model)
    by = f"answered by {tried.answered_by}" if other else None
    return ", ".join(filter(None, (tried.provider_request_id, by)))


def total(call: Finished, seen: Detail) -> str:
    if not seen.corrected:
        return cost_of(call)
    correction = Correction(
        call_id=call.call_id,
        delta_nano=sum(each.delta_nano for each in seen.corrected),
        attempts=len({each.attempt for each in seen.corrected}),
    )
    return f"{cost_of(call, correction)}, corrected (was {cost_of(call)})"
