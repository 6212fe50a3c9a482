"""`roundhouse doctor`: what is configured, what answers, what is wrong and what fixes it."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

import anyio
import click

from ...providers import plugins
from ...providers.probe import Probe, probe
from ..errors import ConfigError
from ..home import Home
from ..ledger import alarm_rows
from ..ledger.care import check
from ..ledger.driver import connect_read_only
from ..ledger.failures import STORE_FAILURES
from ..ledger.places import network_kind
from ..ledger.writer import EXAMINED_BYTES
from ..listed import Listed
from .providers import network
from .workbench import Workbench, workbench

REPAIR = "run: roundhouse ledger repair"
SQLITE = b"SQLite format 3\0"


@click.command()
@click.option("--probe", "ask", is_flag=True, help="Ask the cloud providers too; free of charge.")
def command(*, ask: bool) -> None:
    """Say what is configured, which keys are there (by name), what answers, and what to fix.
    Status 1 when nothing works."""
    home = Home.find(os.environ)
    click.echo(f"Home        {home.path}{'' if home.path.exists() else ' (not made yet)'}")
    try:
        bench = workbench()
    except ConfigError as error:
        click.echo(f"Config      {bad('broken')}: {error}")
        sys.exit(1)
    there = home.config.exists()
    click.echo(f"Config      {home.config.name} {'is fine' if there else 'is not there; fine'}")
    click.echo(f"Ledger      {ledger(home)}")
    for alarm in alarms(home):
        click.echo(f"Ledger      {bad('alarm')}: {alarm}")
    for line in packages(bench):
        click.echo(line)
    for problem in bench.keys.problems.values():
        click.echo(f"Key         {bad('not used')}: {problem}")
    works = shown(bench, anyio.run(probed, bench, ask))
    for line in budgets(bench):
        click.echo(line)
    if not works:
        click.echo(
            "\nNothing works yet: set one of these variables, run `roundhouse keys set NAME`,"
        )
        click.echo("or start one of these programs.")
        sys.exit(1)


def shown(bench: Workbench, probes: Mapping[str, Probe]) -> bool:
    """Prints a line for every provider; whether any of them works."""
    verdicts = [
        (row.provider.name, *verdict(row, probes.get(row.provider.name)))
        for row in bench.registry.listed()
        if not row.provider.by_name_only
    ]
    for name, works, words in verdicts:
        mark = good("works") if works else bad("no   ")
        click.echo(bench.redactor.text(f"{mark}  {name:<14} {words}"))
    return any(works for _, works, _ in verdicts)


def packages(bench: Workbench) -> Iterator[str]:
    """What other packages bring, and whether it is in use. One that is broken says so in the line
    of its provider."""
    rows = bench.loaded.settings.providers
    for kind in plugins.GROUPS:
        for plugin in plugins.installed(kind).values():
            said = f"{plugin.kind} {plugin.name} of {plugin.package}"
            if plugin.unusable:
                yield f"Package     {bad('not used')}: {said}: {plugin.unusable}"
            elif kind == "provider" and plugin.name not in rows:
                yield f"Package     {said}; to use it: roundhouse providers add {plugin.name}"
            else:
                yield f"Package     {said}"


def good(word: str) -> str:
    return click.style(word, fg="green")


def bad(word: str) -> str:
    return click.style(word, fg="yellow")


def ledger(home: Home) -> str:
    """Is the file there, and whole, and on a disk of this machine?"""
    kind = network_kind(home.ledger)
    if kind is not None:
        return (
            f"{bad('refused')}: {home.path} is on a network file system ({kind}); set "
            "ROUNDHOUSE_HOME to a directory of this machine's own disk"
        )
    try:
        with home.ledger.open("rb") as file:
            start = file.read(len(SQLITE))
    except (FileNotFoundError, NotADirectoryError):
        return "ledger.db is made with the first call"
    except OSError as error:
        return f"{bad('unreadable')}: {home.ledger}: {error.strerror}"
    if start not in (SQLITE, b""):
        return f"{bad('broken')}: {home.ledger} is not a database; {REPAIR}"
    size = home.ledger.stat().st_size
    said = f"{home.ledger.name}, {size / 1024:,.0f} KiB"
    if size > EXAMINED_BYTES:
        return f"{said}; not examined (roundhouse ledger check does)"
    problems = check(home.ledger, home.gate) if size else []
    return f"{bad('broken')}: {problems[0]}; {REPAIR}" if problems else said


def alarms(home: Home) -> list[str]:
    """What happened to the file lately, as far as it can be read."""
    try:
        with closing(connect_read_only(home.ledger)) as db:
            found = alarm_rows.recent(db, time.time())
    except STORE_FAILURES:
        return []
    return [f"{datetime.fromtimestamp(a.at, UTC):%Y-%m-%d %H:%M} UTC: {a.text}" for a in found]


async def probed(bench: Workbench, ask: bool) -> Mapping[str, Probe]:
    """What the local programs answer, and with `ask` the cloud providers that have a key."""
    found: dict[str, Probe] = {}
    async with network(bench) as http:
        await bench.registry.discover(http)
        bench.redactor.learn(bench.registry.secrets())

        async def one(row: Listed) -> None:
            key = row.key.value if row.key else None
            found[row.provider.name] = await probe(http, row.provider, key)

        async with anyio.create_task_group() as group:
            for row in bench.registry.listed():
                usable = row.absent()[0] is None and row.found is None
                if usable and (ask or row.provider.local):
                    group.start_soon(one, row)
    return found


def verdict(row: Listed, probed: Probe | None) -> tuple[bool, str]:
    """Can it be used, and what is known of it or missing?"""
    name = row.provider.name
    reason, detail = row.absent()
    if reason is not None:
        return False, detail
    seen = probed or row.found
    key = row.admission
    if seen is None:
        return True, f"{key}; not asked (roundhouse doctor --probe asks, free of charge)"
    if not seen.reachable:
        return False, f"{key}; does not answer: {seen.detail}. {row.provider.start_hint}".strip()
    if seen.key_accepted is False:
        return False, (
            f"{key}; the provider refuses it: {seen.detail}; run: roundhouse keys set {name}"
        )
    if not seen.understood:
        return True, f"{key}; it answers, but not as expected: {seen.detail}"
    if row.has_default(seen) is False:
        model = row.default_model or row.embedding_model
        detail = f"{seen.detail}, none of them {model}; name another in providers.{name}.models"
        return True, f"{key}; {detail}"
    loaded = f", loaded: {', '.join(seen.loaded[:3])}" if seen.loaded else ""
    took = "" if seen.latency_ms is None else f" in {seen.latency_ms} ms"
    return True, f"{key}; {seen.detail}{took}{loaded}"


def budgets(bench: Workbench) -> Iterator[str]:
    for budget in bench.loaded.settings.budgets:
        yield f"Budget      {budget.scope}: ${budget.limit_usd} a {budget.period}"
    if not bench.loaded.settings.budgets:
        yield "Budget      none: nothing limits spending (see roundhouse config init)"
