"""Writes the tables of README.md and docs/choosing.md, from the catalogue and the price table.

    uv run python docs/generate.py           # write them
    uv run python docs/generate.py --check   # say which are out of date, and exit with 1

A table stands between `<!-- name -->` and `<!-- /name -->`. Prices are those of noon UTC on the day
the page names; they are not checked where another version of the price table is installed.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from pathlib import Path

import click

from roundhouse_mcp.providers import matrix
from roundhouse_mcp.providers.catalog import Model, Provider, shipped
from roundhouse_mcp.providers.prices import Rates, cost, rates
from roundhouse_mcp.providers.types import Usage

ROOT = Path(__file__).parents[1]
PAGES = {
    ROOT / "README.md": {"providers"},
    ROOT / "docs" / "choosing.md": {
        "prices",
        "contexts",
        "embeddings",
        "privacy",
        "local",
        "keys",
        "quality",
    },
}
PRICED = {"prices", "embeddings"}
TABLE = "genai-prices"
DATED = re.compile(rf"{TABLE} (\S+), on (\d{{4}}-\d\d-\d\d)")
SIGNS: Mapping[matrix.Can, str] = {"yes": "✓", "some": "some", "no": ""}
CALLS = 1000
SAMPLE = Usage(input=1000, output=300)
RANKED = 5

Table = Callable[[Sequence[Provider], float], Iterator[str]]


def providers(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """What each can do."""
    yield from head("provider", "key variable", *matrix.COLUMNS.values())
    for row in rows:
        name = f"[`{row.name}`]({row.docs}) {row.title}"
        can = [SIGNS[each] for each in matrix.cells(row).values()]
        yield line(name, "" if row.local else code(row.key_env[:1]), *can)


def prices(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """The default models, the cheapest first; those without a known price last."""
    yield from head(
        "provider", "default model", "in", "in, cached", "out", f"{CALLS:,} calls of the size above"
    )
    hosted = [(row, row.default) for row in rows if row.default and not row.local]
    known = {row.name: rates(row, model, now=now) for row, model in hosted}
    for row, model in sorted(hosted, key=lambda each: sample(known[each[0].name])):
        price = known[row.name]
        if price is None:
            yield line(f"`{row.name}`", code([model]), "not known", "", "", "")
        else:
            figures = [usd(each) for each in (price.input, price.cached, price.output)]
            yield line(f"`{row.name}`", code([model]), *figures, f"${sample(price):,.2f}")


def sample(price: Rates | None) -> float:
    """USD for the calls of the example; endless where nobody knows."""
    return float("inf") if price is None else CALLS * cost(price, SAMPLE) / 1e9


def contexts(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """How much the default models read and write, and the most any known model reads."""
    yield from head(
        "provider", "default model", "reads", "writes", "the most any of its models reads"
    )
    hosted = [(row, row.default, row.facts(row.default)) for row in rows if row.default]
    for row, model, facts in sorted(hosted, key=lambda each: -(each[2].context or 0)):
        widest = max(row.models, key=lambda each: each.context or 0)
        most = f"{number(widest.context)} ({code([widest.pattern])})"
        yield line(
            f"`{row.name}`", code([model]), number(facts.context), number(facts.max_output), most
        )


def embeddings(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """The default embedding models."""
    yield from head("provider", "model", "reads", "dimensions", "texts in a request", "price")
    for row in rows:
        model = row.embedding_model
        if model is None:
            continue
        facts, price = row.facts(model), rates(row, model, now=now)
        sizes = ", ".join(map(str, facts.dimensions))
        paid = "local" if row.local else usd(price.input) if price else "not known"
        batch = number(row.batch(model))
        yield line(f"`{row.name}`", code([model]), number(facts.context), sizes, batch, paid)


def privacy(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """Where each runs, and what its row says of keeping data."""
    yield from head("provider", "runs", "keeps nothing: the source")
    for row in rows:
        yield line(f"`{row.name}`", "here" if row.local else "elsewhere", row.retention or "")


def local(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """The programs that run on the user's own machine."""
    yield from head("provider", "start it", "looked for at", "its variable", "calls at a time")
    for row in rows:
        if row.local:
            yield line(
                f"[`{row.name}`]({row.docs}) {row.title}",
                row.start_hint.removeprefix("start it with "),
                f"`{row.base_url}`",
                code(row.url_env[:1]),
                str(row.concurrency),
            )


def keys(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """Which variable switches on which provider."""
    yield from head("provider", "key variables", "address variables")
    for row in rows:
        yield line(f"`{row.name}` {row.title}", code(row.key_env), code(row.url_env))


def quality(rows: Sequence[Provider], now: float) -> Iterator[str]:
    """The models our ranking puts first at each provider."""
    yield from head("provider", "models, the first ranked first")
    for row in rows:
        ranked = sorted(filter(rank, row.models), key=lambda each: -rank(each))
        if ranked and not row.local:
            named = [f"`{each.pattern}` {each.quality}" for each in ranked[:RANKED]]
            yield line(f"`{row.name}`", ", ".join(named))


def rank(model: Model) -> int:
    return model.quality or 0


def head(*names: str) -> Iterator[str]:
    yield line(*names)
    yield "|" + "---|" * len(names)


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def number(count: int | None) -> str:
    return f"{count:,}" if count else "not known"


def usd(nano: int) -> str:
    return f"${nano / 1e9:g}"


TABLES: Mapping[str, Table] = {
    each.__name__: each
    for each in (providers, prices, contexts, embeddings, privacy, local, keys, quality)
}


def filled(text: str, names: Iterable[str], day: date) -> str:
    """The page with its tables as they are on that day. Raises LookupError for a table without a
    place."""
    rows = [row for row in shipped().values() if not row.by_name_only]
    noon = datetime.combine(day, time(12), UTC).timestamp()
    for name in names:
        place = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
        if not place.search(text):
            raise LookupError(f"there is no place for the table {name}")
        lines = "\n".join(TABLES[name](rows, noon))
        text = place.sub(lambda _, s=f"<!-- {name} -->\n{lines}\n<!-- /{name} -->": s, text)
    return DATED.sub(f"{TABLE} {version(TABLE)}, on {day}", text)


def stated(text: str) -> tuple[str, date] | None:
    """The price table and the day the page names."""
    found = DATED.search(text)
    return (found[1], date.fromisoformat(found[2])) if found else None


def stale(text: str, names: set[str]) -> list[str]:
    """The tables that are out of date."""
    installed = version(TABLE)
    table, day = stated(text) or (installed, datetime.now(UTC).date())
    checked = names if table == installed else names - PRICED
    return [name for name in sorted(checked) if filled(text, [name], day) != redated(text, day)]


def redated(text: str, day: date) -> str:
    return DATED.sub(f"{TABLE} {version(TABLE)}, on {day}", text)


def main() -> None:
    wrong = False
    for path, names in PAGES.items():
        text = path.read_text(encoding="utf-8")
        told = stated(text)
        old = stale(text, names)
        if "--check" in sys.argv:
            for name in old:
                click.echo(f"{path.relative_to(ROOT)}: the table {name} is out of date")
            wrong = wrong or bool(old)
        elif old or (told and told[0] != version(TABLE)):
            path.write_text(filled(text, names, datetime.now(UTC).date()), encoding="utf-8")
            click.echo(f"{path.relative_to(ROOT)} is written")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
