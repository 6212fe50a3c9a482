"""`roundhouse providers`: show them, and change them in config.toml with its comments kept."""

import json
import os
import sys
import tomllib
from collections.abc import Sequence
from typing import Any

import anyio
import click

from ...providers import catalog, plugins
from ...providers.http import Http
from ...providers.prices import rates
from .. import matrix
from ..edits.document import Tables, edit, table
from ..environment import listed as comma_separated
from ..environment import wants_list
from ..errors import ConfigError
from ..home import Home
from ..listed import Listed
from ..registry import Registry
from ..settings import ProviderSettings
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
    if not (like or (wire and base_url) or name in plugins.names("provider")):
        raise click.UsageError("give --like PROVIDER, or --wire and --base-url")
    said = {"like": like, "wire": wire, "base_url": base_url, "key_env": key_env}
    said |= {"local": local or None, "models": list(models) or None}

    def change(tables: Tables) -> None:
        if name in tables.get("providers", {}) or name in catalog.shipped_rows():
            raise ConfigError(f"There is a provider {name!r}; use: roundhouse providers set {name}")
        table(tables, "providers", name).update({k: v for k, v in said.items() if v is not None})

    home = Home.find(os.environ)
    edit(home, os.environ, change)
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

    def change(tables: Tables) -> None:
        for key, _, value in pairs:
            *inner, last = key.split(".")
            row = table(tables, "providers", name, *inner)
            if not value:
                row.pop(last, None)
            else:
                row[last] = typed(key, value)

    check_exists(name)
    home = Home.find(os.environ)
    edit(home, os.environ, change)
    click.echo(f"{name} is changed in {home.config}.")


def check_exists(name: str) -> None:
    """Raises NotFound, with the nearest name."""
    registry: Registry = workbench().registry
    registry.named(name)


def typed(key: str, value: str) -> Any:
    """A value as TOML reads it, else as text; lists may be written with commas."""
    field = ProviderSettings.model_fields.get(key)
    if key == "api_key":
        return value
    if field is not None and wants_list(field.annotation) and not value.startswith("["):
        return comma_separated(value)
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove provider NAME from the configuration; a shipped one goes back to its defaults."""
    home = Home.find(os.environ)

    def change(tables: Tables) -> None:
        rows = tables.get("providers", {})
        if name not in rows:
            fix = f"roundhouse providers set {name} enabled=false"
            hint = f"; to switch it off: {fix}" if name in catalog.shipped_rows() else ""
            raise ConfigError(f"{home.config} says nothing of a provider {name!r}{hint}")
        del rows[name]

    edit(home, os.environ, change)
    click.echo(f"{name} is gone from {home.config}.")
