"""`roundhouse models`: what can be named as provider/model here."""

import anyio
import click

from ...providers.prices import rates
from ...providers.probe import probe
from ..listed import Listed
from ..money import list_price
from .providers import network
from .workbench import Workbench, workbench


@click.command()
@click.option("--provider", metavar="NAME", help="Only this provider's.")
@click.option("--all", "ask", is_flag=True, help="Ask each provider for its whole list; free.")
def command(provider: str | None, *, ask: bool) -> None:
    """List the models you can use, with what is known of them. The first of a provider is the one
    that runs when only the provider is named."""
    bench = workbench()
    if provider is not None:
        bench.registry.named(provider)
    found = anyio.run(models, bench, provider, ask)
    for row, names in found:
        for name in names:
            click.echo(bench.redactor.text(line(bench, row, name)))
    if not found:
        click.echo(bench.registry.what_would_enable())


async def models(
    bench: Workbench, only: str | None, ask: bool
) -> list[tuple[Listed, tuple[str, ...]]]:
    async with network(bench) as http:
        await bench.registry.discover(http)
        usable = [
            row
            for row in bench.registry.listed()
            if row.absent()[0] is None
            and (row.provider.name == only or (only is None and not row.provider.by_name_only))
        ]
        found = {row.provider.name: row.models for row in usable}

        async def whole(row: Listed) -> None:
            probed = await probe(http, row.provider, row.key.value if row.key else None)
            names = (*row.models, *probed.models)
            found[row.provider.name] = tuple(dict.fromkeys(names))

        if ask:
            async with anyio.create_task_group() as group:
                for row in usable:
                    group.start_soon(whole, row)
    return [(row, found[row.provider.name]) for row in usable]


def line(bench: Workbench, row: Listed, model: str) -> str:
    facts = row.provider.facts(model)
    known = rates(
        row.provider,
        model,
        overrides=bench.prices(),
        multiplier=row.cost_multiplier,
    )
    parts = [
        f"{row.provider.name}/{model}".ljust(44),
        list_price(known),
        f"{facts.context:,} tokens" if facts.context else "",
        ", ".join(can for can in ("vision", "tools", "reasoning") if getattr(facts, can)),
        "embeddings" if row.embeds(model) else "",
    ]
    return "  ".join(filter(None, parts))
