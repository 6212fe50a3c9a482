"""The providers a user has, as text: the matrix of all of them, the sheet of one.

Lines fit 100 columns and say everything without colour; `plain` lines are ASCII.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..providers import matrix
from ..providers.prices import Rates
from .listed import Listed
from .money import list_price
from .telling import plain as printable

WIDTH = 100
LONGEST_NAME = 20
LABEL = 22
SIGNS: Mapping[matrix.Can, str] = {"yes": "✓", "some": "some", "no": "·"}
PLAIN_SIGNS: Mapping[matrix.Can, str] = {"yes": "yes", "some": "some", "no": "-"}
# capability -> a heading short enough that the longest variable has room behind all of them
HEADINGS: Mapping[str, str] = {
    "streaming": "stream",
    "embeddings": "embed",
    "reasoning": "reason",
    "fine_tuning": "tune",
}
STAND_INS = str.maketrans({"…": "~", "✓": "+", "·": "-", "“": '"', "”": '"', "’": "'"})


def table(rows: Sequence[Listed], *, plain: bool) -> list[str]:
    """A line of headings and a line for every provider."""
    said = PLAIN_SIGNS if plain else SIGNS
    headings = [HEADINGS.get(name, name) for name in matrix.COLUMNS]
    names = [printable(row.provider.name) for row in rows]
    first = min(LONGEST_NAME, max(map(len, [*names, "provider"])))
    lines = [" ".join([f"{'provider':<{first}}", *headings, "can be used"])]
    for name, row in zip(names, rows, strict=True):
        can = matrix.cells(row.provider).values()
        signs = [f"{said[c]:^{len(heading)}}" for c, heading in zip(can, headings, strict=True)]
        lines.append(" ".join([f"{cut(name, first):<{first}}", *signs, usable(row)]))
    return [shown(cut(line, WIDTH), plain=plain) for line in lines]


def usable(row: Listed) -> str:
    """Whether it can be used now, and the next step if not, in a few words."""
    provider = row.provider
    match row.absent()[0]:
        case None:
            return f"yes, {printable(row.key.name) if row.key else 'no key needed'}"
        case "key_missing":
            return f"needs {printable(provider.key_env[0]) if provider.key_env else 'a key'}"
        case "not_running":
            return "no, it does not run"
        case _ if row.enabled and provider.url_env:
            return f"needs {provider.url_env[0]}"
        case _:
            return "no, it has no address" if row.enabled else "no, switched off"


def sheet(row: Listed, prices: Mapping[str, Rates | None], *, plain: bool) -> list[str]:
    """Everything the rows say of one provider. `prices` are by model."""
    name, title = row.provider.name, row.provider.title
    lines = [printable(f"{title} ({name})" if title else name)]
    for label, value in facts(row, prices):
        lines += paragraph(label, printable(value))
    return [shown(line, plain=plain) for line in lines]


def paragraph(label: str, value: str) -> list[str]:
    """A labelled value. One long word, an address, has a line of its own: it is to be copied."""
    if " " not in value and len(value) > WIDTH - LABEL - 2:
        return [f"  {label}", *textwrap.wrap(value, WIDTH, initial_indent="    ")]
    indent = " " * (LABEL + 2)
    first = f"  {label:<{LABEL}}"
    return textwrap.wrap(
        value, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def facts(row: Listed, prices: Mapping[str, Rates | None]) -> Iterator[tuple[str, str]]:
    """Labels with their values; what is not known or not particular is left out."""
    provider = row.provider
    can = matrix.cells(provider).items()
    said = {
        "can be used": usable(row),
        "why not": row.absent()[1],
        "can": ", ".join(matrix.COLUMNS[name] for name, has in can if has == "yes"),
        "some models": ", ".join(matrix.COLUMNS[name] for name, has in can if has == "some"),
        "address": provider.base_url or "none; it is your own",
        "address variables": ", ".join(provider.url_env),
        "region variables": ", ".join(provider.region_env),
        "wires": ", ".join(filter(None, (*matrix.wires(provider), provider.embed_wire))),
        "key variables": ", ".join(provider.key_env)
        + ("" if provider.key_required else " (not required)"),
        "default model": described(row, row.default_model, prices),
        "embedding model": described(row, row.embedding_model, prices),
        "other models here": ", ".join(others(row)),
        "embedding batch": batch(row),
        "at the same time": f"{provider.concurrency} calls",
        "first byte within": f"{provider.first_byte_timeout_s:g} s",
        "keeps no data": provider.retention or "",
        "never sent": ", ".join(sorted(provider.drop)),
        "documentation": provider.docs,
    }
    yield from ((label, value) for label, value in said.items() if value)
    yield from (("particular", words) for words in matrix.quirks(provider))


def others(row: Listed) -> tuple[str, ...]:
    """Models known to be there beside the two that run by default."""
    return tuple(m for m in row.models if m not in (row.default_model, row.embedding_model))


def batch(row: Listed) -> str:
    """How many texts a request carries, if it embeds at all."""
    if row.provider.embed_wire is None:
        return ""
    most = row.provider.batch(row.embedding_model or "")
    return "one text in a request" if most == 1 else f"{most:,} texts in a request"


def described(row: Listed, model: str | None, prices: Mapping[str, Rates | None]) -> str:
    """A model with its context, output limit and price."""
    if model is None:
        return ""
    known = row.provider.facts(model)
    price = list_price(prices.get(model))
    parts = [
        f"reads {known.context:,} tokens" if known.context else "",
        f"writes {known.max_output:,}" if known.max_output else "",
        f"{price} per million" if "$" in price else price,
    ]
    return f"{model}: {', '.join(filter(None, parts))}"


def data(row: Listed) -> dict[str, Any]:
    """The same for scripts. Of a key only its name."""
    provider = row.provider
    reason, detail = row.absent()
    return {
        "provider": provider.name,
        "title": provider.title or provider.name,
        "usable": reason is None,
        "reason": reason,
        "detail": detail,
        "key": row.key.name if row.key else None,
        "capabilities": dict(matrix.cells(provider)),
        "local": provider.local,
        "wires": list(matrix.wires(provider)),
        "embed_wire": provider.embed_wire,
        "base_url": provider.base_url,
        "key_env": list(provider.key_env),
        "url_env": list(provider.url_env),
        "default_model": row.default_model,
        "embedding_model": row.embedding_model,
        "models": list(row.models),
        "embed_batch": provider.batch(row.embedding_model or "") if provider.embed_wire else None,
        "retention": provider.retention,
        "quirks": sorted(provider.quirks),
        "docs": provider.docs,
    }


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def shown(line: str, *, plain: bool) -> str:
    """The line, in ASCII if it must be; other people's letters become question marks."""
    line = line.rstrip()
    return line.translate(STAND_INS).encode("ascii", "replace").decode() if plain else line
