"""Tells the user's own program what they should know: `[alerts] command`.

It is started with one JSON object on its standard input, without a shell, for: a budget that
reached its warning mark, the first refusal at a limit, a circuit that opened, and an hour that
costs far more than usual. The events are read from the ledger, beside all calls, which never wait
for it. One runs at a time, for ten seconds at most; what it prints is thrown away.
"""

import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import Process

from .desk import Desk
from .errors import LedgerUnavailable
from .ledger import alert_rows
from .ledger.alert_rows import BudgetEvent, Hour, Marks, Trip
from .ledger.driver import Connection
from .money import dollars
from .results import iso, usd

logger = logging.getLogger(__name__)

EVERY_S = 5.0
LIMIT_S = 10.0
MOST_AT_ONCE = 8
USUALLY_TIMES = 3
LEAST_NANO = 1_000_000_000
LEAST_BUSY_HOURS = 5
KEPT_VARIABLES = (  # what programs need to find their files, their user and the desktop
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "DISPLAY",
    "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "SYSTEMROOT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "TEMP", "PATHEXT", "COMSPEC",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alert:
    """`key` tells apart what is told once for all processes; None: it is this process's own."""

    key: str | None
    said: Mapping[str, Any]


async def attend(desk: Desk) -> None:
    """Looks every few seconds for what is to be told, as long as the server runs."""
    seen: Marks | None = None
    failed: set[tuple[str, ...]] = set()
    while True:
        await anyio.sleep(EVERY_S)
        command = desk.settings.alerts.command
        if not command:
            seen = None
            continue
        with suppress(LedgerUnavailable):
            seen, found = await desk.ledger.read(look, seen, whose(desk), desk.clock())
            await tell_all(desk, command, found, failed)


def whose(desk: Desk) -> tuple[str, str]:
    return desk.ledger.owner, desk.server_id


def look(
    db: Connection, seen: Marks | None, by: tuple[str, str], now: float
) -> tuple[Marks, list[Alert]]:
    """What happened since the last look; at the first one, nothing yet."""
    marks = alert_rows.marks(db)
    if seen is None:
        return marks, []
    found = [of_budget(each) for each in alert_rows.budget_events(db, seen, marks, by)]
    found += [of_circuit(each) for each in alert_rows.trips(db, seen, marks, by)]
    found += of_hour(alert_rows.hour(db, now), now)
    return marks, found


def of_budget(event: BudgetEvent) -> Alert:
    warned = event.kind == "warned"
    committed = event.spent_nano + event.reserved_nano
    used = f"{dollars(committed)} of {dollars(event.limit_nano)} are used"
    what = "reached its warning mark" if warned else "has refused a call"
    said = {
        "kind": "budget_warning" if warned else "budget_limit",
        "at": iso(event.at),
        "text": f"Budget {event.budget} {what}: {used}.",
        "budget": event.budget,
        "spent_usd": usd(event.spent_nano),
        "reserved_usd": usd(event.reserved_nano),
        "limit_usd": usd(event.limit_nano),
        "resets_at": None if event.window_end is None else iso(event.window_end),
    }
    return Alert(f"{event.kind}/{event.budget}/{event.window_start}/{event.limit_nano}", said)


def of_circuit(trip: Trip) -> Alert:
    name = trip.provider if trip.model == "*" else f"{trip.provider}/{trip.model}"
    return Alert(
        None,
        {
            "kind": "circuit_open",
            "at": iso(trip.at),
            "text": f"Circuit {name} opened: {trip.why}.",
            "provider": trip.provider,
            "model": None if trip.model == "*" else trip.model,
            "why": trip.why,
        },
    )


def of_hour(hour: Hour, now: float) -> list[Alert]:
    """An hour that costs over three times what a busy hour usually does, and over a dollar."""
    usual = max(hour.usual_nano * USUALLY_TIMES, LEAST_NANO)
    if hour.busy_hours < LEAST_BUSY_HOURS or hour.spent_nano <= usual:
        return []
    said = {
        "kind": "unusual_spend",
        "at": iso(now),
        "text": f"Spending is far above the usual: {dollars(hour.spent_nano)} this hour, "
        f"{dollars(hour.usual_nano)} in a usual one.",
        "spent_usd": usd(hour.spent_nano),
        "usual_usd": usd(hour.usual_nano),
    }
    return [Alert(f"hour/{hour.hour}", said)]


async def tell_all(
    desk: Desk, command: Sequence[str], found: Sequence[Alert], failed: set[tuple[str, ...]]
) -> None:
    """One after the other; of a flood, the first few."""
    told = 0
    for alert in found:
        if alert.key is not None and not await desk.ledger.write(
            alert_rows.claim, alert.key, desk.clock()
        ):
            continue
        told += 1
        if told > MOST_AT_ONCE:
            logger.warning("more happened than the alert command is told of")
            return
        problem = await told_to(command, desk.redactor.text(json.dumps(alert.said)), desk)
        if problem and tuple(command) not in failed:
            failed.add(tuple(command))
            logger.warning("the alert command %s: %s", command[0], problem)


async def told_to(command: Sequence[str], said: str, desk: Desk) -> str | None:
    """Runs the command; what went wrong, if anything did."""
    try:
        process = await anyio.open_process(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=desk.home.path,
            env=dict(environment(os.environ)),
            start_new_session=True,
        )
    except OSError as error:
        return f"could not be started ({type(error).__name__})"
    try:
        with anyio.move_on_after(LIMIT_S) as scope:
            await hand_over(process, said)
            status = await process.wait()
            return f"ended with status {status}" if status else None
        return f"did not end within {LIMIT_S:g} s" if scope.cancelled_caught else None
    finally:
        end(process)
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await process.aclose()


async def hand_over(process: Process, said: str) -> None:
    """A program may end, or close its input, without having read it."""
    assert process.stdin is not None
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.send(said.encode() + b"\n")
    with suppress(OSError, anyio.BrokenResourceError):
        await process.stdin.aclose()


def end(process: Process) -> None:
    """Kills it with whatever it started, if it still runs."""
    if process.returncode is not None:
        return
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """No key is in it: what a program has to know of Roundhouse is what it is told."""
    return ((name, environ[name]) for name in KEPT_VARIABLES if name in environ)
