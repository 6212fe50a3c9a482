"""Providers as table rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from ..server.ledger.provider_rows import Reporter, Tested
from . import breakers, glyphs
from .breakers import Circuit
from .figures import NOTHING
from .rows import Cells, Column, Look, Row, Tone, row_of
from .services import Panorama, Service
from .sieve import Fields
from .store import Store

ON = Column(key="on", title="ON", width=2)
PRIORITY = Column(key="priority", title="PRI", width=3, align="right")
CIRCUIT = Column(key="circuit", title="CIRCUIT", width=9)
MODELS = Column(key="models", title="MODELS", width=6, align="right")
WIDE = (
    ON,
    PRIORITY,
    Column(key="name", title="PROVIDER", width=12),
    Column(key="key", title="KEY, as the servers see it", width=30, flex=True),
    MODELS,
    Column(key="tasks", title="TASKS", width=13),
    Column(key="cost", title="×COST", width=5, align="right"),
    CIRCUIT,
    Column(key="test", title="LAST TEST", width=24),
)
NARROW = (
    ON,
    PRIORITY,
    Column(key="name", title="PROVIDER", width=12),
    Column(key="keys", title="KEY", width=8),
    MODELS,
    CIRCUIT,
    Column(key="outcome", title="LAST TEST", width=18, flex=True),
)
TINY = (
    ON,
    Column(key="name", title="PROVIDER", width=11, flex=True),
    Column(key="keys", title="KEY", width=8),
    CIRCUIT,
    Column(key="outcome", title="LAST TEST", width=16),
)
DAY_S = 86_400
MOST_NOTES = 3
WIDE_ENOUGH = 100


def columns_for(width: int) -> tuple[Column, ...]:
    return WIDE if width >= 112 else NARROW if width >= 72 else TINY


def worst(store: Store, look: Look) -> dict[str, Circuit]:
    """The gravest circuit of each provider."""
    found: dict[str, Circuit] = {}
    for circuit in breakers.circuits(store, look):
        found.setdefault(circuit.provider, circuit)
    return found


def service_row(
    service: Service, circuits: Mapping[str, Circuit], columns: tuple[Column, ...], look: Look
) -> Row:
    said = service.said
    cells: Cells = {
        "on": (glyphs.OK, "ok") if said.enabled else (glyphs.FAILED, "dim"),
        "priority": (NOTHING if said.priority is None else str(said.priority), ""),
        "name": (service.name, "" if said.enabled else "dim"),
        "key": key_words(service),
        "keys": key_count(service),
        "models": (glyphs.UNKNOWN if service.models is None else f"{service.models:,}", ""),
        "tasks": (" ".join(service.facts.tasks) or NOTHING, ""),
        "cost": ("free" if service.facts.local else multiplier(said.cost_multiplier), ""),
        "circuit": circuit_words(circuits.get(service.name), look),
        "test": test_words(service, look, timed=True),
        "outcome": test_words(service, look, timed=False),
    }
    return row_of(service.name, cells, columns)


def key_words(service: Service) -> tuple[str, Tone]:
    if service.keyless:
        return f"{glyphs.IDLE} none needed, {host(service.facts.address)}", ""
    have, lack, total = service.has_key, service.lacks_key, len(service.seen)
    name = key_name(service)
    if not have:
        return f"{glyphs.FAILED} {name} in none of {total}", "err"
    if lack:
        missing = ", ".join(str(server.pid) for server in lack)
        return f"{glyphs.LOOK} {name} in {len(have)} of {total}, not {missing}", "warn"
    return f"{glyphs.OK} {name} in {len(have)} of {total}", "ok"


def key_count(service: Service) -> tuple[str, Tone]:
    if service.keyless:
        return f"{glyphs.IDLE} none", ""
    have, total = len(service.has_key), len(service.seen)
    if not have:
        return f"{glyphs.FAILED} 0 of {total}", "err"
    if have < total:
        return f"{glyphs.LOOK} {have} of {total}", "warn"
    return f"{glyphs.OK} {have} of {total}", "ok"


def key_name(service: Service) -> str:
    """Where servers have the key from; else where they would look first."""
    found = dict.fromkeys(report.key_from for _, report in service.seen if report.key_from)
    return " or ".join(found) or next(iter(service.facts.variables), "a key")


def host(address: str) -> str:
    rest = address.partition("://")[2] or address
    return rest.partition("/")[0]


def multiplier(text: str) -> str:
    try:
        return f"{float(text):.2f}"
    except ValueError:
        return glyphs.UNKNOWN


def circuit_words(circuit: Circuit | None, look: Look) -> tuple[str, Tone]:
    if circuit is None:
        return f"{glyphs.UNKNOWN} none", "dim"
    word, tone, _ = breakers.SHOWN[breakers.kind_of(circuit, look.now)]
    return word, tone


def test_words(service: Service, look: Look, *, timed: bool) -> tuple[str, Tone]:
    if not service.said.enabled:
        return "off in config", "dim"
    test = service.test
    if test is None:
        stopped = service.said.reason == "not_running"
        return (f"{glyphs.FAILED} not running", "warn") if stopped else (NOTHING, "dim")
    if not test.ok:
        return f"{glyphs.FAILED} {test.said}", "err"
    words = f"{glyphs.OK} {latency(test)}"
    if timed:
        words += f" {when(test.at, look)}"
    if timed and service.facts.loaded:
        words += f", {len(service.facts.loaded)} loaded"
    return words, "ok"


def latency(test: Tested) -> str:
    return "ok" if test.ms is None else f"{test.ms:,} ms"


def when(at: float, look: Look) -> str:
    """The time of day, or the day where it is longer ago than one."""
    moment = datetime.fromtimestamp(at, look.zone)
    return moment.strftime("%H:%M" if abs(look.now - at) < DAY_S else "%b %d")


def date_of(at: float, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%b %d %H:%M")


def summary(panorama: Panorama, width: int) -> str:
    """How many there are, and which servers go by another configuration than there is now."""
    configured = panorama.configured
    on = sum(service.said.enabled for service in configured)
    said = [f"{len(configured)} configured", f"{on} on"]
    if width >= WIDE_ENOUGH:
        said.insert(0, f"{len(panorama.services)} known")
    if not panorama.servers:
        return "no server has told anything yet"
    if not panorama.living:
        said.append("no server runs: as the last one saw it")
    elif panorama.outdated:
        said.append(drift(panorama.outdated, len(panorama.servers), width))
    return " · ".join(said)


def drift(outdated: Sequence[Reporter], total: int, width: int) -> str:
    if width < WIDE_ENOUGH:
        uses = "uses" if len(outdated) == 1 else "use"
        return f"{glyphs.LOOK} {len(outdated)} of {total} servers {uses} an older config"
    pids = ", ".join(str(server.pid) for server in outdated)
    which = f"server {pids} still uses" if len(outdated) == 1 else f"servers {pids} still use"
    return f"{glyphs.LOOK} config.toml changed: {which} the old one"


def others(panorama: Panorama) -> str:
    """The providers nothing is known of but that they exist."""
    names = panorama.others
    return f"not configured: {' · '.join(names)} (a adds one)" if names else ""


def fields_of(service: Service) -> Fields:
    """For the filter."""
    said = service.said
    return {
        "provider": service.name,
        "model": " ".join(name for name, _, _ in service.facts.models),
        "status": "on" if said.enabled else "off",
        "task": " ".join(service.facts.tasks),
        "key": key_words(service)[0],
        "priority": said.priority,
        "models": service.models,
        "error": "" if service.test is None or service.test.ok else service.test.said,
    }


def record_of(service: Service) -> dict[str, object]:
    """For export and copies: exact values, and which servers have the key."""
    said, test = service.said, service.test
    return {
        "provider": service.name,
        "enabled": said.enabled,
        "priority": said.priority,
        "cost_multiplier": said.cost_multiplier,
        "address": service.facts.address,
        "key_from": sorted({report.key_from for _, report in service.seen if report.key_from}),
        "key_in": [server.pid for server in service.has_key],
        "key_not_in": [server.pid for server in service.lacks_key],
        "models": service.models,
        "tasks": list(service.facts.tasks),
        "loaded": [name for name, _ in service.facts.loaded],
        "tested": None if test is None else test.at,
        "test_ok": None if test is None else bool(test.ok),
        "test_ms": None if test is None else test.ms,
        "test_said": None if test is None else test.said,
    }


def notes(panorama: Panorama) -> list[str]:
    """What stands below the table: keys that only some servers lack, with whose and where those
    are, and the providers nobody uses."""
    found = [
        f"{service.name}: {key_name(service)} is missing in {missing(service)}"
        for service in panorama.configured
        if service.has_key and service.lacks_key
    ]
    return [*found[:MOST_NOTES], *filter(None, [others(panorama)])]


def missing(service: Service) -> str:
    return ", ".join(f"pid {server.pid} ({place(server)})" for server in service.lacks_key)


def place(server: Reporter) -> str:
    return f"{server.client}, {server.project}" if server.project else server.client
