"""`roundhouse keys`: set, list, import, remove. No key is ever an argument, or printed."""

import os
import sys
from pathlib import Path

import click

from .. import keys
from ..edits import key_sources
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
    rows = [
        (row.provider.name, row.key.name if row.key else f"key_command {row.key_command[0]}")
        for row in registry.listed()
        if row.key or row.key_command
    ]
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


@command.command("import")
@click.argument("source", type=click.Choice(["llm", "pal"]))
@click.option(
    "--from",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file: llm's keys.json (else where llm keeps it), or an .env (else the environment).",
)
@click.option("--replace", is_flag=True, help="Also where another key is kept already.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def import_keys(source: str, path: Path | None, *, replace: bool, yes: bool) -> None:
    """Take over the keys of llm (its keys.json) or PAL (its variables, or an .env file). Shows the
    names first; values are never shown."""
    home = Home.find(os.environ)
    found = gathered(home, source, path)
    states = edits.compared(home, found.keys)
    taken = [
        name for name, state in states.items() if state == "new" or (replace and state == "other")
    ]
    for name, state in states.items():
        click.echo(difference(name, state, replace=replace))
    for name, why in found.left_out.items():
        click.echo(f"  {name}  left out: {why}")
    if not taken:
        click.echo("There is nothing to import.")
    elif yes or (sys.stdin.isatty() and click.confirm(f"Write these into {home.keys}?")):
        keys.store_all(home, {name: found.keys[name] for name in taken})
        click.echo(f"The keys of {', '.join(taken)} are in {home.keys}.")
    else:
        click.echo("Nothing was changed; --yes writes them.")


def gathered(home: Home, source: str, path: Path | None) -> key_sources.Found:
    if source == "pal":
        return key_sources.from_pal(path, os.environ)
    file = path or key_sources.llm_file(os.environ, Path.home())
    return key_sources.from_llm(file, edits.known(home, os.environ))


def difference(name: str, state: edits.State, *, replace: bool) -> str:
    if state == "other":
        return (
            f"~ {name}  another key, replaced"
            if replace
            else (f"  {name}  another key is kept already; --replace takes this one")
        )
    return f"+ {name}" if state == "new" else f"  {name}  the same key is there"
