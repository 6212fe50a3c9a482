"""`roundhouse demo`."""

import click


@click.command()
@click.option("--keep", is_flag=True, help="Keep the demo's home, for roundhouse watch.")
def command(*, keep: bool) -> None:
    """See it work: the real server, a real client, scripted providers, all six tools."""
    from ..demo import demo

    demo(keep=keep)
