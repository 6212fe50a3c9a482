"""This process as the others see it in the ledger: alive, with its running calls."""

import json
import os
import platform
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio

from . import books, budgets, following
from .budgets import Window
from .desk import Client, Desk
from .errors import LedgerUnavailable
from .home import fingerprint
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
                if decided := decisions(running):
                    desk.ledger.write_or_drop(records.decide, decided)


def progress(running: "Iterable[Run]") -> list[records.Progress]:
    return [
        records.Progress(
            call_id=run.call_id,
            phase=run.phase,
            output_tokens=run.observed().output or 0,
            first_token_at=run.trying.first_chunk_at,
        )
        for run in running
        if run.trying is not None and run.trying.opened is not None
    ]


def decisions(running: "Iterable[Run]") -> list[tuple[str, str]]:
    """Why each call goes where it goes, once, while it has not ended."""
    from . import rows  # whoever has calls has it loaded; the start does without

    found: list[tuple[str, str]] = []
    for run in running:
        if not run.explained and not run.recorded and (told := rows.decision(run)) is not None:
            run.explained = True
            found.append((run.call_id, told))
    return found


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
        log_path=str(desk.logs.path) if desk.logs and desk.logs.path else error_log(),
        config_file=fingerprint(desk.home.config),
    )


def error_log() -> str | None:
    """The file our messages go to. None where they go to whoever started us, as clients have it,
    or where the system does not tell a file's name."""
    try:
        if not stat.S_ISREG(os.fstat(2).st_mode):
            return None
        if sys.platform == "darwin":
            import fcntl

            return fcntl.fcntl(2, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
        return os.readlink("/proc/self/fd/2")
    except (OSError, ValueError):
        return None
