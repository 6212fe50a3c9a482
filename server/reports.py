"""What happened and what is up, from the ledger: cost_report, provider_health, unload_model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio
from mcp.types import CallToolResult

from ..providers import probe, unloading
from ..providers.errors import UpstreamError
from . import budgets, circuits, results
from .desk import Desk
from .errors import BadRequest, NotFound
from .ledger import circuit_rows, totals
from .ledger.totals import Span
from .registry import Listed
from .settings import Period

HOUR_S = 3600
CALENDAR: Mapping[str, Period] = {"day": "day", "week": "week", "month": "month", "all": "total"}
HEALTH_SPAN_S = 3600.0
CIRCUIT_WORDS = {
    "circuit_open": "open",
    "half_open": "half-open",
    "cooldown": "cooling down",
    "hold": "held",
}
PERIOD_WORDS = {
    "hour": "this hour",
    "day": "today",
    "week": "this week",
    "month": "this month",
    "all": "since the beginning",
}


def span(desk: Desk, period: str, since: str | None, until: str | None) -> Span:
    """Whole hours: of a calendar period in the configured zone, or between two given times."""
    zone = ZoneInfo(desk.settings.timezone)
    now = desk.clock()
    last = math.ceil(moment(until, zone, "until") / HOUR_S) if until else int(now // HOUR_S) + 1
    if since:
        first = int(moment(since, zone, "since") // HOUR_S)
        if first >= last:
            raise BadRequest("since lies after until", next_step="Swap them.")
        return Span(first=first, last=last, words=f"{since} to {until or 'now'}")
    if period == "hour":
        first = int(now // HOUR_S)
    else:
        start, _ = budgets.window(CALENDAR[period], now, desk.settings.timezone)
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
    now = desk.clock()
    found = await desk.ledger.read(totals.totals, over, group_by, limit, now)
    said: dict[str, Any] = {
        "period": over.words,
        "totals": spent(found.total),
        "groups": [{name: g[name] for name in group_by} | spent(g) for g in found.groups],
        "budgets": [budget_of(row, now) for row in found.windows],
    }
    if found.more:
        said["more_groups"] = found.more
    return results.result(said, cost_table(said, group_by))


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
        "unpriced_calls": row["unpriced"],
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
        "resets": iso(end),
        "pace": None if pace is None else round(pace, 2),
        "runs_out": iso(out) if end is not None else None,
        "at_limit": row["at_limit"],
    }


def iso(at: float | None) -> str | None:
    return None if at is None else results.iso(at)


def cost_table(said: Mapping[str, Any], group_by: Sequence[str]) -> str:
    total = said["totals"]
    lines = [
        f"{said['period']}: {total['calls']} calls, {total['errors']} failed, "
        f"{total['input_tokens']} tokens in, {total['output_tokens']} out, ${total['cost_usd']:.6f}"
    ]
    if total["presumed_usd"]:
        lines.append(f"of which presumed (outcome unknown): ${total['presumed_usd']:.6f}")
    if total["unpriced_calls"]:
        lines.append(f"{total['unpriced_calls']} calls have no known price and are not in the sum")
    for group in said["groups"]:
        name = " ".join(str(group[key]) for key in group_by if group[key]) or "(refused)"
        lines.append(f"{name}: {group['calls']} calls, ${group['cost_usd']:.6f}")
    if said.get("more_groups"):
        lines.append(f"and {said['more_groups']} more groups (raise limit)")
    for budget in said["budgets"]:
        resets = f", resets {budget['resets']}" if budget["resets"] else ""
        lines.append(
            f"budget {budget['budget']}: ${budget['spent_usd']:.4f} spent, "
            f"${budget['reserved_usd']:.4f} reserved of ${budget['limit_usd']:.2f}{resets}"
        )
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knows of the providers' health."""

    rows: Mapping[str, Mapping[str, Any]]
    circuits: Mapping[tuple[str, str], circuits.Circuit]


async def health(desk: Desk, provider: str | None, *, probe: bool) -> CallToolResult:
    """Per provider: configured, key, circuit, error rate, latency, and on demand a probe."""
    listed = [row for row in desk.registry.listed() if provider in (None, row.provider.name)]
    if not listed:
        known = ", ".join(sorted(row.provider.name for row in desk.registry.listed()))
        raise NotFound(f"there is no provider {provider!r}", next_step=f"Known: {known}.")
    now = desk.clock()
    rows = await desk.ledger.read(totals.health, now - HEALTH_SPAN_S)
    states = await desk.ledger.read(circuit_rows.load)
    facts = Facts({row["provider"]: row for row in rows}, states)
    probes = await probe_all(desk, listed if probe else [])
    said = [health_of(row, facts, probes.get(row.provider.name), now) for row in listed]
    return results.result({"providers": said}, "\n".join(map(health_line, said)))


