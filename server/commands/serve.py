"""`roundhouse serve` in other forms than the plain one, which never comes here."""

import click


@click.command()
@click.option("--client", metavar="NAME", help="Who starts it: a label for budgets and reports.")
@click.option("--verbose", is_flag=True, help="Say more on stderr, and most in the log file.")
@click.option("--tools", metavar="NAMES", help="Show these tools only, e.g. complete,embed.")
@click.option("--tool-prefix", metavar="TEXT", help="Put this before the tools' names.")
def command(
    client: str | None, *, verbose: bool, tools: str | None, tool_prefix: str | None
) -> None:
    """Serve MCP on stdin and stdout until end of input or a signal. Editors run this."""
    from ..exposed import exposed
    from ..serve import serve

    serve(client=client, shown=exposed(tools, tool_prefix), verbose=verbose)
