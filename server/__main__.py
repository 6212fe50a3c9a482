"""The command line. `serve` starts without it: an editor waits for the server, not for us."""

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import ConfigError, Declined

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
    """The whole command line, each subcommand imported when it is used."""
    from .commands.root import root

    return root


if __name__ == "__main__":
    main()
