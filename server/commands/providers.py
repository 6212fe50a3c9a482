"""`roundhouse providers`: show them, and change them in config.toml with its comments kept."""

import json
import os
import sys
from collections.abc import Sequence

import anyio
import click

from ...providers.http import Http
from ...providers.prices import rates
from .. import matrix
from ..edits import providers as edits
from ..home import Home
from ..listed import Listed
from ..registry import Registry
from .workbench import Workbench, workbench


class Providers(click.Group):
    """A provider's name, or nothing, stands where other groups want a subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Providers)
def command() -> None:
    """The providers there are, and what each can do. NAME in place of a command shows one."""


@command.command("show")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it for scripts.")
@click.option("--plain", is_flag=True, help="Print ASCII only.")
def show(name: str | None, *, as_json: bool, plain: bool) -> None:
    """Show what every provider can do, or everything about the one named."""
    bench = workbench()
    if name is not None:
        bench.registry.named(name)
    anyio.run(ask_local, bench)
    rows = [
        row
        for row in bench.registry.listed()
        if row.provider.name == name or (name is None and not row.provider.by_name_only)
    ]
    if as_json:
        data = [matrix.data(row) for row in rows]
        click.echo(bench.redactor.text(json.dumps(data if name is None else data[0], indent=2)))
        return
    plain = plain or not (sys.stdout.encoding or "").lower().startswith("utf")
    for line in sheet(bench, rows[0], plain) if name else whole(rows, plain):
        click.echo(bench.redactor.text(line))


def whole(rows: Sequence[Listed], plain: bool) -> list[str]:
    return [
        *matrix.table(rows, plain=plain),
        "",
        "What a provider's models generally do, or only some of them. Fine-tuning is an offer of",
        "the service; no tool here starts one. Everything about one: roundhouse providers NAME",
    ]


def sheet(bench: Workbench, row: Listed, plain: bool) -> list[str]:
    models = filter(None, (row.default_model, row.embedding_model))
    overrides = bench.prices()
    prices = {
        model: rates(row.provider, model, overrides=overrides, multiplier=row.cost_multiplier)
        for model in models
    }
    return matrix.sheet(row, prices, plain=plain)


@command.command("list")
def list_providers() -> None:
    """List every provider: whether it can be used, its key's origin, its models."""
    bench = workbench()
    anyio.run(ask_local, bench)
    for row in bench.registry.listed():
        if not row.provider.by_name_only:
            click.echo(bench.redactor.text(line(row)))


async def ask_local(bench: Workbench) -> None:
    """Asks the local programs whether they run."""
    async with network(bench) as http:
        await bench.registry.discover(http)
        bench.redactor.learn(bench.registry.secrets())


def network(bench: Workbench) -> Http:
    said = bench.loaded.settings.network
    return Http(
        proxy=said.proxy,
        ca_file=said.ca_file,
        trusted_hosts=said.trusted_hosts,
        learned=bench.redactor.meet,
    )


def line(row: Listed) -> str:
    reason, detail = row.absent()
    mark = click.style("no ", fg="yellow") if reason else click.style("yes", fg="green")
    name = f"{row.provider.name:<14}"
    if reason:
        return f"{mark}  {name} {detail}"
    key = row.admission
    models = ", ".join(row.models[:4]) + (" …" if len(row.models) > 4 else "")
    return f"{mark}  {name} {key}; {models or 'no model known'}"


@command.command("add")
@click.argument("name")
@click.option("--like", metavar="PROVIDER", help="Another account of a provider there is.")
@click.option("--wire", help="The protocol, with --base-url: openai_chat, ollama …")
@click.option("--base-url", metavar="URL")
@click.option("--local", is_flag=True, help="It runs on this machine.")
@click.option("--model", "models", multiple=True, help="A model it has; may be repeated.")
@click.option("--key-env", metavar="VARIABLE", help="The variable that holds its key.")
def add(
    name: str,
    like: str | None,
    wire: str | None,
    base_url: str | None,
    models: tuple[str, ...],
    key_env: str | None,
    *,
    local: bool,
) -> None:
    """Add provider NAME to the configuration. One that an installed package brings needs no more
    than its name."""
    said = {"like": like, "wire": wire, "base_url": base_url, "key_env": key_env}
    said |= {"local": local or None, "models": list(models) or None}
    if not edits.is_enough(name, said):
        raise click.UsageError("give --like PROVIDER, or --wire and --base-url")
    home = Home.find(os.environ)
    edits.add_provider(home, os.environ, name, said)
    click.echo(f"{name} is in {home.config}.")
    row = workbench().registry.named(name)
    if row.key is None and row.provider.key_required:
        click.echo(f"Its key: roundhouse keys set {name}")


@command.command("set")
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
def change_provider(name: str, changes: Sequence[str]) -> None:
    """Set keys of provider NAME: priority=1 models=gpt-5,gpt-5-mini defaults.max_tokens=8192.
    KEY= with nothing after it removes the key."""
    pairs = [change.partition("=") for change in changes]
    if wrong := next((key for key, equals, _ in pairs if not equals or not key), None):
        raise click.UsageError(f"{wrong[:40]!r} is not of the form KEY=VALUE")

    check_exists(name)
    home = Home.find(os.environ)
    values = {key: edits.typed(key, value) for key, _, value in pairs}
    edits.change_provider(home, os.environ, name, values)
    click.echo(f"{name} is changed in {home.config}.")


def check_exists(name: str) -> None:
    """Raises NotFound, with the nearest name."""
    registry: Registry = workbench().registry
    registry.named(name)


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove provider NAME from the configuration; a shipped one goes back to its defaults."""
    home = Home.find(os.environ)
    edits.remove_provider(home, os.environ, name)
    click.echo(f"{name} is gone from {home.config}.")
