"""This process as the others see it in the ledger: alive, with its running calls."""

import json
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio

from . import books, budgets, following
from .budgets import Window
from .desk import Client, Desk
from .errors import LedgerUnavailable
from .ledger import records, servers
from .ledger.servers import ServerRow

if TYPE_CHECKING:
    from .run import Run

BEAT_S = 5.0
PROGRESS_S = 0.5
MANY = "http"  # the client of a server that has many


async def beat(desk: Desk) -> None:
    """Shows this process and its budgets, and says every few seconds that it is alive."""
    desk.ledger.write_soon(servers.register_server, server_row(desk))
    shown: tuple[Window, ...] = ()
    while True:
        following.follow(desk)
        windows = open_windows(desk)
        if windows != shown:
            desk.ledger.write_soon(books.show_budgets, windows, desk.clock(), desk.server_id)
            shown = windows
        await anyio.sleep(BEAT_S)
        desk.ledger.write_or_drop(servers.beat_server, desk.server_id, desk.clock())


def open_windows(desk: Desk) -> tuple[Window, ...]:
    now, timezone = desk.clock(), desk.settings.timezone
    return tuple(budgets.open_window(budget, now, timezone) for budget in desk.budgets)


async def show_progress(desk: Desk) -> None:
    """Twice a second the progress of running calls, while somebody watches. A ledger that fails
    has no watchers."""
    while True:
        await anyio.sleep(PROGRESS_S)
        running = desk.calls.shelf.running()
        with suppress(LedgerUnavailable):
            if running and await desk.ledger.read(servers.watching, desk.clock()):
                desk.ledger.write_or_drop(records.beat_many, progress(running), desk.clock())


def progress(running: "Iterable[Run]") -> list[records.Progress]:
    return [
        records.Progress(
            call_id=run.call_id,
            phase=run.phase,
            output_tokens=run.observed().output or 0,
            first_token_at=run.first_token_at,
        )
        for run in running
        if run.trying is not None and run.trying.opened is not None
    ]


def meet(desk: Desk, client: Client) -> None:
    """Notes who speaks to this server, once known; where many do, nobody is the one."""
    if desk.met != client and not desk.many:
        desk.met = client
        desk.ledger.write_soon(servers.name_client, desk.server_id, client.name, client.version)


def end(desk: Desk) -> None:
    desk.ledger.write_soon(servers.end_server, desk.server_id, desk.clock())


def server_row(desk: Desk) -> ServerRow:
    now = desk.clock()
    return ServerRow(
        id=desk.server_id,
        owner=desk.ledger.owner,
        pid=os.getpid(),
        host=platform.node(),
        client=MANY if desk.many else desk.client or "unknown",
        project=desk.project,
        version=version("roundhouse-mcp"),
        config_hash=desk.config_hash,
        started=now,
        beat=now,
        keys_present=json.dumps(sorted(desk.registry.keys_present())),
    )
