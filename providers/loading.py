"""Having a local program ready for a call: the model is there, and loaded where that is asked for.

Ollama loads by itself, and can download what it lacks. LM Studio and a llama.cpp router load on
request: that way progress can be told, a failure has words, and what would not fit is refused.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio

from . import errors
from .body import Limits, Reader
from .classify import cleaned
from .errors import Misdirected, NotReady, Refused
from .framing import NewlineJson, Unframed
from .gguf import shape
from .listings import count, inner, rows
from .memory import Need, gb
from .probe import Line, lmstudio_list
from .request import request
from .residents import failed, file_of, of_lmstudio, sizes, state

LOOK_EVERY_S = 0.2
PULL_STALL_S = 120.0
LATEST = ":latest"
CLOUD = ("-cloud", ":cloud")  # how the names of Ollama's models end that run elsewhere
CONTEXT_FLAGS = ("--ctx-size", "-c")

Tell = Callable[[str], None]
Fits = Callable[[str, Need], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Order:
    """A model that is wanted in the program at the end of `line`. `tell` hears how far it is;
    `fits` says in a sentence why it would not fit in memory, if so."""

    line: Line
    model: str
    tell: Tell
    fits: Fits

    @property
    def name(self) -> str:
        return self.line.provider.name

    def not_ready(self, detail: str) -> NotReady:
        return NotReady(self.name, detail)


async def made_ready(order: Order) -> None:
    """Returns once a call can be sent. Raises NotReady with what to do, and other UpstreamErrors
    where the program does not answer."""
    ready = READIERS.get(order.line.provider.engine or "")
    if ready is not None:
        await ready(order)


def missing(order: Order, there: Mapping[str, int]) -> NotReady:
    """The sentence for a model the program does not have, with those that it has, smallest
    first."""
    hint = order.line.provider.get_hint.replace("{model}", order.model)
    small = sorted(there.items(), key=lambda pair: pair[1])[:3]
    has = ", ".join(f"{name} ({gb(size)})" for name, size in small)
    instead = f", or name one it has: {has}" if has else "; it has none yet"
    get = f"run `{hint}`" if hint else "add it there"
    return order.not_ready(f"{order.name} does not have the model {order.model}; {get}{instead}")


async def ollama_ready(order: Order) -> None:
    if order.model.endswith(CLOUD):
        return
    listed = await order.line.get("/api/tags")
    names = {str(row.get("name")) for row in rows(listed, "models")}
    if {order.model, order.model + LATEST} & names:
        return
    if not order.line.provider.allow_pull:
        allow = f"; or set providers.{order.name}.allow_pull = true"
        found = missing(order, sizes(listed, "name", "size"))
        raise order.not_ready(found.detail + allow)
    await ollama_pull(order)


async def ollama_pull(order: Order) -> None:
    """Downloads the model, a line of progress at a time. What was cut off goes on where it was."""
    done = False
    async with lines(order.line, "/api/pull", {"model": order.model, "stream": True}) as reader:
        framing = NewlineJson()
        while data := await reader.read():
            for event in framing.feed(data):
                done = pulled(order, event.data)
        for event in framing.close():
            done = pulled(order, event.data)
    if not done:
        raise errors.Interrupted(order.name, f"the download of {order.model} broke off")


def pulled(order: Order, text: str) -> bool:
    """Tells what a line says; whether it is the last one. Raises NotReady for an error."""
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.Garbled(order.name, "its download says what is not JSON") from None
    row = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    if row.get("error"):
        why = cleaned(str(row["error"]))
        raise order.not_ready(f"{order.name} could not download {order.model}: {why}")
    order.tell(progress(order.model, row))
    return row.get("status") == "success"


def progress(model: str, row: Mapping[str, Any]) -> str:
    total, there = count(row, "total"), count(row, "completed") or 0
    if total is None:
        return f"{model}: {cleaned(str(row.get('status', 'downloading')))}"
    return f"downloading {model}: {gb(there)} of {gb(total)} ({there / total:.0%})"


@asynccontextmanager
async def lines(line: Line, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Reader]:
    """An answer as it comes, for as long as it goes on coming."""
    limits = Limits(
        first_byte_s=PULL_STALL_S, idle_s=PULL_STALL_S, max_response_bytes=64 * 1024 * 1024
    )
    question = request(line.provider, path, body)
    sent = line.http.sent(line.provider, line.key, question, limits, local_only=line.local_only)
    try:
        async with sent as reader:
            yield reader
            reader.progress.complete = True
    except Unframed as error:
        raise errors.Garbled(line.provider.name, str(error)) from error


async def lmstudio_ready(order: Order) -> None:
    """Before 0.4.0 it has no such interface, and loads what it is asked for."""
    listed = await lmstudio_list(order.line)
    if listed is None:
        return
    resident = of_lmstudio(listed)
    if any(order.model == each.model or order.model in each.instances for each in resident):
        return
    there = sizes(listed, "key", "size_bytes")
    if order.model not in {str(row.get("key")) for row in rows(listed, "models")}:
        raise missing(order, there)
    await check(order, Need(weights=there.get(order.model, 0)), there)
    if (order.line.provider.keeps_s(order.model) or 0) > 0:
        return  # only what it loads with the first call does it drop by itself
    context = order.line.provider.facts(order.model).context
    wanted = {"model": order.model, **({"context_length": context} if context else {})}
    await telling(order, lambda: load(order, "/api/v1/models/load", wanted))


async def load(order: Order, path: str, body: Mapping[str, Any]) -> None:
    """Raises NotReady with the program's words."""
    try:
        await order.line.post(path, body, timeout_s=order.line.provider.load_timeout_s)
    except (Refused, Misdirected, errors.Faulted, errors.Conflicted) as error:
        raise order.not_ready(
            f"{order.name} could not load {order.model}: {error.detail}"
        ) from error


