"""What was spent: the report behind `cost_report` and `roundhouse cost`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from mcp.types import CallToolResult

from ..providers import prices
from ..providers.prices import Rates
from ..providers.types import Usage
from . import budgets, results
from .desk import Desk
from .errors import BadRequest
from .ledger import totals
from .ledger.driver import Connection
from .ledger.totals import Span, Totals
from .registry import Registry
from .settings import Period

HOUR_S = 3600
CALENDAR: Mapping[str, Period] = {"day": "day", "week": "week", "month": "month", "all": "total"}
PERIOD_WORDS = {
    "hour": "this hour",
    "day": "today",
    "week": "this week",
    "month": "this month",
    "all": "since the beginning",
}


def span(period: str, since: str | None, until: str | None, *, timezone: str, now: float) -> Span:
    """Whole hours: of a calendar period in the time zone, or between two given times. Raises
    BadRequest."""
    zone = ZoneInfo(timezone)
    last = math.ceil(moment(until, zone, "until") / HOUR_S) if until else int(now // HOUR_S) + 1
    if since:
        first = int(moment(since, zone, "since") // HOUR_S)
        if first >= last:
            raise BadRequest("since lies after until", next_step="Swap them.")
        return Span(first=first, last=last, words=f"{since} to {until or 'now'}")
    if period == "hour":
        first = int(now // HOUR_S)
    else:
        start, _ = budgets.window(CALENDAR[period], now, timezone)
        first = int(start // HOUR_S)
    if first >= last:
        raise BadRequest(f"until lies before {PERIOD_WORDS[period]}", next_step="Give since too.")
    return Span(first=first, last=last, words=PERIOD_WORDS[period])


def moment(text: str, zone: ZoneInfo, name: str) -> float:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{name} {text[:40]!r} is no ISO date or time",
            next_step="Write it like 2026-11-21 or 2026-11-21T08:00.",
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).timestamp()


async def costs(desk: Desk, over: Span, group_by: Sequence[str], limit: int) -> CallToolResult:
    """Totals, groups and budgets, as a table and as data."""
    now, timezone = desk.clock(), desk.settings.timezone

    def found(db: Connection) -> Totals:
        return totals.totals(db, over, group_by, limit, now, timezone=timezone)

    said = report(await desk.ledger.read(found), over, group_by, now)
    return results.result(said, cost_table(said, group_by))


def report(found: Totals, over: Span, group_by: Sequence[str], now: float) -> dict[str, Any]:
    said: dict[str, Any] = {
        "period": over.words,
        "totals": spent(found.total),
        "groups": [{name: g[name] for name in group_by} | spent(g) for g in found.groups],
        "budgets": [budget_of(row, now) for row in found.windows],
    }
    if found.more:
        said["more_groups"] = found.more
    if found.adjustments:
        said["adjustments"] = found.adjustments
        said["adjusted_usd"] = results.usd(found.adjusted_nano)
    if found.alarms:
        said["alarms"] = [{"at": results.iso(a.at), "text": a.text} for a in found.alarms]
    return said


def local_as(found: Totals, registry: Registry, name: str, rates: Rates) -> dict[str, Any]:
    """What the tokens that local models read and wrote would have cost at `rates`, a price of
    whole requests above a size left aside."""
    here = {row.provider.name: row.provider for row in registry.listed() if row.provider.local}
    used = [
        row
        for row in found.by_model
        if row["provider"] in here and prices.runs_here(here[row["provider"]], row["model"])
    ]
    read, wrote = (sum(row[column] for row in used) for column in ("input_tokens", "output_tokens"))
    flat = replace(rates, tiers=(), per_request=0, per_second=0, per_image=0)
    nano = prices.cost(flat, Usage(input=read, output=wrote))
    nano += rates.per_request * sum(row["attempts"] for row in used)
    return {
        "model": name,
        "attempts": sum(row["attempts"] for row in used),
        "input_tokens": read,
        "output_tokens": wrote,
        "cost_usd": results.usd(nano),
    }


def spent(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "calls": row["calls"],
        "errors": row["errors"],
        "attempts": row["attempts"],
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "cached_tokens": row["cached_tokens"],
        "cost_usd": results.usd(row["cost_nano"]),
        "presumed_usd": results.usd(row["presumed_nano"]),
        "presumed_calls": row["presumed"],
        "unpriced_calls": row["unpriced"],
        "failed_usd": results.usd(row["failed_nano"]),
    }


def budget_of(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    spent, committed = row["spent_nano"], row["spent_nano"] + row["reserved_nano"]
    limit, start, end = row["limit_nano"], row["window_start"], row["window_end"]
    hourly = spent * HOUR_S / max(now - start, 1.0)
    out = budgets.runs_out(
        committed_nano=committed, limit_nano=limit, nano_per_hour=hourly, end=end, now=now
    )
    pace = budgets.pace(spent_nano=spent, limit_nano=limit, start=start, end=end, now=now)
    return {
        "budget": row["budget"],
        "spent_usd": results.usd(spent),
        "reserved_usd": results.usd(row["reserved_nano"]),
        "limit_usd": results.usd(limit),
        "free_usd": results.usd(max(0, limit - committed)),
        "resets": None if end is None else results.iso(end),
        "pace": None if pace is None else round(pace, 2),
        "runs_out": None if end is None or out is None else results.iso(out),
        "at_limit": row["at_limit"],
    }


def remarks(said: Mapping[str, Any]) -> list[str]:
    """What has to be known of the sum."""
    total, lines = said["totals"], list[str]()
    if total["presumed_usd"]:
        lines.append(
            f"of which presumed (outcome unknown, {total['presumed_calls']} calls): "
            f"${total['presumed_usd']:.6f}"
        )
    if total["unpriced_calls"]:
        lines.append(f"{total['unpriced_calls']} calls have no known price and are not in the sum")
    if total["failed_usd"]:
        lines.append(f"of which attempts that failed: ${total['failed_usd']:.6f}")
    if said.get("adjustments"):
        lines.append(f"corrected by hand {said['adjustments']} times: {signed(said)}")
    return lines + [f"alarm of {each['at']}: {each['text']}" for each in said.get("alarms", ())]


def signed(said: Mapping[str, Any]) -> str:
    usd = said["adjusted_usd"]
    return f"{'-' if usd < 0 else '+'}${abs(usd):.6f}"


def headline(said: Mapping[str, Any]) -> str:
    total = said["totals"]
    return (
        f"{said['period']}: {total['calls']} calls, {total['errors']} failed, "
        f"{total['input_tokens']} tokens in, {total['output_tokens']} out, ${total['cost_usd']:.6f}"
    )


def named(group: Mapping[str, Any], group_by: Sequence[str]) -> str:
    return " ".join(str(group[key]) for key in group_by if group[key]) or "(refused)"


def budget_words(budget: Mapping[str, Any]) -> str:
    resets = f", resets {budget['resets']}" if budget["resets"] else ""
    return (
        f"budget {budget['budget']}: ${budget['spent_usd']:.4f} spent, "
        f"${budget['reserved_usd']:.4f} reserved of ${budget['limit_usd']:.2f}{resets}"
    )


def cost_table(said: Mapping[str, Any], group_by: Sequence[str]) -> str:
    lines = [headline(said), *remarks(said)]
    for group in said["groups"]:
        name = named(group, group_by)
        lines.append(f"{name}: {group['calls']} calls, ${group['cost_usd']:.6f}")
    if said.get("more_groups"):
        lines.append(f"and {said['more_groups']} more groups (raise limit)")
    return "\n".join(lines + [budget_words(budget) for budget in said["budgets"]])
