"""`roundhouse tail`."""

import os
import shutil
import sys

import click

from ..home import Home


@click.command()
@click.argument("words", nargs=-1, metavar="[FILTER]...")
@click.option("-n", "--last", default=10, type=click.IntRange(min=0), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print each call as a line of JSON.")
@click.option("--ascii", "plain", is_flag=True, help="Write ASCII characters only.")
def command(words: tuple[str, ...], last: int, *, as_json: bool, plain: bool) -> None:
    """Calls as they end, until ctrl-c.

    FILTER is what the filter line of `roundhouse watch` takes, such as provider:groq or
    status:failed; put -- before words that begin with a dash.
    """
    from ...tui.outlet import Outlet
    from ...tui.tail import Wish, tail

    width = shutil.get_terminal_size((160, 24)).columns
    wish = Wish(wanted=" ".join(words), last=last, as_json=as_json, width=width)
    out = Outlet(ascii_only=plain)
    sys.exit(
        tail(Home.find(os.environ).path, out, wish, warn=lambda said: click.echo(said, err=True))
    )