async def probe_all(desk: Desk, listed: Sequence[Listed]) -> Mapping[str, probe.Probe]:
    """Asks every provider that can be asked, at the same time."""
    found: dict[str, probe.Probe] = {}

    async def ask(row: Listed) -> None:
        key = row.key.value if row.key else None
        found[row.provider.name] = await probe.probe(desk.http, row.provider, key)

    async with anyio.create_task_group() as group:
        for row in listed:
            if row.key is not None or not row.provider.key_required:
                group.start_soon(ask, row)
    return found


def key_of(row: Listed) -> str:
    if row.key is not None:
        return row.key.name
    return row.signed_with or ("missing" if row.provider.key_required else "none")


def health_of(row: Listed, facts: Facts, probed: probe.Probe | None, now: float) -> dict[str, Any]:
    name = row.provider.name
    seen = facts.rows.get(name, {})
    durations: list[int] = seen.get("durations_ms", [])
    attempts = seen.get("attempts", 0)
    said: dict[str, Any] = {
        "provider": name,
        "enabled": row.enabled,
        "key": key_of(row),
        "circuit": circuit_of(name, facts.circuits, now),
        "calls": attempts,
        "error_rate": round(seen.get("failed", 0) / attempts, 3) if attempts else 0.0,
        "p50_ms": percentile(durations, 0.5),
        "p95_ms": percentile(durations, 0.95),
        "last_ok": iso(seen.get("last_ok")),
        "models": list(row.models),
    }
    if probed is not None:
        said |= {
            "reachable": probed.reachable,
            "key_accepted": probed.key_accepted,
            "model_available": row.has_default(probed),
            "models": list(probed.models)[:50] or said["models"],
            "loaded": list(probed.loaded),
            "detail": probed.detail,
        }
    return said


def circuit_of(
    provider: str, states: Mapping[tuple[str, str], circuits.Circuit], now: float
) -> str:
    """What keeps calls away from the provider or one of its models now; else `closed`."""
    verdicts = [
        (model, circuits.verdict(circuit, now, prober_alive=True))
        for (name, model), circuit in sorted(states.items())
        if name == provider
    ]
    blocked = [
        f"{CIRCUIT_WORDS[found.reason]} ({'all of it' if model == '*' else model} {found.detail})"
        for model, found in verdicts
        if found.reason is not None
    ]
    return "; ".join(blocked) or "closed"


def percentile(ordered: Sequence[int], share: float) -> int | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def health_line(said: Mapping[str, Any]) -> str:
    parts = [f"{said['provider']}: key {said['key']}", f"circuit {said['circuit']}"]
    if said["calls"]:
        parts.append(f"{said['calls']} attempts, {said['error_rate']:.0%} failed")
        if said["p50_ms"] is not None:
            parts.append(f"p50 {said['p50_ms']} ms, p95 {said['p95_ms']} ms")
    if "reachable" in said:
        parts.append("reachable" if said["reachable"] else f"not reachable: {said['detail']}")
        if said["loaded"]:
            parts.append(f"loaded {', '.join(said['loaded'])}")
    return ", ".join(parts)


async def unload(desk: Desk, model: str, provider: str | None, *, force: bool) -> CallToolResult:
    """Asks the local server that holds the model to drop it. Raises NotFound and BadRequest."""
    row, name = find_model(desk, model, provider)
    if not row.provider.local:
        detail = f"{row.provider.name} runs in the cloud; there is no memory of yours to free"
        return unloaded(False, detail, row, name)
    users = [run for run in desk.calls.shelf.running() if run.uses(row.provider.name, name)]
    if users and not force:
        raise BadRequest(
            f"{row.provider.name}/{name} is still in use (calls running: {len(users)})",
            next_step="Wait until it is free, or pass force=true to cancel them.",
        )
    for run in users:
        await desk.calls.stop(run)
    key = row.key.value if row.key else None
    try:
        done = await unloading.unload(desk.http, row.provider, key, name)
    except UpstreamError as error:
        return unloaded(False, error.detail, row, name)
    return unloaded(done.unloaded, done.detail, row, name)


def unloaded(done: bool, detail: str, row: Listed, model: str) -> CallToolResult:
    said = {
        "unloaded": done,
        "detail": detail,
        "provider": row.provider.name,
        "model": model,
    }
    return results.result(said, detail)


def find_model(desk: Desk, model: str, provider: str | None) -> tuple[Listed, str]:
    """The provider and model a name means. A bare model is looked for at local providers first."""
    if provider is not None:
        model = f"{provider}/{model}"
    found = desk.registry.resolve(model)
    if not found:
        raise NotFound(
            f"no provider here has a model {model[:80]!r}",
            next_step="Name it as provider/model; provider_health lists models.",
        )
    ranked = sorted(found, key=lambda pair: not pair[0].provider.local)
    return ranked[0]
