"""`roundhouse keys`: set, list and remove API keys. No key is ever an argument, or printed."""

import os
import sys
from difflib import get_close_matches

import click

from ...providers import catalog
from .. import config, keys
from ..errors import ConfigError
from ..home import Home
from ..registry import Registry
from ..settings import Settings


@click.group()
def command() -> None:
    """API keys, kept in keys.toml (readable by you alone) or the system keyring."""


@command.command("set")
@click.argument("name")
@click.option("--keyring", "in_keyring", is_flag=True, help="Keep it in the system keyring.")
def set_key(name: str, *, in_keyring: bool) -> None:
    """Set the key of provider NAME. It is asked for, or read from standard input."""
    home = Home.find(os.environ)
    check_name(name, known(home))
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
    registry = Registry.build(settings_or_none(home), found, os.environ)
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


def settings_or_none(home: Home) -> Settings:
    """The settings, or defaults where they are broken: keys can be set all the same."""
    try:
        return config.load(home, os.environ).settings
    except ConfigError:
        return Settings()


def known(home: Home) -> set[str]:
    return {*catalog.shipped_rows(), *settings_or_none(home).providers}


def check_name(name: str, names: set[str]) -> None:
    if name in names:
        return
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}."
    raise ConfigError(f"There is no provider {name!r} to keep a key for; {hint}")
