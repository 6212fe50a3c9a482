"""`roundhouse budget`: limits on spending, kept in config.toml with its comments."""

import json
import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast, get_args

import click
import tomlkit
from tomlkit.items import AoT

from .. import budgets, config, spending
from ..errors import BadRequest, NotFound
from ..home import Home
from ..ledger import reservations
from ..ledger.driver import Connection
from ..moments import duration
from ..money import dollars
from ..settings import NANO, AtLimit, Period
from ..telling import plain
from .edits import Tables, edit
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
def set_budget(
    scope: str, limit: str, period: str, warn_at: float | None, at_limit: str | None
) -> None:
    """Set a budget of USD for SCOPE: global, or provider:, model:, task:, client: or project: and
    a name. What is not said stays as it was."""
    sum_ = amount(limit)
    said = {"limit_usd": sum_, "warn_at": warn_at, "at_limit": at_limit}
    kept = {name: value for name, value in said.items() if value is not None}

    def change(tables: Tables) -> None:
        rows = rows_in(tables)
        at = [n for n, row in enumerate(rows) if is_meant(row, scope, period)]
        for n in at[1:][::-1]:
            del rows[n]
        if at:
            rows[at[0]].update(kept)
            return
        empty = tomlkit.table() if isinstance(tables["budgets"], AoT) else tomlkit.inline_table()
        made = cast("dict[str, Any]", empty)
        made.update({"scope": scope, "period": period, **kept})
        rows.append(made)

    changed(change)
    click.echo(f"Budget {scope}/{period} is {dollars(int(Decimal(sum_) * NANO))}.")


def amount(limit: str) -> str:
    """The sum as it goes into the file: a string, so that nothing rounds it."""
    try:
        value = Decimal(limit.removeprefix("$"))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise BadRequest(
            f"{limit[:40]!r} is no sum of dollars", next_step="Write it like 5 or 2.50."
        )
    return str(value)


@command.command("remove")
@SCOPE
@PERIOD
def remove(scope: str, period: str) -> None:
    """Remove the budget of SCOPE and this period."""

    def change(tables: Tables) -> None:
        rows = rows_in(tables)
        at = [n for n, row in enumerate(rows) if is_meant(row, scope, period)]
        if not at:
            raise NotFound(
                f"there is no budget {scope}/{period} in the file",
                next_step="`roundhouse budget list` shows those there are.",
            )
        for n in at[::-1]:
            del rows[n]
        if not rows:
            del tables["budgets"]

    changed(change)
    click.echo(f"Budget {scope}/{period} is gone.")


def rows_in(tables: Tables) -> list[dict[str, Any]]:
    """The budgets in the file, made where there are none."""
    if "budgets" not in tables:
        tables["budgets"] = tomlkit.aot()
    return tables["budgets"]


def is_meant(row: Mapping[str, Any], scope: str, period: str) -> bool:
    return row.get("scope") == scope and row.get("period", "day") == period


def changed(change: Callable[[Tables], None]) -> None:
    edit(Home.find(os.environ), os.environ, change)
