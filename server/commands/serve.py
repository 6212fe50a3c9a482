"""`roundhouse serve`, with arguments that `__main__` did not take by itself."""

from typing import Any

import click

from ..errors import ConfigError


@click.command()
@click.option("--client", metavar="NAME", help="Who starts it: a label for budgets and reports.")
@click.option("--tools", metavar="NAMES", help="Show these tools only, e.g. complete,embed.")
@click.option("--tool-prefix", metavar="TEXT", help="Put this before the tools' names.")
@click.option("--verbose", is_flag=True, help="Say more on stderr, and most in the log file.")
@click.option("--http", is_flag=True, help="Serve many clients over HTTP; each brings a token.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --http: else 8733; 0 is any.")
@click.option("--host", metavar="ADDRESS", help="With --http: this machine alone unless said.")
@click.option(
    "--allow-host",
    "allowed",
    metavar="NAME",
    multiple=True,
    help="With --http: a name other machines call this one by.",
)
def command(
    client: str | None, tools: str | None, tool_prefix: str | None, *, http: bool, **more: Any
) -> None:
    """Serve MCP on stdin and stdout until end of input or a signal, as editors run it.

    With --http serve it at http://127.0.0.1:8733/mcp, to clients that have a token: see roundhouse
    token.
    """
    from ..exposed import exposed

    shown, verbose = exposed(tools, tool_prefix), more.pop("verbose")
    if http:
        if client is not None:
            raise ConfigError("Over HTTP the token names the client: leave --client out.")
        from ..web import listener

        listener.serve(**more, shown=shown, verbose=verbose)
        return
    if any(value not in (None, ()) for value in more.values()):
        raise ConfigError("--port, --host and --allow-host go with --http.")
    from ..serve import serve

    serve(client=client, shown=shown, verbose=verbose)
