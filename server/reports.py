"""What is up, from the ledger and from the providers: provider_health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.types import CallToolResult

from ..providers import probe
from ..providers.memory import gb
from . import circuits, holdings, results
from .desk import Desk
from .errors import NotFound
from .holdings import Holding
from .ledger import circuit_rows, totals
from .registry import Listed

HEALTH_SPAN_S = 3600.0
CIRCUIT_WORDS = {
    "circuit_open": "open",
    "half_open": "half-open",
    "cooldown": "cooling down",
    "hold": "held",
}


def iso(at: float | None) -> str | None:
    return None if at is None else results.iso(at)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knows of the providers' health."""

    rows: Mapping[str, Mapping[str, Any]]
    circuits: Mapping[tuple[str, str], circuits.Circuit]


async def health(desk: Desk, provider: str | None, *, probe: bool) -> CallToolResult:
    """Per provider: configured, key, circuit, error rate, latency, and on demand a probe."""
    if probe:
        await desk.look_around()
    listed = [row for row in desk.registry.listed() if provider in (None, row.provider.name)]
    if not listed:
        known = ", ".join(sorted(row.provider.name for row in desk.registry.listed()))
        raise NotFound(f"there is no provider {provider!r}", next_step=f"Known: {known}.")
    now = desk.clock()
    rows = await desk.ledger.read(totals.health, now - HEALTH_SPAN_S)
    states = await desk.ledger.read(circuit_rows.load)
    facts = Facts({row["provider"]: row for row in rows}, states)
    probes = await probe_all(desk, listed if probe else [])
    held = await holdings.described(desk, listed, probes)
    said = [
        {
            **health_of(row, facts, probes.get(row.provider.name), now),
            **in_memory([each for each in held if each.provider == row.provider.name]),
        }
        for row in listed
    ]
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
    if row.key_command and not row.problem:
        return "key_command"
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


def in_memory(held: Sequence[Holding]) -> dict[str, Any]:
    """The loaded models, where there are any."""
    if not held:
        return {}
    return {
        "loaded": [each.model for each in held],
        "loaded_models": [holdings.as_data(each) for each in held],
    }


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
    parts += [f"loaded {each['model']}{size_words(each)}" for each in said.get("loaded_models", ())]
    return ", ".join(parts)


def size_words(held: Mapping[str, Any]) -> str:
    return f" ({gb(held['size_bytes'])})" if "size_bytes" in held else ""
