"""The providers as this server sees them, written to the ledger for whoever watches.

An editor starts its server with another environment than a shell has, so only a server can say
whether it has a key. Written when the server begins and whenever something changed; local programs
are asked what they hold only while somebody watches. No key is part of it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from . import following
from .errors import LedgerUnavailable
from .ledger import provider_rows, servers
from .ledger.provider_rows import Report, Tested
from .listed import Listed

if TYPE_CHECKING:
    from ..providers.probe import Probe
    from .desk import Desk

EVERY_S = 1.0
MOST_MODELS = 60
MOST_SAID = 200
TABLE = "genai_prices"


async def attend(desk: "Desk") -> None:
    """Keeps this server's reports true, as long as it runs. A ledger that fails has no readers."""
    shown: tuple[object, ...] = ()
    while True:
        following.follow(desk)
        with suppress(LedgerUnavailable):
            if await desk.ledger.read(servers.watching, desk.clock()):
                await discover(desk)
        seen = basis(desk)
        if len(seen) != len(shown) or any(a is not b for a, b in zip(seen, shown, strict=True)):
            show(desk)
            shown = seen
        await anyio.sleep(EVERY_S)


async def discover(desk: "Desk") -> None:
    """Asks the local programs, as seldom as the registry allows."""
    await desk.look_around(desk.settings.network.trusted_hosts)


def basis(desk: "Desk") -> tuple[object, ...]:
    """What the reports are made from: as long as these are the same objects, so are they."""
    return (desk.settings, sys.modules.get(TABLE), *desk.registry.listed())


def show(desk: "Desk") -> None:
    seen = tuple(reports(desk))
    desk.ledger.write_soon(provider_rows.replace_reports, desk.server_id, seen, desk.clock())


def reports(desk: "Desk") -> Iterator[Report]:
    """One for every provider but those that answer only by name and that nobody set up."""
    now, own = desk.clock(), desk.settings.providers
    for place, row in enumerate(desk.registry.listed()):
        name = row.provider.name
        if row.provider.by_name_only and name not in own:
            continue
        reason, detail = row.absent()
        facts = json.dumps(facts_of(desk, row, detail))
        yield Report(
            server=desk.server_id,
            provider=name,
            at=now,
            place=place,
            configured=name in own or row.key is not None or is_running(row),
            enabled=row.enabled,
            priority=row.priority,
            cost_multiplier=str(row.cost_multiplier),
            key_from=row.key.name if row.key else row.signed_with,
            key_needed=row.provider.key_required,
            reason=reason or "",
            models=counted(row),
            facts=desk.redactor.text(facts).encode(),
        )


def is_running(row: Listed) -> bool:
    return row.found is not None and row.found.reachable


def counted(row: Listed) -> int | None:
    """How many models are known to be there; None where a program would have to be asked."""
    if row.chosen or not row.provider.local:
        return len(row.models)
    return len(row.found.models) if row.found is not None and row.found.reachable else None


def facts_of(desk: "Desk", row: Listed, detail: str) -> dict[str, Any]:
    """What a close look shows. Prices are nano-dollars per million tokens; null: unknown."""
    return {
        "address": address(row.provider.base_url),
        "variables": list(row.provider.key_env),
        "local": row.provider.local,
        "detail": detail,
        "tasks": tasks_of(desk, row),
        "models": [[name, *price(desk, row, name)] for name in row.models[:MOST_MODELS]],
        "loaded": held(row.found),
    }


def held(found: "Probe | None") -> list[list[Any]]:
    """The models in memory, each with the bytes it takes there, or null."""
    if found is None:
        return []
    sizes = dict(found.sizes)
    return [[name, sizes.get(name)] for name in found.loaded]


def address(url: str) -> str:
    """Where it is, without what may be secret in it: a user's name, a query."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""
    except ValueError:
        return ""


def tasks_of(desk: "Desk", row: Listed) -> list[str]:
    """The tasks that name the provider, in its own section or in theirs."""
    name = row.provider.name
    named = [
        task
        for task, said in desk.settings.routing.tasks.items()
        if any(desk.registry.split(model)[0] == name for model in said.models)
    ]
    return list(dict.fromkeys([*row.use_for, *named]))


def price(desk: "Desk", row: Listed, model: str) -> tuple[int | None, int | None]:
    """In and out. The large table is not loaded for this, it would cost every server memory for
    nothing: what only it knows is told once a call or a test has loaded it."""
    from ..providers import prices

    known = prices.overridden(f"{row.provider.name}/{model}", desk.prices)
    if known is None and (TABLE in sys.modules or prices.runs_here(row.provider, model)):
        known = prices.rates(row.provider, model, multiplier=row.cost_multiplier)
    return (known.input, known.output) if known else (None, None)


def tested(desk: "Desk", row: Listed, seen: "Probe", by: str) -> Tested:
    ok = seen.reachable and seen.understood and seen.key_accepted is not False
    return Tested(
        provider=row.provider.name,
        at=desk.clock(),
        server=desk.server_id,
        by=by,
        ok=ok,
        ms=seen.latency_ms,
        models=len(seen.models) or None,
        said=desk.redactor.text(seen.detail)[:MOST_SAID],
    )
