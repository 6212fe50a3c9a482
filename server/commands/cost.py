"""`roundhouse cost`: what was spent, as a table with bars, as JSON or as CSV."""

import csv
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import click

from ...providers.prices import rates
from .. import bars, spending
from ..errors import NotFound
from ..ledger import totals
from ..ledger.store import Ledger
from ..telling import plain
from .workbench import Workbench, workbench

GROUPS = ["provider", "model", "task", "client", "project", "day", "hour", "status"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would calculate
BAR = 24
PERIODS = click.Choice(["hour", "day", "week", "month", "all"])


@click.command()
@click.option("--period", type=PERIODS, default="month")
@click.option("--since", metavar="DATE", help="ISO date or time, instead of --period.")
@click.option("--until", metavar="DATE")
@click.option("--by", "groups", multiple=True, type=click.Choice(GROUPS), help="May be repeated.")
@click.option("--as", "as_model", metavar="MODEL", help="What local calls would cost there.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the groups as CSV.")
def command(
    period: str,
    since: str | None,
    until: str | None,
    groups: tuple[str, ...],
    as_model: str | None,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Say what was spent, on what, and what each budget has left."""
    bench, by = workbench(), list(groups) or ["provider", "model"]
    timezone, now = bench.loaded.settings.timezone, time.time()
    over = spending.span(period, since, until, timezone=timezone, now=now)
    with closing(Ledger(bench.home.path)) as ledger:
        found = ledger.read_blocking(
            partial(totals.totals, timezone=timezone, by_model=as_model is not None),
            over,
            by,
            sys.maxsize,
            now,
        )
    said = spending.report(found, over, by, now)
    if as_model is not None:
        said["local_as"] = elsewhere(bench, found, as_model)
    if as_csv:
        written = table_of(said["groups"])
    elif as_json:
        written = json.dumps(said, indent=2, ensure_ascii=False)
    else:
        written = "\n".join(lines(said, by))
    click.echo(bench.redactor.text(written))


def elsewhere(bench: Workbench, found: totals.Totals, name: str) -> dict[str, Any]:
    """What local calls would have cost at a model of a cloud. Raises NotFound."""
    provider, model = bench.registry.split(name)
    if provider is None or not model:
        raise NotFound(f"{name[:80]!r} names no model", next_step="Write it as provider/model.")
    row = bench.registry.named(provider)
    known = rates(row.provider, model, overrides=bench.prices(), multiplier=row.cost_multiplier)
    if known is None:
        raise NotFound(
            f"the price of {name[:80]!r} is not known",
            next_step="Give it in config.toml under [prices], or name another model.",
        )
    return spending.local_as(found, bench.registry, name, known)


def table_of(groups: Sequence[Mapping[str, Any]]) -> str:
    """CSV, whose text cells no spreadsheet takes for formulas."""
    if not groups:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(groups[0])
    writer.writerows([cell(value) for value in group.values()] for group in groups)
    return out.getvalue().rstrip("\n")


def cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def lines(said: Mapping[str, Any], by: Sequence[str]) -> list[str]:
    """The report for a terminal: totals, a bar for each group, the budgets."""
    shown = [spending.headline(said), *spending.remarks(said)]
    if "local_as" in said:
        there = said["local_as"]
        shown.append(
            f"local models read {there['input_tokens']} tokens and wrote {there['output_tokens']}: "
            f"at {there['model']} ${there['cost_usd']:.6f}"
        )
    names = [plain(spending.named(group, by))[:40] for group in said["groups"]]
    width = max(map(len, names), default=0)
    most = max((group["cost_usd"] for group in said["groups"]), default=0)
    for name, group in zip(names, said["groups"], strict=True):
        usd, calls = f"${group['cost_usd']:.6f}", f"{group['calls']} calls"
        bar = bars.share(group["cost_usd"], most, BAR, plain=not shows_blocks())
        shown.append(f"{name:<{width}}  {usd:>12}  {calls:>12}  {bar}".rstrip())
    return shown + [budget_line(budget) for budget in said["budgets"]]


def budget_line(budget: Mapping[str, Any]) -> str:
    line = spending.budget_words(budget)
    if budget["pace"] is not None:
        line += f", pace {budget['pace']:g}"
    return line + (f", runs out {budget['runs_out']}" if budget["runs_out"] else "")


def shows_blocks() -> bool:
    """Can the terminal show what bars are made of?"""
    return "utf" in (sys.stdout.encoding or "").lower()
