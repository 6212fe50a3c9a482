"""`roundhouse demo`."""

import click


@click.command()
@click.option("--keep", is_flag=True, help="Keep the demo's home, for roundhouse watch.")
@click.option("--tui", is_flag=True, help="Three agents at work, with roundhouse watch on top.")
def command(*, keep: bool, tui: bool) -> None:
    """See it work: the real server, a real client, scripted providers, all six tools."""
    if tui:
        show(keep=keep)
        return
    from ..demo import demo

    demo(keep=keep)


def show(*, keep: bool) -> None:
    """The terminal interface over the demo's agents, until the user quits."""
    from ...tui.app import run
    from ..traffic import traffic

    with traffic(keep=keep) as home:
        run(home)
    click.echo(
        f"The ledger stays: ROUNDHOUSE_HOME={home} roundhouse watch"
        if keep
        else "The temporary home is gone. Next: roundhouse doctor, then roundhouse watch."
    )
