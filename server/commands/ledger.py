"""`roundhouse ledger`: check, repair, vacuum and export the file that knows what was spent."""

import csv
import os
import sys
import time
from typing import TextIO

import click

from ..errors import NotFound
from ..home import Home
from ..ledger import care, salvage
from ..ledger.care import EXPORTS, Exported
from ..ledger.failures import STORE_FAILURES, is_missing, unavailable

GATE_S = 10.0


@click.group()
def command() -> None:
    """The ledger: what was called, what it cost, what each budget has left. Servers may run
    meanwhile."""


def there() -> Home:
    home = Home.find(os.environ)
    if is_missing(home.ledger):
        raise NotFound(
            f"there is no ledger at {home.ledger} yet", next_step="It is made with the first call."
        )
    return home


@command.command()
def check() -> None:
    """Say whether the file is whole and its totals are the sums of its rows. Status 1 if not."""
    home = there()
    problems = care.check(home.ledger, home.gate)
    for problem in problems:
        click.echo(f"{click.style('wrong', fg='red')}  {problem}")
    if problems:
        click.echo("Run `roundhouse ledger repair`; it deletes nothing.", err=True)
        sys.exit(1)
    click.echo(f"{home.ledger} is whole; every total is the sum of its rows.")


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def repair(*, yes: bool) -> None:
    """Put the file aside and write what can be read of it into a new one. Nothing is deleted."""
    home = there()
    problems = care.check(home.ledger, home.gate)
    for problem in problems:
        click.echo(f"{click.style('wrong', fg='red')}  {problem}")
    if not problems:
        click.echo(f"{home.ledger} is whole; there is nothing to repair.")
        return
    if not yes:
        click.confirm("Put it aside and make a new one of what can be read?", abort=True)
    try:
        done = salvage.repair(home.ledger, home.gate, now=time.time(), timeout_s=GATE_S)
    except STORE_FAILURES as error:
        raise unavailable(error, home.ledger) from error
    report(home, done)


def report(home: Home, done: salvage.Salvage) -> None:
    """What was read, what was not, and where the old file is."""
    for table in done.tables:
        click.echo(f"{table.name:<20} {table.rows:>9,} rows{the_rest(table)}")
    for note in done.notes:
        click.echo(f"Note: {note}.")
    if not any(table.name == "budget_windows" and table.rows for table in done.tables):
        click.echo("Note: no budget could be read; what was spent before does not count any more.")
    click.echo(f"The new ledger is {home.ledger}; the old one stays as {done.quarantined[0]}.")


def the_rest(table: salvage.Table) -> str:
    if table.error == salvage.BY_PAGE:
        return ", found page by page"
    return f", and the rest is lost ({table.error})" if table.error else ""


@command.command()
def vacuum() -> None:
    """Give unused space of the file back. Calls that cost money wait meanwhile."""
    home = there()
    try:
        before, after = care.vacuum(home.ledger, home.gate, timeout_s=GATE_S)
    except STORE_FAILURES as error:
        raise unavailable(error, home.ledger) from error
    click.echo(f"{home.ledger}: {before / 1024:,.0f} KiB before, {after / 1024:,.0f} KiB now")


@command.command()
@click.option("--of", "table", type=click.Choice(list(EXPORTS)), default="calls")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header, not JSON lines.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-")
def export(*, table: Exported, as_csv: bool, output: TextIO) -> None:
    """Write every call or attempt as JSON lines or CSV. Prompts and answers are not in the ledger;
    money is in nano-dollars, times are seconds since 1970."""
    home = there()
    listed, _ = EXPORTS[table]
    found = care.rows(home.ledger, table)
    try:
        if as_csv:
            writer = csv.writer(output, lineterminator="\n")
            writer.writerow(listed)
            writer.writerows([care.cell(value) for value in row] for row in found)
        else:
            output.writelines(care.as_json(listed, row) + "\n" for row in found)
    except STORE_FAILURES as error:
        raise unavailable(error, home.ledger) from error
