"""`roundhouse serve` in other forms than the plain one, which never comes here."""

import click


@click.command()
@click.option("--client", metavar="NAME", help="Who starts it: a label for budgets and reports.")
@click.option("--verbose", is_flag=True, help="Say more on stderr, and most in the log file.")
def command(client: str | None, *, verbose: bool) -> None:
    """Serve MCP on stdin and stdout until end of input or a signal. Editors run this."""
    from ..serve import serve

    serve(client=client, verbose=verbose)
