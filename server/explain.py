"""Where a call went and why, in words of at most 100 columns. Pure.

From what the ledger keeps: decisions of other versions may lack fields or have more, and every
text in them was written by strangers.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from .ledger.stories import Row, Story
from .moments import duration
from .money import dollars
from .reasons import MOST_IN_FULL, NOT_SET_UP
from .results import iso, usd
from .telling import plain

COLUMNS = 100
Data = Mapping[str, Any]
SAID = ("tool", "client", "project", "task", "strategy", "privacy", "provider", "model", "status")
TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


def data_of(story: Story) -> dict[str, Any]:
    """The story as data, every string in it on one line and without control characters."""
    call = story.call
    said = {name: call.get(name) for name in ("call_id", *SAID)}
    version = call.get("client_version") or story.host.get("client_version")
    said |= {"client_version": version, "pid": story.host.get("pid")}
    if story.running:
        said |= {"status": "running", "phase": call.get("phase"), "attempt": call.get("attempt")}
    said |= {name: call.get(name) for name in ("finish_reason", "error_kind", "error", *TOKENS)}
    said |= {
        "started": iso(call["started"]),
        "ms": milliseconds(call["started"], call.get("ended")),
        "first_token_ms": milliseconds(call["started"], call.get("first_token_at")),
        "cost_usd": usd(call.get("cost_nano")),
        "cost_kind": call.get("cost_kind"),
        "decision": decision_of(story.decision),
        "attempts": [attempt_of(row, story.events) for row in story.attempts],
        "adjustments": [
            {"attempt": row["attempt"], "usd": usd(row["delta_nano"]), "why": row["why"]}
            for row in story.adjustments
        ],
    }
    return cleaned({k: v for k, v in said.items() if v is not None})


def milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)


def decision_of(text: str | None) -> Data | None:
    """The stored plan; None where there is none, or none that can be read."""
    try:
        found: object = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def attempt_of(row: Row, events: Sequence[Row]) -> dict[str, Any]:
    touched = [
        {
            "circuit": name_of(event),
            "from": event["from_state"],
            "to": event["to_state"],
            "why": event["why"],
        }
        for event in events
        if event["provider"] == row["provider"]
        and event["model"] in ("*", row["model"])
        and row["started"] <= event["at"] <= row["ended"]
    ]
    said = {
        "n": row["n"],
        "provider": row["provider"],
        "model": row["model"],
        "outcome": row["outcome"],
        "http_status": row.get("http_status"),
        "error": row.get("error"),
        "request_id": row.get("provider_request_id"),
        "answered_by": row.get("answered_by"),
        "ms": milliseconds(row["started"], row["ended"]),
        "first_token_ms": milliseconds(row["started"], row.get("first_token_at")),
        "waited_s": row.get("waited_s") or None,
        "waited_for": row.get("waited_for"),
        "input_tokens": row.get("input_tokens"),
        "output_tokens": row.get("output_tokens"),
        "reserved_usd": usd(row.get("reserved_nano")),
        "cost_usd": usd(row.get("cost_nano")),
        "cost_kind": row.get("cost_kind"),
        "circuits": touched or None,
    }
    return {k: v for k, v in said.items() if v is not None}


def cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value)
        return {plain(str(key)): cleaned(each) for key, each in pairs.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in cast("Sequence[Any]", value)]
    return value


# Words.


def explained(told: Data) -> list[str]:
    """The story in lines: what became of the call, where it could go, and what happened."""
    decision = told.get("decision")
    lines = [*folded(headline(told), indent=""), *folded(who(told))]
    if told.get("error"):
        lines += folded(str(told["error"]))
    if isinstance(decision, Mapping):
        lines += planned(cast("Data", decision), told["attempts"])
    elif told["status"] == "running":
        lines += folded("Its decision is kept when it ends.")
    else:
        lines += folded("No decision was kept that can be read.")
    lines += happened(told["attempts"])
    for each in told["adjustments"]:
        lines += folded(f"attempt {each['attempt']}: {money(each['usd'])} later, {each['why']}")
    return lines


def headline(told: Data) -> str:
    name = name_of(told)
    if told["status"] == "running":
        attempt = f", attempt {told['attempt']}, {told['phase']}" if told.get("attempt") else ""
        return f"{told['call_id']} is running: {name}{attempt}"
    verb = {"ok": f"{name} answered", "refused": "nothing was sent"}.get(
        told["status"], f"last tried {name}" if told.get("provider") else "nothing was sent"
    )
    parts = [f"{verb}", took(told), price(told)]
    kind = f" ({told['error_kind']})" if told.get("error_kind") else ""
    return f"{told['call_id']} {told['status']}{kind}: {', '.join(filter(None, parts))}"


def who(told: Data) -> str:
    version = f" {told['client_version']}" if told.get("client_version") else ""
    parts = [f"{told['tool']} for {told['client']}{version}"]
    parts += [f"pid {told['pid']}"] if told.get("pid") else []
    parts += [f"in {told['project']}"] if told.get("project") else []
    parts.append(f"at {told['started']}")
    parts += [f"task {told['task']}"] if told.get("task") else []
    parts += [f"privacy {told['privacy']}"] if told.get("privacy") not in (None, "any") else []
    tokens = [f"{told[name]:,} {name.removesuffix('_tokens')}" for name in TOKENS if told.get(name)]
    return ", ".join(parts) + (f"; tokens: {', '.join(tokens)}" if tokens else "")


def planned(decision: Data, attempts: Sequence[Data]) -> Iterator[str]:
    """The candidates, what became of each, and those left out."""
    strategy = decision.get("strategy")
    yield f"Where it could go{f', strategy {strategy}' if strategy else ''}:"
    candidates = listed(decision.get("candidates"))
    outcomes: dict[str, list[str]] = {}
    for attempt in attempts:
        outcomes.setdefault(name_of(attempt), []).append(str(attempt["outcome"]))
    for n, candidate in enumerate(candidates, 1):
        became = ", ".join(outcomes.get(name_of(candidate), ["not tried"]))
        yield from folded(f"{candidate_words(n, candidate)} -> {became}")
    if not candidates:
        yield from folded("nowhere")
    for each in listed(decision.get("passed_by")):
        why = ", ".join(str(each[name]) for name in ("reason", "detail") if each.get(name))
        yield from folded(f"{name_of(each)} was passed by when its turn came: {why}")
    yield from left_out(decision)


def candidate_words(n: int, candidate: Data) -> str:
    """`1. openai/gpt-5: quality 90; about $0.012, at most $0.04; about 2.3 s`."""
    expected, most = candidate.get("estimated_cost_usd"), candidate.get("max_cost_usd")
    costs = [f"about {money(expected)}"] if number(expected) else ["price unknown"]
    costs += [f"at most {money(most)}"] if number(most) else []
    late = candidate.get("expected_ms")
    parts = [str(candidate.get("why") or ""), ", ".join(costs)]
    parts += [f"about {duration(late / 1000)}"] if number(late) and late is not None else []
    circuit = candidate.get("circuit")
    parts += [f"circuit {circuit}"] if circuit not in (None, "closed") else []
    return f"{n}. {name_of(candidate)}: {'; '.join(filter(None, parts))}"


def left_out(decision: Data) -> Iterator[str]:
    """A line each, but one line for all those the user has not set up."""
    excluded = listed(decision.get("excluded"))
    if excluded:
        yield "Left out:"
    unset = [each for each in excluded if each.get("reason") in NOT_SET_UP]
    gathered = unset if len(unset) > MOST_IN_FULL else []
    for each in excluded:
        if each not in gathered:
            until = f", until {each['until']}" if each.get("until") else ""
            detail = f", {each['detail']}" if each.get("detail") else ""
            yield from folded(f"{name_of(each)}: {each.get('reason', '?')}{detail}{until}")
    for reason in NOT_SET_UP:
        names = [str(each.get("provider")) for each in gathered if each.get("reason") == reason]
        if names:
            yield from folded(f"{reason}: {', '.join(dict.fromkeys(names))}")


def happened(attempts: Sequence[Data]) -> Iterator[str]:
    if attempts:
        yield "What happened:"
    for attempt in attempts:
        yield from folded(attempt_words(attempt))
        for each in attempt.get("circuits", ()):
            words = f"circuit {each['circuit']}: {each['from']} -> {each['to']} ({each['why']})"
            yield from folded(words, indent=" " * 5)


def attempt_words(attempt: Data) -> str:
    status = attempt.get("http_status")
    http = f" (HTTP {status})" if status and attempt["outcome"] != "ok" else ""
    waited = ""
    if attempt.get("waited_s"):
        reason = f" ({attempt['waited_for']})" if attempt.get("waited_for") else ""
        waited = f"waited {duration(attempt['waited_s'])}{reason}, then "
    parts = [f"{attempt['outcome']}{http}", took(attempt), price(attempt)]
    said = f"{attempt['n']}. {waited}{name_of(attempt)} {', '.join(filter(None, parts))}"
    said += f", held {money(attempt['reserved_usd'])}" if attempt.get("reserved_usd") else ""
    return said + (f": {attempt['error']}" if attempt.get("error") else "")


def took(told: Data) -> str:
    if told.get("ms") is None:
        return ""
    first = told.get("first_token_ms")
    heard = f" (first word {duration(first / 1000)})" if first is not None else ""
    return f"{duration(told['ms'] / 1000)}{heard}"


def price(told: Data) -> str:
    kind = told.get("cost_kind")
    if kind in ("none", None):
        return "no cost"
    said = money(told.get("cost_usd"))
    return said if kind == "actual" else f"{said} ({kind})"


def money(known: Any) -> str:
    if not number(known):
        return "cost unknown"
    sign = "-" if known < 0 else ""
    return sign + dollars(round(abs(known) * 1_000_000_000))


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def name_of(named: Data) -> str:
    provider, model = named.get("provider"), named.get("model")
    if not provider:
        return "nobody"
    return f"{provider}/{model}" if model and model != "*" else str(provider)


def listed(value: Any) -> list[Data]:
    """The mappings in a list, whatever else a stranger's JSON has there."""
    found = cast("Iterable[Any]", value) if isinstance(value, list) else ()
    return [cast("Data", each) for each in found if isinstance(each, Mapping)]


def folded(text: str, indent: str = "  ") -> list[str]:
    """The text in lines of at most 100 columns, those after the first set in."""
    more = f"{indent}   "
    return textwrap.wrap(
        text, COLUMNS, initial_indent=indent, subsequent_indent=more, break_on_hyphens=False
    )
