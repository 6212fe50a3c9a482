"""`roundhouse serve` in other forms than the plain one, which never comes here."""

import click

from ..errors import ConfigError


@click.command()
@click.option("--client", metavar="NAME", help="Who starts it: a label for budgets and reports.")
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
@click.option("--verbose", is_flag=True, help="Say more on stderr, and most in the log file.")
def command(
    client: str | None,
    *,
    http: bool,
    port: int | None,
    host: str | None,
    allowed: tuple[str, ...],
    verbose: bool,
) -> None:
    """Serve MCP on stdin and stdout until end of input or a signal, as editors run it.

    With --http serve it at http://127.0.0.1:8733/mcp, to clients that have a token: see roundhouse
    token.
    """
    if http:
        over_http(client, port, host, allowed, verbose=verbose)
        return
    if allowed or host is not None or port is not None:
        raise ConfigError("--port, --host and --allow-host go with --http.")
    from ..serve import serve

    serve(client=client, verbose=verbose)


def over_http(
    client: str | None,
    port: int | None,
    host: str | None,
    allowed: tuple[str, ...],
    *,
    verbose: bool,
) -> None:
    if client is not None:
        raise ConfigError("Over HTTP the token names the client: leave --client out.")
    from ..web import listener

    listener.serve(
        host="127.0.0.1" if host is None else host,
        port=listener.PORT if port is None else port,
        allowed=allowed,
        verbose=verbose,
    )
