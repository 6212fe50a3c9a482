"""`roundhouse uninstall`: takes this server out of an editor's or agent's file again."""

import os
import sys
from pathlib import Path

import click

from ..install import changes
from ..install.clients import Machine, project_file, rows
from .install import CLIENT, PROJECT, YES, carry_out


@click.command()
@CLIENT
@PROJECT
@YES
def command(name: str, *, project: bool, yes: bool) -> None:
    """Take Roundhouse out of CLIENT: shows the change and asks. What else is in the file stays."""
    client = rows()[name]
    machine = Machine.here(os.environ, sys.platform)
    file = project_file(client, Path.cwd()) if project else machine.file_of(client)
    change = changes.removing(client, file)
    if change.nothing:
        click.echo(f"{client.title} does not have it, in {file}; nothing was changed.")
        return
    carry_out(change, private=not project, yes=yes, again=f"uninstall {name}")
    click.echo(f"Roundhouse is gone from {file}.")
    if change.backup.exists():
        click.echo(f"An older copy of it is still there: {change.backup}")
