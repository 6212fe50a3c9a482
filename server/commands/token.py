"""`roundhouse token`: add, list and remove the tokens that open the server over HTTP."""

import os
import time

import click

from ..home import Home
from ..web import tokens


@click.group()
def command() -> None:
    """Tokens for `roundhouse serve --http`: one per client, and its name in budgets and reports."""


@command.command()
@click.argument("name")
def add(name: str) -> None:
    """Make a token for the client NAME. It is printed once, and kept nowhere."""
    home = Home.find(os.environ)
    kept, token = tokens.add(home, name, now=time.time())
    click.echo(token)
    click.echo(
        f"This is the token of {kept}; it is not shown again. {kept} sends it as the header\n"
        "Authorization: Bearer TOKEN",
        err=True,
    )


@command.command("list")
def list_tokens() -> None:
    """List the clients that have a token, and since when."""
    home = Home.find(os.environ)
    entries = tokens.read(home.tokens)
    for name in sorted(entries):
        click.echo(f"{name:<20} {entries[name].made}")
    if not entries:
        click.echo(f"No tokens. Make one with: {tokens.ADD}")


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the token of the client NAME. It opens nothing from now on."""
    home = Home.find(os.environ)
    kept = tokens.remove(home, name)
    click.echo(f"The token of {kept} is gone from {home.tokens}.")