async def telling(order: Order, work: Callable[[], Awaitable[None]]) -> None:
    """Says for how long it has been loading while the work goes on."""
    began = anyio.current_time()
    failure: errors.UpstreamError | None = None

    async def watched(over: anyio.Event) -> None:
        nonlocal failure
        try:
            await work()
        except errors.UpstreamError as error:
            failure = error
        over.set()

    async with anyio.create_task_group() as group:
        over = anyio.Event()
        group.start_soon(watched, over)
        while not over.is_set():
            waited = anyio.current_time() - began
            order.tell(f"{order.name} loads {order.model} ({waited:.0f} s)")
            with anyio.move_on_after(LOOK_EVERY_S):
                await over.wait()
    if failure is not None:
        raise failure


async def llamacpp_ready(order: Order) -> None:
    """A server of one model has it loaded; a router is asked to, and watched."""
    found = await router_row(order)
    if found is None or state(found) in ("", "loaded"):
        return
    if state(found) == "unloaded":
        await check(order, router_need(order, found), {})
        await load(order, "/models/load", {"model": order.model})
    await telling(order, lambda: loaded(order))


async def loaded(order: Order) -> None:
    """Looks until the router has loaded the model. Raises NotReady where it could not, or took
    too long."""
    limit = order.line.provider.load_timeout_s
    with anyio.move_on_after(limit):
        while (row := await router_row(order)) is not None:
            why = failed(row)
            if why:
                raise order.not_ready(f"{order.name} could not load {order.model}: {why}")
            if state(row) != "loading" and state(row) != "unloaded":
                return
            await anyio.sleep(LOOK_EVERY_S)
        raise order.not_ready(f"{order.name} has no model {order.model} any more")
    raise order.not_ready(f"{order.name} has not loaded {order.model} within {limit:g} s")


async def router_row(order: Order) -> Mapping[str, Any] | None:
    """What the program says of the model; None of one that it does not list: it answers for
    itself then."""
    listed = await order.line.get("/v1/models")
    return next((r for r in rows(listed, "data") if r.get("id") == order.model), None)


def router_need(order: Order, row: Mapping[str, Any]) -> Need:
    """By the file it would load, where that is on this machine."""
    file = Path(file_of(row) or "")
    try:
        weights = file.stat().st_size if file.is_file() else 0
    except OSError:
        weights = 0
    known = shape(file) if weights else None
    words = inner(row, "status").get("args")
    tokens = context_in(cast("list[Any]", words)) if isinstance(words, list) else 0
    cache = known.cache(tokens) if known and tokens else 0
    return Need(weights=weights, cache=cache, tokens=tokens if cache else 0)


def context_in(words: list[Any]) -> int:
    said = [words[n + 1] for n, word in enumerate(words[:-1]) if word in CONTEXT_FLAGS]
    return int(said[-1]) if said and str(said[-1]).isdecimal() else 0


async def check(order: Order, need: Need, there: Mapping[str, int]) -> None:
    """Raises NotReady where the model would not fit, with smaller ones that would."""
    if not need.bytes or not order.line.provider.check_memory:
        return
    why = await order.fits(order.model, need)
    if why is None:
        return
    small = [
        name for name, size in sorted(there.items(), key=lambda p: p[1]) if size < need.weights
    ]
    smaller = f" (it has {', '.join(small[:3])})" if small else ""
    raise order.not_ready(why + smaller)


READIERS: Mapping[str, Callable[[Order], Awaitable[None]]] = {
    "ollama": ollama_ready,
    "lmstudio": lmstudio_ready,
    "llamacpp": llamacpp_ready,
}
