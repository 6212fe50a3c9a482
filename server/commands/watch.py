"""`roundhouse watch`: the terminal interface, or what it shows as text and JSON."""

import gc
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from ..home import Home


@click.command()
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters only.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--read-only", is_flag=True, help="Watch only: every action is off.")
@click.option("--once", is_flag=True, help="Print everything once, as text.")
@click.option("--json", "as_json", is_flag=True, help="Print everything once, as JSON.")
@click.option("--follow", is_flag=True, help="With --json: go on, a line per change.")
@click.option("--filter", "wanted", default="", help="With --once, --json: which calls.")
def command(
    *, once: bool, as_json: bool, plain: bool, no_mouse: bool, read_only: bool, **more: Any
) -> None:
    """Watch what the agents of every editor on this machine do and spend."""
    home = Home.find(os.environ).path
    if once or as_json:
        sys.exit(tell(home, as_json=as_json, plain=plain, **more))
    if more["follow"]:
        raise click.UsageError("--follow goes with --json")
    gc.disable()  # imports make nothing to collect; the first screen freezes them
    from ...tui.app import run

    run(home, ascii=plain, mouse=not no_mouse, read_only=read_only)


def tell(home: Path, *, as_json: bool, plain: bool, follow: bool, wanted: str) -> int:
    """What `watch` shows, without a terminal; the status to end with."""
    from ...tui.outlet import Outlet

    out = Outlet(ascii_only=plain)
    if as_json:
        from ...tui import stream

        return (stream.follow if follow else stream.snapshot)(home, out, wanted=wanted)
    from ...tui.once import once

    width = shutil.get_terminal_size((120, 24)).columns
    text, code = once(home, wanted=wanted, width=width)
    out.finish(text.splitlines())
    return code
