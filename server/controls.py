"""Requests from outside that this server takes: circuits by hand, calls to be cancelled, and the
orders of provider_orders.py.

Looked for twice a second with one short read. An order about circuits is taken, carried out and
answered in one transaction: a server killed on the way has done nothing, or all of it.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from . import following, steering
from .desk import Desk
from .errors import BadRequest, Declined, LedgerUnavailable
from .ledger import control_rows, owners
from .ledger.control_rows import Control
from .ledger.driver import Connection
from .provider_orders import ORDERS, carried_out, refusal
from .steering import Order

logger = logging.getLogger(__name__)

EVERY_S = 0.5
CIRCUIT = "circuit."


async def attend(desk: Desk) -> None:
    """Carries out what is asked, as long as the server runs. A ledger that fails asks nothing."""
    alive = partial(owners.alive, desk.ledger.run_dir)
    async with anyio.create_task_group() as group:
        while True:
            await anyio.sleep(EVERY_S)
            with suppress(LedgerUnavailable):
                now = desk.clock()
                for control in await desk.ledger.read(
                    control_rows.waiting, desk.server_id, now, alive=alive
                ):
                    await carry_out(desk, control, group)


async def carry_out(desk: Desk, control: Control, group: TaskGroup) -> None:
    """What takes a while goes on in `group`, so that no other request waits for it."""
    try:
        argument = argument_of(control)
        if control.kind.startswith(CIRCUIT):
            await circuit(desk, control, argument)
        elif control.kind == "cancel":
            await cancel(desk, control, argument)
        elif control.kind in ORDERS:
            if await desk.ledger.write(control_rows.take, control, desk.server_id, desk.clock()):
                group.start_soon(order, desk, control, argument)
        else:
            raise BadRequest(f"this server takes no request {control.kind[:40]!r}")
    except LedgerUnavailable:
        raise
    except Declined as declined:
        await desk.ledger.write(refuse, desk, control, declined)


async def order(desk: Desk, control: Control, argument: Mapping[str, Any]) -> None:
    said = await carried_out(desk, control.kind, argument, control.by)
    desk.ledger.write_soon(control_rows.finish, control.id, answer(desk, said), desk.clock())


async def circuit(desk: Desk, control: Control, argument: Mapping[str, Any]) -> None:
    following.follow(desk)
    act = control.kind.removeprefix(CIRCUIT)
    understood = steering.understood(
        act, argument, desk.registry, desk.settings.circuits, desk.clock()
    )
    await desk.ledger.write(steer, desk, control, understood)


def argument_of(control: Control) -> Mapping[str, Any]:
    """Raises BadRequest for what is no JSON object."""
    try:
        found: object = json.loads(control.argument)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequest("the argument of a request is a JSON object")
    return cast("dict[str, Any]", found)


def steer(db: Connection, desk: Desk, control: Control, order: Order) -> None:
    """Takes the request, carries it out and answers it, unless another was faster."""
    now = desk.clock()
    if not control_rows.take(db, control, desk.server_id, now):
        return
    try:
        done = steering.steer(
            db, order, now=now, by=control.by, jitter=desk.draw(), run_dir=desk.ledger.run_dir
        )
        control_rows.finish(db, control.id, answer(desk, done.as_data()), now)
    except Declined as declined:
        control_rows.finish(db, control.id, answer(desk, refusal(declined)), now)


def refuse(db: Connection, desk: Desk, control: Control, declined: Declined) -> None:
    now = desk.clock()
    if control_rows.take(db, control, desk.server_id, now):
        control_rows.finish(db, control.id, answer(desk, refusal(declined)), now)


def answer(desk: Desk, said: Mapping[str, Any]) -> str:
    return desk.redactor.text(json.dumps({**said, "server": desk.server_id}))


async def cancel(desk: Desk, control: Control, argument: Mapping[str, Any]) -> None:
    """Ends a call that runs here; it settles, and whoever waits for it hears that it was
    cancelled."""
    call_id = argument.get("call_id")
    if not isinstance(call_id, str):
        raise BadRequest("a call to cancel is named by its call_id")
    if not await desk.ledger.write(control_rows.take, control, desk.server_id, desk.clock()):
        return
    run = desk.calls.shelf.find(call_id)
    if run is None or run.done.is_set():
        said = {"ok": False, "code": "not_found", "said": not_running(desk, control, call_id[:40])}
    else:
        await desk.calls.stop(run)
        said = {"ok": True, "changed": 1, "said": f"Call {call_id} is cancelled."}
        logger.info("call %s was cancelled by %s", call_id, control.by)
    desk.ledger.write_soon(control_rows.finish, control.id, answer(desk, said), desk.clock())


def not_running(desk: Desk, control: Control, call_id: str) -> str:
    if control.target not in (control_rows.ANY, desk.server_id):
        return f"The server that made call {call_id!r} has ended, and the call with it."
    if desk.calls.shelf.find(call_id) is not None:
        return f"Call {call_id} has ended already."
    return f"No call {call_id!r} runs here."
