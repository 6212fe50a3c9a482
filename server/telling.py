"""What a waiting caller hears: at most two lines a second, at least one every five."""

from collections.abc import Awaitable, Callable

import anyio

from .run import Run

EVERY_S = 0.5
HEARTBEAT_S = 4.5
TAIL = 100

Report = Callable[[float, float | None, str | None], Awaitable[None]]


async def tell(run: Run, report: Report) -> None:
    """Reports progress until the run is done. The number is seconds since the start: it always
    increases, as the protocol demands, and says nothing about how much is left."""
    said, said_at = "", 0.0
    while not run.done.is_set():
        with anyio.move_on_after(EVERY_S):
            await run.done.wait()
        if run.done.is_set():
            return
        words, elapsed = line(run), run.elapsed_s()
        if words != said or elapsed - said_at >= HEARTBEAT_S:
            said, said_at = words, elapsed
            await report(round(elapsed, 3), None, words)


def line(run: Run) -> str:
    trying = run.trying
    if run.awaits is not None:
        return f"waiting for approval: roundhouse approve {run.awaits}"
    if trying is None:
        if run.phase == "queue" and run.plan is not None:
            return "waiting for a place at the provider"
        return "waiting to try again" if run.phase == "retry" else "choosing a model"
    offer = trying.candidate.offer
    name = f"{offer.provider.name}/{offer.model}"
    if trying.loading:
        return plain(trying.loading)
    if not run.text:
        thinking = run.assembler is not None and bool(run.assembler.reasoning)
        return f"{name}: {'thinking' if thinking else 'waiting for the first word'}"
    text = run.text
    return f"{name}: {len(text)} characters … {plain(text[-TAIL:])}"


def plain(text: str) -> str:
    """One line without control characters: clients print it in terminals."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
