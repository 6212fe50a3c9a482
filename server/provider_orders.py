"""Orders about providers that a server carries out for whoever watches: test one, drop a model
from memory, say where a call would go.

Each takes a while, so it is bounded in time and answered with data; what went wrong is an answer
too, never an exception.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from ..providers import probe
from ..providers.types import Call, Message
from . import following, sightings, what_if
from .asks import Ask, Wish
from .desk import Client, Desk
from .errors import BadRequest, Declined
from .ledger import provider_rows
from .ledger.provider_rows import Tested
from .listed import Listed

Argument = Mapping[str, Any]
Answer = dict[str, Any]
CALL_S = 20.0
MOST_LOADED = 20


@dataclass(frozen=True, slots=True)
class Order:
    """How to carry it out, given the argument and who asked; and how long that may take."""

    act: Callable[[Desk, Argument, str], Awaitable[Answer]]
    limit_s: float


async def carried_out(desk: Desk, kind: str, argument: Argument, by: str) -> Answer:
    """The answer to an order of ORDERS, whatever happens."""
    order = ORDERS[kind]
    try:
        with anyio.fail_after(order.limit_s):
            following.follow(desk)
            desk.read_plugins()
            return await order.act(desk, argument, by)
    except Declined as declined:
        return refusal(declined)
    except TimeoutError:
        said = f"Given up: {kind} took longer than {order.limit_s:.0f} s."
        return {"ok": False, "code": "timeout", "said": said}


def refusal(declined: Declined) -> Answer:
    said = f"{declined.message.rstrip('.')}. {declined.next_step}".strip()
    return {"ok": False, "code": declined.code, "said": said}


async def test(desk: Desk, argument: Argument, by: str) -> Answer:
    """Asks a provider what costs nothing, or with `call` for one token; notes how it went."""
    row = desk.registry.named(word(argument, "provider"))
    if argument.get("call") is True:
        tested, more = await called(desk, row, by)
    else:
        tested, more = await probed(desk, row, by)
    desk.ledger.write_soon(provider_rows.note_test, tested)
    ok = {"ok": tested.ok} if tested.ok else {"ok": False, "code": "failed"}
    said = f"{row.provider.name}: {tested.said}"
    return {**ok, "said": said, "provider": row.provider.name, "ms": tested.ms, **more}


async def probed(desk: Desk, row: Listed, by: str) -> tuple[Tested, Answer]:
    reason, detail = row.absent()
    if reason == "key_missing" or row.broken or not row.provider.base_url:
        seen = probe.Probe(reachable=False, detail=detail)
        return sightings.tested(desk, row, seen, by), {}
    key = row.key.value if row.key else None
    seen = await probe.probe(desk.http, row.provider, key)
    more: Answer = {
        "reachable": seen.reachable,
        "key_accepted": seen.key_accepted,
        "models": len(seen.models),
        "loaded": list(seen.loaded)[:MOST_LOADED],
    }
    desk.registry.learn(row.provider.name, seen)
    return sightings.tested(desk, row, seen, by), more


async def called(desk: Desk, row: Listed, by: str) -> tuple[Tested, Answer]:
    """One token of its default model, through the same budgets and circuits as every call."""
    name, begun = row.provider.name, desk.monotonic()
    call = Call(messages=(Message(role="user", text="ping"),), max_tokens=1)
    ask = Ask(wish=Wish(provider=name), call=call, capped=True, timeout_s=CALL_S)

    async def unheard(progress: float, total: float | None, message: str | None) -> None:
        pass

    try:
        outcome = await desk.calls.complete(ask, Client(name=by), unheard)
        ok, said = True, f"{outcome.model} answered"
        more: Answer = {"model": outcome.model, "call_id": outcome.call_id}
    except Declined as declined:
        ok, said, more = False, declined.message, {}
    seen = probe.Probe(
        reachable=ok, detail=said, latency_ms=round((desk.monotonic() - begun) * 1000)
    )
    return sightings.tested(desk, row, seen, by), more


async def unload(desk: Desk, argument: Argument, by: str) -> Answer:
    """The tool unload_model's own way."""
    from . import unloads

    provider = word(argument, "provider") if "provider" in argument else None
    force = argument.get("force") is True
    done = await unloads.unload(desk, word(argument, "model"), provider, force=force)
    for name in {each.provider for each in done if each.unloaded}:
        row = desk.registry.rows[name]
        key = row.key.value if row.key else None
        desk.registry.learn(name, await probe.probe(desk.http, row.provider, key))
    said = unloads.as_data(done)
    return {**said, "ok": bool(said["unloaded"]), "said": said["detail"]}


async def route(desk: Desk, argument: Argument, by: str) -> Answer:
    """The structured answer of the tool route_for_task to the same arguments."""
    plan = await what_if.planned(desk, argument)
    found = len(plan["candidates"])
    said = f"{found} candidates" if found != 1 else "1 candidate"
    return {"ok": True, "said": said, **plan}


def word(argument: Argument, name: str) -> str:
    """Raises BadRequest for what names nothing."""
    found = argument.get(name)
    if not isinstance(found, str) or not found.strip():
        raise BadRequest(f"the request does not name a {name}")
    return found


ORDERS: Mapping[str, Order] = {
    "provider.test": Order(test, limit_s=30.0),
    "provider.unload": Order(unload, limit_s=30.0),
    "route": Order(route, limit_s=10.0),
}
