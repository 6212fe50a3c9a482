"""One process of the tests that need several: `python ledger_worker.py COMMAND HOME [ARGUMENT]`.

It says "ready" on stdout, waits for a line on stdin, does its work and prints one line of result.
"""

import sys
import time
import uuid
from functools import partial
from pathlib import Path

from ledger_rows import total_windows

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.errors import OverBudget
from roundhouse_mcp.server.ledger import (
    circuit_rows,
    control_rows,
    owners,
    records,
    reservations,
    servers,
)
from roundhouse_mcp.server.ledger.driver import Connection
from roundhouse_mcp.server.ledger.store import Ledger

KEY = ("openai", "gpt-5")
NOW = 1_000_000.0


def windows(limit_nano: int) -> list[Window]:
    return total_windows(limit_nano, "global", "client:test")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def start_signal() -> None:
    say("ready")
    sys.stdin.readline()


def hold(db: Connection, ledger: Ledger, name: str, amount: int, limit: int) -> None:
    reservations.reserve(
        db,
        reservation=name,
        call_id=f"call-{name}",
        attempt=1,
        owner=ledger.owner,
        amount_nano=amount,
        windows=windows(limit),
        now=NOW,
        lease_until=NOW + 600,
        provider="openai",
        model="gpt-5",
    )


def reserve(ledger: Ledger, argument: str) -> None:
    """Reserve until refused, settling a part of every second one; prints what it was granted."""
    amount, limit, most = (int(each) for each in argument.split(","))
    ledger.write_blocking(lambda db: None)
    start_signal()
    granted = 0
    for n in range(most):
        name = uuid.uuid4().hex
        try:
            ledger.write_blocking(hold, ledger, name, amount, limit)
        except OverBudget:
            break
        granted += 1
        if n % 2:
            ledger.write_blocking(reservations.settle, name, amount, NOW)
    say(str(granted))


def die(ledger: Ledger, argument: str) -> None:
    """Hold a reservation and a running call, then live until killed."""

    def begin(db: Connection) -> None:
        server = servers.ServerRow(
            id="victim",
            owner=ledger.owner,
            pid=1,
            host="here",
            client="test",
            project="/p",
            version="0",
            config_hash="",
            started=NOW,
            beat=NOW,
        )
        servers.register_server(db, server)
        row = records.InflightRow(
            call_id="call-held",
            tool="complete",
            server="victim",
            owner=ledger.owner,
            client="test",
            project="/p",
            provider="openai",
            model="gpt-5",
            phase="stream",
            attempt=1,
            started=NOW,
            beat=NOW,
        )
        records.begin(db, row)
        hold(db, ledger, "held", int(argument), 10**9)

    ledger.write_blocking(begin)
    start_signal()


def migrate(ledger: Ledger, argument: str) -> None:
    start_signal()
    ledger.write_blocking(lambda db: None)
    say("migrated")


def probe(ledger: Ledger, argument: str) -> None:
    """Win probes of an open circuit until its epoch is high enough; prints the epochs won."""
    ledger.write_blocking(lambda db: None)
    start_signal()
    won: list[str] = []
    while (circuit := ledger.read_blocking(circuit_rows.load)[KEY]).epoch < int(argument):
        if circuit.state == "half_open" and owners.alive(ledger.run_dir, circuit.probe_owner or ""):
            ledger.write_blocking(lambda db: None)  # a turn at the gate, not a busy loop
            continue
        epoch = ledger.write_blocking(
            circuit_rows.take_probe,
            KEY,
            owner=ledger.owner,
            lease_until=NOW + 600,
            epoch=circuit.epoch,
            now=NOW,
        )
        if epoch is not None:
            won.append(str(epoch))
            ledger.write_blocking(
                circuit_rows.record_neutral, KEY, epoch=epoch, now=NOW, by=ledger.owner
            )
    say(",".join(won))


def take(ledger: Ledger, argument: str) -> None:
    """A server that takes requests and never carries one out: its own (`ask`), the first that
    comes (`keep`), or none (`ignore`)."""

    def register(db: Connection) -> None:
        server = servers.ServerRow(
            id="taker",
            owner=ledger.owner,
            pid=1,
            host="here",
            client="test",
            project="/p",
            version="0",
            config_hash="",
            started=time.time(),
            beat=time.time(),
        )
        servers.register_server(db, server)

    def taken(db: Connection) -> int | None:
        alive = partial(owners.alive, ledger.run_dir)
        for control in control_rows.waiting(db, "taker", time.time(), alive=alive):
            control_rows.take(db, control, "taker", time.time())
            return control.id
        return None

    ledger.write_blocking(register)
    if argument == "ask":
        order = '{"provider": "first"}'
        ledger.write_blocking(
            control_rows.ask, by="tui", kind="circuit.trip", now=time.time(), argument=order
        )
    start_signal()
    number = None
    while number is None and argument != "ignore":
        number = ledger.write_blocking(taken)
    say(str(number))
    sys.stdin.read()


COMMANDS = {"reserve": reserve, "die": die, "migrate": migrate, "probe": probe, "take": take}

if __name__ == "__main__":
    with Ledger(Path(sys.argv[2]), clock=lambda: NOW, patience_s=60) as opened:
        COMMANDS[sys.argv[1]](opened, sys.argv[3] if len(sys.argv) > 3 else "")
