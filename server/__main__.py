"""The command line. `serve` starts without it: an editor waits for the server, not for us."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, Declined
from .home import Home

if TYPE_CHECKING:
    import click

MISTAKE = 2


def main() -> None:
    """The entry point of `roundhouse` and `roundhouse-mcp`. Bare and not on a terminal it is the
    server, so that `uvx roundhouse-mcp` is all an editor needs."""
    gc.disable()  # imports make nothing to collect; the server freezes and enables it again
    arguments = sys.argv[1:]
    if is_server(arguments, on_terminal=sys.stdin is not None and sys.stdin.isatty()):
        serve_now(client_named(arguments))
    else:
        gc.enable()
        command_line()(prog_name="roundhouse")


def is_server(arguments: Sequence[str], *, on_terminal: bool) -> bool:
    """Are these plain arguments of `serve`? Everything else is the command line's to explain."""
    match list(arguments):
        case []:
            return not on_terminal
        case ["serve"]:
            return True
        case ["serve", "--client", name]:
            return bool(name)
        case _:
            return False


def client_named(arguments: Sequence[str]) -> str | None:
    return arguments[2] if len(arguments) == 3 else None


def serve_now(client: str | None) -> None:
    """Serves until told to stop. A user's mistake is one sentence and status 2."""
    from .serve import serve

    try:
        serve(client=client)
    except (ConfigError, Declined) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(MISTAKE)


def command_line() -> "click.Group":
    """The whole command line; `watch` is here because this file is the only door to the terminal
    interface."""
    import click

    from .commands.root import root

    @root.command(short_help="Watch calls, budgets and circuits live.")
    @click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters only.")
    @click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
    @click.option("--read-only", is_flag=True, help="Watch only: every action is off.")
    @click.option("--once", is_flag=True, help="Print everything once, as text.")
    @click.option("--json", "as_json", is_flag=True, help="Print everything once, as JSON.")
    @click.option("--follow", is_flag=True, help="With --json: go on, a line per change.")
    @click.option("--filter", "wanted", default="", help="With --once, --json: which calls.")
    def watch(  # pyright: ignore[reportUnusedFunction]
        *, once: bool, as_json: bool, plain: bool, no_mouse: bool, read_only: bool, **more: Any
    ) -> None:
        """Watch what the agents of every editor on this machine do and spend."""
        home = Home.find(os.environ).path
        if once or as_json:
            sys.exit(tell(home, as_json=as_json, plain=plain, **more))
        if more["follow"]:
            raise click.UsageError("--follow goes with --json")
        from ..tui.app import run

        run(home, ascii=plain, mouse=not no_mouse, read_only=read_only)

    return root


def tell(home: Path, *, as_json: bool, plain: bool, follow: bool, wanted: str) -> int:
    """What `watch` shows, without a terminal; the status to end with."""
    import shutil

    from ..tui.outlet import Outlet

    out = Outlet(ascii_only=plain)
    if as_json:
        from ..tui import stream

        return (stream.follow if follow else stream.snapshot)(home, out, wanted=wanted)
    from ..tui.once import once

    width = shutil.get_terminal_size((120, 24)).columns
    text, code = once(home, wanted=wanted, width=width)
    out.finish(text.splitlines())
    return code


if __name__ == "__main__":
    main()
