"""`roundhouse keys`: set, list and remove API keys. No key is ever an argument, or printed."""

import os
import sys

import click

from .. import keys
from ..edits import keys as edits
from ..home import Home
from ..registry import Registry


@click.group()
def command() -> None:
    """API keys, kept in keys.toml (readable by you alone) or the system keyring."""


@command.command("set")
@click.argument("name")
@click.option("--keyring", "in_keyring", is_flag=True, help="Keep it in the system keyring.")
def set_key(name: str, *, in_keyring: bool) -> None:
    """Set the key of provider NAME. It is asked for, or read from standard input."""
    home = Home.find(os.environ)
    edits.check_name(name, edits.known(home, os.environ))
    value = entered(name)
    if in_keyring:
        keys.store_in_keyring(home, name, value)
    else:
        keys.store(home, name, value)
    where = "the system keyring" if in_keyring else str(home.keys)
    click.echo(f"The key of {name} is in {where}.")


def entered(name: str) -> str:
    if sys.stdin.isatty():
        return click.prompt(f"Key of {name} (not shown)", hide_input=True, type=str)
    return sys.stdin.read(keys.LONGEST * 2)


@command.command("list")
def list_keys() -> None:
    """List the providers that have a key, and where it comes from."""
    home = Home.find(os.environ)
    found = keys.Keys.load(home, os.environ)
    registry = Registry.build(edits.settings_or_none(home, os.environ), found, os.environ)
    rows = [(row.provider.name, row.key.name) for row in registry.listed() if row.key]
    for name, origin in rows:
        click.echo(f"{name:<20} {origin}")
    for problem in found.problems.values():
        click.echo(problem, err=True)
    if not rows:
        click.echo("No keys. Set one with: roundhouse keys set NAME")


@command.command("remove")
@click.argument("name")
def remove_key(name: str) -> None:
    """Forget the key of provider NAME."""
    home = Home.find(os.environ)
    keys.remove(home, name)
    click.echo(f"The key of {name} is gone from {home.keys}.")
