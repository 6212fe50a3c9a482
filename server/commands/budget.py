"""`roundhouse budget`: limits on spending, kept in config.toml with its comments."""

import json
import os
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

import click

from ...providers.prices import NANO
from .. import budgets, config, spending
from ..edits import budgets as edits
from ..home import Home
from ..ledger import reservations
from ..ledger.driver import Connection
from ..moments import duration
from ..money import dollars
from ..settings import AtLimit, Period, Reserve
from ..telling import plain
from .reading import read

ROW = "{:<30} {:>12} {:>12} {:>12}  {:<9} {:<6} {}"
SCOPE = click.argument("scope", metavar="SCOPE")
PERIOD = click.option("--period", type=click.Choice(get_args(Period)), default="day")


@click.group()
def command() -> None:
    """Budgets: what calls may cost in a day, week, month or in total."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_budgets(*, as_json: bool) -> None:
    """List every budget: spent, reserved, limit, when it begins anew, and how fast it is used (1 is
    just in time)."""
    home, now = Home.find(os.environ), time.time()
    settings = config.load(home, os.environ).settings
    known = budgets.from_settings(settings.budgets)
    windows = [budgets.open_window(each, now, settings.timezone) for each in known]

    def standings(db: Connection) -> Mapping[str, reservations.Standing]:
        return reservations.standings(db, windows)

    there = read(home, standings, {})
    rows = [row_of(each, there.get(each.budget, reservations.Standing())) for each in windows]
    if as_json:
        click.echo(json.dumps([spending.budget_of(row, now) for row in rows], indent=2))
        return
    for line in lines(rows, now):
        click.echo(line)


def row_of(window: budgets.Window, there: reservations.Standing) -> dict[str, Any]:
    return {
        "budget": window.budget,
        "window_start": window.start,
        "window_end": window.end,
        "limit_nano": window.limit_nano,
        "spent_nano": there.spent_nano,
        "reserved_nano": there.reserved_nano,
        "at_limit": window.at_limit,
    }


def lines(rows: list[dict[str, Any]], now: float) -> list[str]:
    if not rows:
        return ["No budgets. Set one with: roundhouse budget set global 5 --period day"]
    said = [ROW.format("budget", "spent", "reserved", "limit", "resets in", "pace", "at limit")]
    for row in rows:
        end, pace = row["window_end"], spending.budget_of(row, now)["pace"]
        said.append(
            ROW.format(
                plain(row["budget"])[:30],
                dollars(row["spent_nano"]),
                dollars(row["reserved_nano"]),
                dollars(row["limit_nano"]),
                "never" if end is None else duration(end - now),
                "" if pace is None else f"{pace:.2f}",
                row["at_limit"],
            ).rstrip()
        )
    return said


@command.command("set")
@SCOPE
@click.argument("limit", metavar="USD")
@PERIOD
@click.option("--warn-at", type=float, metavar="SHARE", help="Warn at this share; 0.8 if not said.")
@click.option("--at-limit", type=click.Choice(get_args(AtLimit)), help="What happens then.")
@click.option(
    "--reserve",
    type=click.Choice(get_args(Reserve)),
    help="Hold the most a call can cost (never exceeded), or what few calls exceed.",
)
def set_budget(scope: str, limit: str, period: str, **more: float | str | None) -> None:
    """Set a budget of USD for SCOPE: global, or provider:, model:, task:, client: or project: and
    a name. What is not said stays as it was."""
    sum_ = edits.amount(limit)
    edits.set_budget(Home.find(os.environ), os.environ, scope, period, {"limit_usd": sum_, **more})
    click.echo(f"Budget {scope}/{period} is {dollars(int(Decimal(sum_) * NANO))}.")


@command.command("remove")
@SCOPE
@PERIOD
def remove(scope: str, period: str) -> None:
    """Remove the budget of SCOPE and this period."""
    edits.remove_budget(Home.find(os.environ), os.environ, scope, period)
    click.echo(f"Budget {scope}/{period} is gone.")
