"""`roundhouse models`: what can be named as provider/model here."""

import os

import anyio
import click

from ...providers.prices import Rates, Tier, rates
from ...providers.probe import probe
from .. import holdings
from ..desk import Desk
from ..listed import Listed
from ..money import list_price
from ..telling import plain
from .providers import network
from .workbench import Workbench, workbench

HEADING = f"{'USD per million tokens':<44}{'in':>10}{'out':>10}{'cached':>10}{'to cache':>10}  from"


@click.command()
@click.option("--provider", metavar="NAME", help="Only this provider's.")
@click.option("--all", "ask", is_flag=True, help="Ask each provider for its whole list; free.")
@click.option("--loaded", is_flag=True, help="Only those in memory: size, idle time, users.")
@click.option("--prices", "priced", is_flag=True, help="Show every rate, and where it is from.")
def command(provider: str | None, *, ask: bool, loaded: bool, priced: bool) -> None:
    """List the models you can use, with what is known of them. The first of a provider is the one
    that runs when only the provider is named."""
    bench = workbench()
    if provider is not None:
        bench.registry.named(provider)
    if loaded:
        for said in anyio.run(in_memory, bench, provider):
            click.echo(bench.redactor.text(said))
        return
    found = anyio.run(models, bench, provider, ask)
    written = price_line if priced else line
    if priced and found:
        click.echo(HEADING)
    for row, names in found:
        for name in names:
            click.echo(bench.redactor.text(written(bench, row, name)))
    if not found:
        click.echo(bench.registry.what_would_enable())


async def in_memory(bench: Workbench, only: str | None) -> list[str]:
    """A line for each loaded model of this machine."""
    desk = Desk(
        home=bench.home,
        settings=bench.loaded.settings,
        config_hash=bench.loaded.hash,
        registry=bench.registry,
        redactor=bench.redactor,
        user_agent="roundhouse",
        environ=os.environ,
    )
    try:
        found, now = await holdings.held(desk, only), desk.clock()
    finally:
        await desk.close()
    if not found:
        return ["No model is loaded."]
    return [f"{plain(f'{h.provider}/{h.model}'):<44}  {holdings.words(h, now)}" for h in found]


async def models(
    bench: Workbench, only: str | None, ask: bool
) -> list[tuple[Listed, tuple[str, ...]]]:
    async with network(bench) as http:
        await bench.registry.discover(http)
        bench.redactor.learn(bench.registry.secrets())
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


def price_of(bench: Workbench, row: Listed, model: str) -> Rates | None:
    overrides = bench.prices()
    return rates(row.provider, model, overrides=overrides, multiplier=row.cost_multiplier)


def price_line(bench: Workbench, row: Listed, model: str) -> str:
    """One model's rates, each tier on a line of its own."""
    known, name = price_of(bench, row, model), f"{row.provider.name}/{model}"
    if known is None:
        return f"{name:<44}{'unknown':>10}"
    lines = [f"{name:<44}{columns(known)}  {known.source}{extras(known)}"]
    lines += [f"{f'  above {t.above} tokens read':<44}{columns(t)}" for t in known.tiers]
    return "\n".join(lines)


def columns(known: Rates | Tier) -> str:
    four = (known.input, known.output, known.cached, known.cache_write)
    return "".join(f"{nano / 1e9:>10g}" for nano in four)


def extras(known: Rates) -> str:
    said = [
        (known.per_request, "a request"),
        (known.per_second, "a second"),
        (known.per_image, "an image"),
    ]
    return "".join(f", and ${nano / 1e9:g} {unit}" for nano, unit in said if nano)


def line(bench: Workbench, row: Listed, model: str) -> str:
    facts = row.provider.facts(model)
    known = price_of(bench, row, model)
    parts = [
        f"{row.provider.name}/{model}".ljust(44),
        list_price(known),
        f"{facts.context:,} tokens" if facts.context else "",
        ", ".join(can for can in ("vision", "tools", "reasoning") if getattr(facts, can)),
        "embeddings" if row.embeds(model) else "",
    ]
    return "  ".join(filter(None, parts))
