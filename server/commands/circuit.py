"""`roundhouse circuit`: which models calls are kept from, and setting that by hand."""

import json
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from .. import steering
from ..circuits import Circuit
from ..errors import Declined, NotFound
from ..ledger import circuit_rows, control_rows, owners, servers
from ..ledger.driver import Connection
from ..ledger.store import Ledger
from ..moments import duration
from ..steering import Act, Order
from ..telling import plain
from .reading import read
from .workbench import Workbench, workbench

BY = "cli"
PATIENCE_S = 2.0
LOOK_S = 0.02
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
NAME = click.argument("name", metavar="PROVIDER[/MODEL]")


@click.group()
def command() -> None:
    """Circuits keep calls away from models that fail. List them, or set them by hand: every
    running server follows at once. PROVIDER alone means all of it."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_circuits(*, as_json: bool) -> None:
    """List the circuits that were ever touched, with what they wait for."""
    bench = workbench()
    now = time.time()
    found = read(bench.home, circuit_rows.load, {})
    circuits = [circuit for _, circuit in sorted(found.items())]
    if as_json:
        rows = [{"shown": circuit_rows.shown(c, now), **asdict(c)} for c in circuits]
        click.echo(json.dumps(rows, indent=2))
        return
    for circuit in circuits:
        click.echo(bench.redactor.text(line(circuit, now)))
    if not circuits:
        click.echo("All circuits are closed: nothing has failed yet.")


def line(circuit: Circuit, now: float) -> str:
    """One circuit in at most 100 columns."""
    name = circuit.provider if circuit.model == steering.WHOLE else "/".join(circuit.key)
    return f"{plain(name):<36} {circuit_rows.shown(circuit, now):<10} {waits(circuit, now)}"[:100]


def waits(circuit: Circuit, now: float) -> str:
    """What would change it, and what brought it there."""
    said: list[str] = []
    if circuit.is_held(now):
        why = f" ({plain(circuit.hold_note)})" if circuit.hold_note else ""
        by = f" by {circuit.hold_by}" if circuit.hold_by and circuit.hold_reason == "manual" else ""
        said.append(f"{circuit.hold_reason}{by}{until(circuit.hold_until, now)}{why}")
    if circuit.cools(now):
        said.append(f"waits{until(circuit.cooldown_until, now)}")
    if circuit.state == "open":
        due = circuit.retry_at is None or now >= circuit.retry_at
        said.append("the next call tests it" if due else f"open{until(circuit.retry_at, now)}")
    if circuit.state == "half_open":
        said.append("one call is testing it")
    if circuit.failures:
        said.append(f"{circuit.failures} of {circuit.threshold} failures")
    if circuit.last_error and (circuit.failures or circuit.state != "closed"):
        said.append(f"last {plain(circuit.last_error)}")
    return ", ".join(said)


def until(at: float | None, now: float) -> str:
    return f" for {duration(at - now)}" if at is not None else ""


@command.command("trip")
@NAME
def trip(name: str) -> None:
    """Open it: calls pass it by until its reset time is over; then one call tests it."""
    steer("trip", name)


@command.command("reset")
@NAME
def reset(name: str) -> None:
    """Close it, and forget its failures and waits. A hold stays."""
    steer("reset", name)


@command.command("hold")
@NAME
@click.option("--for", "length", metavar="10m", help="30s, 10m, 2h, 1d; else until unhold.")
@click.option("--why", "note", metavar="TEXT", help="The reason, shown wherever it is held.")
def hold(name: str, length: str | None, note: str | None) -> None:
    """Keep calls away from it, for a time or until unhold."""
    seconds = seconds_of(length) if length is not None else None
    until = None if seconds is None else time.time() + seconds
    steer("hold", name, until=until, note=note)


@command.command("unhold")
@NAME
def unhold(name: str) -> None:
    """Lift a hold, set by hand or by a refused key or an empty account."""
    steer("unhold", name)


@command.command("probe")
@NAME
def probe(name: str) -> None:
    """Let the next call test it, however long it was to stay open."""
    steer("probe", name)


def seconds_of(length: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd]?)", length.strip().lower())
    if not found or not float(found[1]):
        raise click.BadParameter(f"{length[:20]!r} is no length of time; write 30s, 10m, 2h or 1d")
    return float(found[1]) * UNITS_S[found[2] or "s"]


def steer(act: Act, name: str, *, until: float | None = None, note: str | None = None) -> None:
    bench = workbench()
    argument = {**named(bench, name), "until": until, "note": note}
    order = steering.understood(
        act, argument, bench.registry, bench.loaded.settings.circuits, time.time()
    )
    with closing(Ledger(bench.home.path)) as ledger:
        said = asked(ledger, order, argument)
    if not said["ok"]:
        raise NotFound(said["said"]) if said.get("code") == "not_found" else Declined(said["said"])
    who = f" (server {said['server'][-6:]})" if "server" in said else ""
    click.echo(bench.redactor.text(f"{plain(said['said'])}{who}"))


def named(bench: Workbench, name: str) -> dict[str, Any]:
    """The provider and model of `provider/model`. Raises NotFound, with the nearest name."""
    provider, model = bench.registry.split(name)
    if provider is not None:
        return {"provider": provider, "model": model or None}
    having = [row.provider.name for row in bench.registry.listed() if row.named(name)]
    if having:
        meant = " or ".join(f"{each}/{name}" for each in having[:4])
        raise NotFound(f"{name[:80]!r} is a model; say whose", next_step=f"Did you mean {meant}?")
    row = bench.registry.named(re.split("[/:]", name, maxsplit=1)[0])
    return {"provider": row.provider.name, "model": None}


def asked(ledger: Ledger, order: Order, argument: Mapping[str, Any]) -> Mapping[str, Any]:
    """What came of it: done here if no server runs, else by a server, if one does it in time."""
    first = ledger.write_blocking(do_or_ask, ledger, order, argument)
    if not isinstance(first, int):
        return first
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        answer = ledger.read_blocking(control_rows.answer, first)
        if answer.result is not None:
            return json.loads(answer.result)
        time.sleep(LOOK_S)
    return ledger.write_blocking(do_after_all, ledger, order, first)


def do_or_ask(
    db: Connection, ledger: Ledger, order: Order, argument: Mapping[str, Any]
) -> Mapping[str, Any] | int:
    """What came of it, or the number of the request a server is to carry out."""
    now = time.time()
    if not servers.living(db, partial(owners.alive, ledger.run_dir)):
        return done(db, ledger, order, now)
    kind, text = f"circuit.{order.act}", json.dumps(dict(argument))
    return control_rows.ask(db, by=BY, kind=kind, argument=text, now=now)


def do_after_all(db: Connection, ledger: Ledger, order: Order, number: int) -> Mapping[str, Any]:
    """No server answered in time: done here, unless one has done it or is about to."""
    now = time.time()
    answer = control_rows.answer(db, number)
    if answer.result is not None:
        return json.loads(answer.result)
    alive = partial(owners.alive, ledger.run_dir)
    waiting: Sequence[control_rows.Control] = control_rows.waiting(db, BY, now, alive=alive)
    mine = next((each for each in waiting if each.id == number), None)
    if mine is None or not control_rows.take(db, mine, BY, now):
        said = f"server {answer.taken_by} has taken the request and has not answered yet"
        return {"ok": False, "said": said}
    said = done(db, ledger, order, now)
    control_rows.finish(db, number, json.dumps(dict(said)), now)
    return said


def done(db: Connection, ledger: Ledger, order: Order, now: float) -> Mapping[str, Any]:
    draw, run_dir = random.random(), ledger.run_dir
    return steering.steer(db, order, now=now, by=BY, jitter=draw, run_dir=run_dir).as_data()
