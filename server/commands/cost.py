"""`roundhouse cost`: the tool `cost_report` in the words of a command line."""

import json
import sys

import click

from .call import called, text_of

GROUPS = ["provider", "model", "task", "client", "project", "day", "hour"]


@click.command()
@click.option(
    "--period", type=click.Choice(["hour", "day", "week", "month", "all"]), default="month"
)
@click.option("--since", metavar="DATE", help="ISO date or time, instead of --period.")
@click.option("--until", metavar="DATE")
@click.option("--by", "groups", multiple=True, type=click.Choice(GROUPS), help="May be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the structured result.")
def command(
    period: str, since: str | None, until: str | None, groups: tuple[str, ...], *, as_json: bool
) -> None:
    """Say what was spent, on what, and what each budget has left."""
    given = {"period": period, "since": since, "until": until}
    arguments = {name: value for name, value in given.items() if value is not None}
    if groups:
        arguments["group_by"] = json.dumps(list(groups))
    result = called("cost_report", arguments)
    if result.is_error:
        click.echo(text_of(result), err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(result.structured_content, indent=2, ensure_ascii=False))
    else:
        click.echo(text_of(result))
