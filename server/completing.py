"""What may be meant while somebody types an argument of a prompt or of a resource's address."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from mcp.types import Completion

from . import tasks
from .desk import Desk
from .ledger import watch
from .ledger.driver import Connection

MOST = 100  # the protocol's limit
LATEST = 200


async def completed(desk: Desk, argument: str, typed: str) -> Completion:
    """Names that begin so, then those that contain it; of a list, the last one is completed."""
    names = NAMES.get(argument)
    if names is None:
        return Completion(values=[])
    head, comma, last = typed.rpartition(",") if argument == "models" else ("", "", typed)
    wanted = last.strip().lower()
    known = list(dict.fromkeys(await names(desk)))
    found = [name for name in known if name.lower().startswith(wanted)]
    found += [name for name in known if wanted in name.lower() and name not in found]
    values = [f"{head}{comma}{name}" for name in found[:MOST]]
    return Completion(values=values, total=len(found), has_more=len(found) > MOST)


async def models(desk: Desk) -> Iterable[str]:
    """`provider/model` of providers that can be used, and the aliases."""
    usable = [row for row in desk.registry.listed() if row.absent()[0] is None]
    named = [f"{row.provider.name}/{model}" for row in usable for model in row.models]
    return [*named, *desk.registry.aliases, *tasks.MODEL_ALIASES]


async def providers(desk: Desk) -> Iterable[str]:
    rows = desk.registry.listed()
    return [row.provider.name for row in sorted(rows, key=lambda row: row.absent()[0] is not None)]


async def kinds(desk: Desk) -> Iterable[str]:
    return [*desk.settings.routing.tasks, *tasks.SHIPPED]


async def calls(desk: Desk) -> Iterable[str]:
    def found(db: Connection) -> list[str]:
        return [call.call_id for call in reversed(watch.newest(db, LATEST))]

    return await desk.ledger.read(found)


NAMES: Mapping[str, Callable[[Desk], Awaitable[Iterable[str]]]] = {
    "model": models,
    "models": models,
    "reviewer": models,
    "name": providers,
    "provider": providers,
    "task": kinds,
    "id": calls,
}
