"""This process as the others see it in the ledger: alive, with its running calls."""

import json
import os
import platform
from importlib.metadata import version

import anyio

from .desk import Desk
from .ledger import records, servers
from .ledger.servers import ServerRow

BEAT_S = 5.0
PROGRESS_S = 0.5


async def beat(desk: Desk) -> None:
    """Shows this process and says every few seconds that it is alive."""
    desk.ledger.write_soon(servers.register_server, server_row(desk))
    while True:
        await anyio.sleep(BEAT_S)
        desk.ledger.write_or_drop(servers.beat_server, desk.server_id, desk.clock())


async def show_progress(desk: Desk) -> None:
    """Twice a second the progress of running calls, while somebody watches."""
    while True:
        await anyio.sleep(PROGRESS_S)
        running = [
            records.Progress(
                call_id=run.call_id,
                phase=run.phase,
                output_tokens=run.observed().output or 0,
                first_token_at=run.first_token_at,
            )
            for run in desk.calls.shelf.running()
            if run.trying is not None and run.trying.opened is not None
        ]
        if running and await desk.ledger.read(servers.watching, desk.clock()):
            desk.ledger.write_or_drop(records.beat_many, running, desk.clock())


def end(desk: Desk) -> None:
    desk.ledger.write_soon(servers.end_server, desk.server_id, desk.clock())


def server_row(desk: Desk) -> ServerRow:
    now = desk.clock()
    return ServerRow(
        id=desk.server_id,
        owner=desk.ledger.owner,
        pid=os.getpid(),
        host=platform.node(),
        client=desk.client or "unknown",
        project=desk.project,
        version=version("roundhouse-mcp"),
        config_hash=desk.config_hash,
        started=now,
        beat=now,
        keys_present=json.dumps(sorted(desk.registry.keys_present())),
    )
