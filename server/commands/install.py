"""`roundhouse install`: adds this server to an editor or agent, in that program's own file."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..home import VARIABLE
from ..install import changes, entries, launcher, lists
from ..install.changes import Change
from ..install.clients import Client, Machine, project_file, rows

COLORS = {"+": "green", "-": "red", "@": "cyan"}
KEYS = "Keys are not passed on by every client: roundhouse keys set NAME works for all of them."
LOCAL = "It names a command of this machine. For others: uvx roundhouse-mcp install {} --project"
STATES: Mapping[entries.State, str] = {
    "absent": "not there",
    "installed": "installed",
    "version": "other version",
    "different": "differs",
    "remote": "differs",
}

CLIENT = click.argument("name", metavar="CLIENT", type=click.Choice(list(rows())))
PROJECT = click.option("--project", is_flag=True, help="In the file of this folder's project.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("name", metavar="[CLIENT]", type=click.Choice(list(rows())), required=False)
@PROJECT
@click.option("--print", "only_print", is_flag=True, help="Print what to add by hand.")
@YES
def command(name: str | None, *, project: bool, only_print: bool, yes: bool) -> None:
    """Add Roundhouse to CLIENT: shows the change, asks, and keeps a copy of the file. Without
    CLIENT, say which there are on this machine and whether they have it.

    CLIENT: claude-desktop, claude-code, cursor, vscode, zed, windsurf, codex, gemini, lmstudio.
    """
    machine = Machine.here(os.environ, sys.platform)
    if name is None:
        if project or only_print or yes:
            raise click.UsageError("name a CLIENT")
        for line in overview(machine):
            click.echo(line)
        return
    client = rows()[name]
    file, wanted = target(machine, client, project=project)
    if only_print:
        click.echo(f"In {file}:\n\n{lists.added(client, '', wanted).rstrip()}")
        return
    change = changes.installing(client, file, wanted)
    if change.nothing:
        click.echo(f"{client.title} has it already, in {file}; nothing was changed.")
        return
    if not project and not machine.has(client):
        click.echo(f"{client.title} does not seem to be on this machine.")
    carry_out(change, private=not project, yes=yes, again=f"install {name}")
    click.echo(f"{client.title} has Roundhouse now, in {file}. {client.next}")
    if change.keep and change.before is not None:
        click.echo(f"The file as it was: {change.backup}")
    click.echo(LOCAL.format(name) if project and not launcher.here().shareable else KEYS)


def target(machine: Machine, client: Client, *, project: bool) -> tuple[Path, dict[str, Any]]:
    """The file, and what our entry in it should say."""
    ours = launcher.here()
    if project:
        return project_file(client, Path.cwd()), entries.entry(client, ours.portable(), {})
    home = machine.environ.get(VARIABLE, "").strip()
    env = {VARIABLE: str(Path(home).expanduser().absolute())} if home else {}
    return machine.file_of(client), entries.entry(client, ours, env)


def carry_out(change: Change, *, private: bool, yes: bool, again: str) -> None:
    """Shows it, asks, does it. Raises ConfigError where nobody says yes."""
    lines = list(change.lines())
    for line in lines:
        click.echo(click.style(line, fg=COLORS.get(line[:1])))
    if any(lists.VEIL in line for line in lines):
        click.echo(f"({lists.VEIL} stands for what is not shown; it stays as it is.)")
    if not yes:
        try:
            agreed = click.confirm(f"Change {change.file}?")
        except click.Abort:
            agreed = False
            click.echo()
        if not agreed:
            raise ConfigError(f"Nothing was changed. Without a question: roundhouse {again} --yes")
    change.make(private=private)


def overview(machine: Machine) -> Sequence[str]:
    """A line for every client of this machine, and the names of the others."""
    here = [client for client in rows().values() if machine.has(client)]
    others = [client.name for client in rows().values() if client not in here]
    said = [f"{state(machine, each):<14} {each.name:<15} {machine.file_of(each)}" for each in here]
    if here:
        said.append("Add it with: roundhouse install CLIENT; take it out with: uninstall CLIENT")
    if others:
        said.append(f"Not found on this machine: {', '.join(others)}")
    return said


def state(machine: Machine, client: Client) -> str:
    file, wanted = target(machine, client, project=False)
    try:
        found = changes.entry_in(client, file, changes.read(client, file))
    except ConfigError:
        return "broken file"
    there = entries.state(client, found, wanted)
    pinned = entries.version_in(found or {})
    return f"version {pinned}" if there == "version" else STATES[there]
