"""Everything about one provider, as lines."""

import textwrap
from collections.abc import Sequence

from ..server.ledger.provider_rows import Reporter
from . import breakers, glyphs
from .draw import wrap
from .figures import NANO, NOTHING, count_of, dollars, percent
from .rows import Look
from .service_rows import date_of, latency, multiplier, place
from .services import Panorama, Service
from .store import Store

INDENT = 11
GB, MB = 1_000_000_000, 1_000_000


def detail_lines(
    service: Service, panorama: Panorama, store: Store, look: Look, width: int
) -> list[str]:
    lines = [title(service)]
    for label, parts in (
        ("key", key_parts(service)),
        ("address", [service.facts.address or NOTHING, *problem(service)]),
        ("test", test_parts(service, panorama, look)),
        ("loaded", loaded_parts(service)),
        ("24 h", use_parts(service, store)),
        ("circuits", circuit_parts(service, store, look)),
        ("differs", difference_parts(service)),
        ("models", model_parts(service)),
    ):
        if parts:
            lines += labelled(label, parts, width)
    return lines


def labelled(label: str, parts: Sequence[str], width: int) -> list[str]:
    room = max(20, width - INDENT)
    short = [line for part in parts for line in textwrap.wrap(part, room)]
    wrapped = wrap(short, width, indent=INDENT, between=" · ")
    heads = [label, *[""] * (len(wrapped) - 1)]
    return [f"{head:<{INDENT}}{line}" for head, line in zip(heads, wrapped, strict=True)]


def title(service: Service) -> str:
    said = service.said
    state = "on" if said.enabled else "off"
    order = "no priority" if said.priority is None else f"priority {said.priority}"
    cost = f"list prices × {multiplier(said.cost_multiplier)}"
    tasks = [f"used for {', '.join(service.facts.tasks)}"] if service.facts.tasks else []
    return " · ".join([service.name, state, order, cost, *tasks])


def key_parts(service: Service) -> list[str]:
    """Where each server has it from; never what it is."""
    if service.keyless:
        return ["none needed"]
    found: dict[str, list[Reporter]] = {}
    for server, report in service.seen:
        found.setdefault(report.key_from, []).append(server)
    lacking = found.pop("", [])
    parts = [part for origin, servers in found.items() for part in named(origin, servers)]
    if lacking:
        parts += named(f"{glyphs.LOOK} not" if parts else f"{glyphs.FAILED} none", lacking)
        looked = " or ".join(service.facts.variables)
        parts.append(f"K enters one{f', or set {looked}' if looked else ''}")
    return parts


def named(origin: str, servers: Sequence[Reporter]) -> list[str]:
    """`origin in 8123 (cursor, ~/site)`, then the other servers."""
    first, *rest = (f"{server.pid} ({place(server)})" for server in servers)
    return [f"{origin} in {first}", *rest]


def problem(service: Service) -> list[str]:
    """Why it cannot be used, in the server's words."""
    return [service.facts.detail] if service.said.reason and service.facts.detail else []


def test_parts(service: Service, panorama: Panorama, look: Look) -> list[str]:
    parts: list[str] = []
    test = service.test
    if test is not None:
        pids = {server.id: server.pid for server in panorama.servers}
        where = f"in {pids[test.server]}" if test.server in pids else "in a server that ended"
        mark = f"{glyphs.OK} {latency(test)}," if test.ok else glyphs.FAILED
        at = date_of(test.at, look.zone)
        parts += [f"{mark} {test.said}", f"{at} by {test.by} {where}"]
    if (server := tester(service, panorama)) is not None:
        why = " (it has the key)" if service.has_key and service.lacks_key else ""
        parts.append(f"T tests it in server {server.pid}{why}, free; t with one token")
    else:
        parts.append("no server runs that could test it")
    return parts


def tester(service: Service, panorama: Panorama) -> Reporter | None:
    """The server to ask: one with the key, the present configuration, and the youngest."""
    if not panorama.living:
        return None
    outdated = {server.id for server in panorama.outdated}
    ranked = sorted(
        ((bool(report.key_from), server.id not in outdated, server.started), server.id, server)
        for server, report in service.seen
    )
    return ranked[-1][-1] if ranked else None


def loaded_parts(service: Service) -> list[str]:
    parts = [f"{name} {size(taken)}".rstrip() for name, taken in service.facts.loaded]
    return [*parts, "u unloads"] if parts else []


def size(taken: int | None) -> str:
    if taken is None:
        return ""
    return f"{taken / GB:.1f} GB" if taken >= GB else f"{taken / MB:.0f} MB"


def use_parts(service: Service, store: Store) -> list[str]:
    used = [one for one in store.snapshot.totals.day if one.provider == service.name]
    calls, errors = sum(one.calls for one in used), sum(one.errors for one in used)
    if not calls:
        return ["no call"]
    spent = dollars(sum(one.cost_nano for one in used))
    return [f"{count_of(calls, 'call')}, {percent(errors, calls)} errors, {spent}"]


def circuit_parts(service: Service, store: Store, look: Look) -> list[str]:
    """Those that are not closed in full, the others as a number."""
    parts: list[str] = []
    closed = 0
    for circuit in breakers.circuits(store, look):
        if circuit.provider != service.name:
            continue
        kind = breakers.kind_of(circuit, look.now)
        if kind in ("closed", "no_data"):
            closed += 1
            continue
        word, _, _ = breakers.SHOWN[kind]
        model = "all models" if circuit.model == breakers.ALL_MODELS else circuit.model
        step = breakers.next_step(circuit.row, kind, look)
        known = breakers.evidence(circuit, kind, look, breakers.NOBODY)
        parts.append(f"{model} {word}: {known}, {step}")
    if closed:
        parts.append(f"{glyphs.ALIVE} {closed} closed")
    return parts or ["none yet: no call has been made"]


def difference_parts(service: Service) -> list[str]:
    """How servers disagree about it, which happens while one goes by an older configuration."""
    seen = {(r.enabled, r.priority, r.cost_multiplier) for _, r in service.seen}
    if len(seen) < 2:
        return []
    parts: list[str] = []
    for server, report in service.seen:
        state = "on" if report.enabled else "off"
        order = NOTHING if report.priority is None else report.priority
        cost = multiplier(report.cost_multiplier)
        parts.append(f"{server.pid}: {state}, priority {order}, × {cost}")
    return parts


def model_parts(service: Service) -> list[str]:
    parts = [f"{name}{price(paid, made)}" for name, paid, made in service.facts.models]
    if service.models is not None and service.models > len(parts):
        more = f"{service.models - len(parts):,}"
        parts.append(f"+{more} more" if parts else f"{more} known")
    return parts or ["none known"]


def price(paid: int | None, made: int | None) -> str:
    """Per million tokens in and out."""
    if paid is None or made is None:
        return ""
    return f" ${paid / NANO:g}/{made / NANO:g}" if paid or made else " free"
