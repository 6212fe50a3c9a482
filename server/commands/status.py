"""`roundhouse status`."""

import os
import sys

import click

from ..home import Home


@click.command()
@click.option("--format", "form", metavar="TEXT", help="Such as '{servers} {today} {alarm}'.")
@click.option("--ascii", "plain", is_flag=True, help="Write ASCII characters only.")
def command(*, form: str | None, plain: bool) -> None:
    """One line for tmux or an editor's status line.

    Fields of --format: mark servers running calls today alarm circuits held budgets. Ends with
    status 1 when a circuit is open or a budget runs out, 3 when the ledger cannot be read.
    """
    from ...tui.outlet import Outlet
    from ...tui.statusline import USUAL, status

    line, code = status(Home.find(os.environ).path, USUAL if form is None else form)
    Outlet(ascii_only=plain).finish([line])
    sys.exit(code)
