"""`roundhouse approve`: answer calls that wait because a budget asks first (at_limit = "ask"), or
because a project has not used a provider before ([approvals] first_use)."""

import json
import os
import time
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from .. import config
from ..home import Home
from ..keys import Keys
from ..ledger import approval_rows, first_uses, verdicts
from ..ledger.approval_rows import Approval
from ..ledger.store import Ledger
from ..moments import duration
from ..money import dollars
from ..registry import Registry
from ..telling import plain
from .reading import read


@click.command()
@click.argument("number", metavar="[ID|list]", default="list")
@click.option("--deny", is_flag=True, help="Refuse it instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--provider", metavar="NAME", help="Decide on a provider before any call asks.")
@click.option("--project", metavar="DIR", help="With --provider: not for this directory.")
def command(
    number: str, *, deny: bool, as_json: bool, provider: str | None, project: str | None
) -> None:
    """Allow call ID to exceed its budget, this once, or its project to use a provider, for good;
    without ID, list the calls that ask. A call that has given up meanwhile finds the answer when it
    is made again within 10 minutes."""
    home = Home.find(os.environ)
    if project is not None and provider is None:
        raise click.UsageError("--project goes with --provider")
    if provider is not None:
        click.echo(decided(home, provider, project or os.getcwd(), allowed=not deny))
        return
    if number == "list":
        show(read(home, lambda db: approval_rows.waiting(db, time.time()), []), as_json=as_json)
        return
    if not number.isdecimal() or len(number) > 18:
        raise click.UsageError(f"{number[:40]!r} is no number; `roundhouse approve` lists them")
    click.echo(answered(home, int(number), approved=not deny))


def show(waiting: list[Approval], *, as_json: bool) -> None:
    now = time.time()
    if as_json:
        hidden = ("fingerprint", "reservations")
        rows = [{k: v for k, v in asdict(each).items() if k not in hidden} for each in waiting]
        click.echo(json.dumps(rows, indent=2))
        return
    for each in waiting:
        click.echo(line(each, now))
    if not waiting:
        click.echo("No call asks for approval.")


def line(asked: Approval, now: float) -> str:
    """One question in at most 100 columns."""
    left = asked.waits_until - now
    waits = f"waits {duration(left)} more" if left > 0 else "gave up; good when asked again"
    name = plain(f"{asked.provider}/{asked.model}")
    said = f"{asked.id:>4}  {dollars(asked.amount_nano)}  {name}  {plain(asked.budget)}"
    if asked.is_first_use:
        said = f"{asked.id:>4}  first use of {plain(asked.provider)} in {plain(asked.project)}"
    return f"{said}  for {plain(asked.client)}; {waits}"[:100]


def decided(home: Home, provider: str, project: str, *, allowed: bool) -> str:
    """Raises NotFound for a provider there is not."""
    loaded = config.load(home, os.environ)
    name = Registry.build(loaded.settings, Keys.load(home, os.environ), os.environ).named(provider)
    place = str(Path(project).expanduser().resolve())
    decide = partial(first_uses.decide, allowed=allowed, by=verdicts.who(), now=time.time())
    with closing(Ledger(home.path)) as ledger:
        ledger.write_blocking(decide, place, name.provider.name)
    return f"{'Approved' if allowed else 'Denied'}: {name.provider.name} for {plain(place)}."


def answered(home: Home, number: int, *, approved: bool) -> str:
    """Raises NotFound for a question that is not open."""
    now = time.time()
    with closing(Ledger(home.path)) as ledger:
        found = verdicts.answered(ledger.write_blocking, number, approved=approved, now=now)
    return plain(verdicts.outcome(found, now))
