"""What clients can read beside the tools: MCP resources, as JSON, cleaned and without keys.

roundhouse://ledger/recent     the calls that run, and the newest that ended
roundhouse://calls/{id}        one call: decision, attempts, cost, and its text while it is kept
roundhouse://providers         every provider: key, circuit, error rate, latency, models
roundhouse://providers/{name}  one of them
roundhouse://budgets           what each budget has spent, reserved and left
roundhouse://embeddings/{id}   the vectors of embed(vectors="resource"), while they are kept
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from mcp.types import CallToolResult, Resource, ResourceLink, ResourceTemplate

from . import explain, reports, results, spending
from .desk import Desk
from .errors import NotFound
from .ledger import stories, totals, watch
from .ledger.driver import Connection
from .ledger.watch import Finished
from .outcomes import Embedded

SCHEME = "roundhouse://"
MIME = "application/json"
RECENT = 50
LONGEST = 200
GONE = "Vectors are kept in memory by the server that made them, a while only."

RESOURCES = [
    Resource(uri=f"{SCHEME}{path}", name=name, title=title, description=said, mime_type=MIME)
    for path, name, title, said in (
        ("ledger/recent", "recent", "Recent calls", "Calls that run, and the newest that ended"),
        ("providers", "providers", "Providers", "Keys, circuits, error rates, latency, models"),
        ("budgets", "budgets", "Budgets", "Spent, reserved and free, and when it resets"),
    )
]
TEMPLATES = [
    ResourceTemplate(
        uri_template=f"{SCHEME}{path}", name=name, title=title, description=said, mime_type=MIME
    )
    for path, name, title, said in (
        ("calls/{id}", "call", "One call", "Why it went where it went, attempts, cost, text"),
        ("providers/{name}", "provider", "One provider", "Key, circuit, error rate, models"),
        ("embeddings/{id}", "embedding", "Vectors", "Of embed with vectors=resource"),
    )
]


async def read(desk: Desk, uri: str) -> str:
    """The resource as JSON text. Raises NotFound, and LedgerUnavailable."""
    kind, _, name = uri.removeprefix(SCHEME).partition("/")
    found = READERS.get(kind)
    if found is None or not uri.startswith(SCHEME) or len(uri) > LONGEST:
        raise missing(uri)
    said = await found(desk, unquote(name))
    return cleaned(desk.redactor.text(results.compact(said)))


def cleaned(text: str) -> str:
    """JSON with nothing in it that a terminal would obey; it means the same."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def missing(uri: str) -> NotFound:
    known = ", ".join((*(r.uri for r in RESOURCES), *(t.uri_template for t in TEMPLATES)))
    return NotFound(f"there is no resource {uri[:80]!r}", next_step=f"There are {known}.")


async def ledger(desk: Desk, name: str) -> Mapping[str, Any]:
    if name != "recent":
        raise missing(f"{SCHEME}ledger/{name}")

    def found(db: Connection) -> dict[str, Any]:
        return {
            "running": [running_of(each) for each in watch.running(db, RECENT)],
            "calls": [finished_of(each) for each in reversed(watch.newest(db, RECENT))],
        }

    return explain.cleaned(await desk.ledger.read(found))


def running_of(call: watch.Running) -> dict[str, Any]:
    names = ("call_id", "tool", "client", "project", "task", "provider", "model", "phase")
    said = {name: getattr(call, name) for name in names}
    return said | {"attempt": call.attempt, "started": results.iso(call.started)}


def finished_of(call: Finished) -> dict[str, Any]:
    names = ("call_id", "tool", "client", "project", "task", "provider", "model", "status")
    more = ("error_kind", "error", "attempts", "input_tokens", "output_tokens", "cost_kind")
    said = {name: getattr(call, name) for name in (*names, *more)}
    return said | {
        "started": results.iso(call.started),
        "ms": explain.milliseconds(call.started, call.ended),
        "cost_usd": results.usd(call.cost_nano),
    }


async def calls(desk: Desk, name: str) -> Mapping[str, Any]:
    def found(db: Connection) -> dict[str, Any]:
        return explain.data_of(stories.story(db, name))

    try:
        told = await desk.ledger.read(found)
    except LookupError:
        raise NotFound(f"there is no call {name[:40]!r}") from None
    run = desk.calls.shelf.find(name)
    return told if run is None or not run.text else {**told, "text": run.text}


async def providers(desk: Desk, name: str) -> Mapping[str, Any]:
    said = structured(await reports.health(desk, name or None, probe=False))
    return explain.cleaned(said["providers"][0] if name else said)


def structured(made: CallToolResult) -> dict[str, Any]:
    said: dict[str, Any] = made.structured_content or {}
    return said


async def budgets(desk: Desk, name: str) -> Mapping[str, Any]:
    if name:
        raise missing(f"{SCHEME}budgets/{name}")
    now = desk.clock()
    rows = await desk.ledger.read(totals.open_windows, now)
    return explain.cleaned({"budgets": [spending.budget_of(row, now) for row in rows]})


async def embeddings(desk: Desk, name: str) -> Mapping[str, Any]:
    kept = desk.vectors.find(name)
    if kept is None:
        raise NotFound(f"there are no vectors of call {name[:40]!r}", next_step=GONE)
    return {
        "model": kept.model,
        "provider": kept.provider,
        "dimensions": len(kept.vectors[0]) if kept.vectors else 0,
        "vectors": [list(vector) for vector in kept.vectors],
    }


def kept(desk: Desk, outcome: Embedded, made: CallToolResult) -> CallToolResult:
    """The result of an embedding, with where its vectors can be fetched."""
    vectors = outcome.embedding.vectors
    said = structured(made)
    if not desk.vectors.keep(outcome.call_id, outcome.provider, outcome.model, vectors):
        warning = "the vectors are too many to be kept; ask for fewer, or with vectors=inline"
        said = said | {"warnings": [*said.get("warnings", ()), warning]}
        return results.result(said, results.compact(said))
    uri = f"{SCHEME}embeddings/{outcome.call_id}"
    said = said | {"resource": uri}
    linked = results.result(said, results.compact(said))
    link = ResourceLink(type="resource_link", uri=uri, name="vectors", mime_type=MIME)
    linked.content.append(link)
    return linked


Reader = Callable[[Desk, str], Awaitable[Mapping[str, Any]]]
READERS: Mapping[str, Reader] = {
    "ledger": ledger,
    "calls": calls,
    "providers": providers,
    "budgets": budgets,
    "embeddings": embeddings,
}
