"""The failures other MCP servers for models were measured with, replayed against ours.

    uv run python bench/peers.py [--only hangs] [--told]

A real `roundhouse serve` in a home of its own for every case, a scripted upstream on loopback, a
client on the SDK. Prints a markdown table beside the figures of bench/peers.toml; --told adds what
the agent was told. Exit code 1 where a call took longer than 55 s, sent more requests than it
should, hid the cause, echoed a key or left a connection open after a cancel. A hung upstream is
given its time: the whole takes some minutes.
"""

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp import Client

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the cases are tests, too

import peer_processes as processes
from peer_cases import ASKED, CASES, ENVIRON, Case, Seen, called, config, dead_end, faults, leaks
from seats import launch, text_of, write_config
from upstream import Request, Send, event, head, silence, spoken, upstream

MEASURED = Path(__file__).with_suffix(".toml")
CLOSES_S = 5.0
PIECES = 4
SLOW = "upstream hangs", "stalls in the answer"


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `again`, the next call, are cells; `told` is what the agent read."""

    ours: str
    wrong: list[str]
    again: str = ""
    told: str = ""


async def failing(title: str, case: Case, home: Path) -> Row:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(upstream(case.script)) if case.script else None
        write_config(home, config(server.url if server else dead_end()))
        client = await stack.enter_async_context(Client(launch(home, **ENVIRON)))
        seen = await called(client, server, ASKED)
        again = None if title in SLOW else await called(client, server, ASKED)
    wrong = list(faults(case, seen))
    return Row(
        f"{short(seen)}, {'?' if wrong else 'cause'}",
        wrong,
        short(again) if again else "",
        seen.told,
    )


def short(seen: Seen) -> str:
    return f"{seen.seconds:.2f} s, {seen.requests}"


async def cancelled(home: Path) -> Row:
    async with upstream(silence) as server:
        write_config(home, config(server.url))
        async with Client(launch(home, **ENVIRON)) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "complete", ASKED)
                await processes.until(lambda: bool(server.posts))
                group.cancel_scope.cancel()
            with anyio.move_on_after(CLOSES_S):
                await server.gone.wait()
            closed = server.gone.is_set()
            await client.call_tool("cost_report", {})  # it still listens
    return Row("yes" if closed else "no", [] if closed else ["the upstream was left open"])


async def slowly(request: Request, send: Send) -> None:
    """An answer in four pieces, a second apart."""
    await send(head(200, {"content-type": "text/event-stream"}))
    for number in range(PIECES):
        await send(event({"content": f"piece {number} "}))
        await anyio.sleep(1)
    await spoken("end")(request, send)


async def progressing(home: Path) -> Row:
    notes: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        notes.append(message or "")

    async with upstream(slowly) as server:
        write_config(home, config(server.url))
        async with Client(launch(home, **ENVIRON)) as client:
            await client.call_tool("complete", ASKED, progress_callback=note)
    wrong = [] if len(notes) >= PIECES - 1 else ["too few notes"]
    return Row(f"{len(notes)} notes", wrong, told="\n".join(notes))


async def keyless(home: Path) -> Row:
    write_config(home, config(dead_end()))
    async with Client(launch(home)) as client:
        result = await client.call_tool("complete", {"prompt": "Say hello."})
    told = text_of(result)
    wrong = [] if result.is_error and "PEER_KEY" in told else ["the variable is not named"]
    return Row("names the variable to set", wrong, told=told)


async def misspelled(home: Path) -> Row:
    write_config(home, config(dead_end()))
    async with Client(launch(home, **ENVIRON)) as client:
        result = await client.call_tool("complete", {**ASKED, "max_cots": 1})
    told = text_of(result)
    wrong = [] if result.is_error and "max_cots" in told else ["accepted"]
    return Row("refused, and named", wrong, told=told)


def of(case: Callable[[Path], Awaitable[processes.Found]]) -> Callable[[Path], Awaitable[Row]]:
    async def row(home: Path) -> Row:
        return Row(*await case(home))

    return row


OTHERS: Mapping[str, Callable[[Path], Awaitable[Row]]] = {
    "cancelled: upstream closed": cancelled,
    "stdin closed in a call": of(processes.closed_in_a_call),
    "progress in a call of 4 s": progressing,
    "no keys at all": keyless,
    "an argument that is not there": misspelled,
    "4 processes, 25 calls each: in the report": of(processes.counted),
    "another process saw it down: requests": of(processes.told_of_an_outage),
    "4 processes, 4 calls each of $0.021, cap $0.05": of(processes.capped),
}


async def played(title: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        home = Path(folder) / "home"
        case = CASES.get(title)
        row = await failing(title, case, home) if case else await OTHERS[title](home)
        row.wrong.extend(f"the key is in {name}" for name in leaks(home))
    return row


def line(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


async def main(only: str, *, told: bool) -> int:
    measured = tomllib.loads(MEASURED.read_text(encoding="utf-8"))
    names: list[str] = measured["peers"]
    line("case", "Roundhouse", "its next call", *names)
    line(*["---"] * (len(names) + 3))
    rows: dict[str, Row] = {}
    for title in (title for title in (*CASES, *OTHERS) if only in title):
        row = rows[title] = await played(title)
        theirs = measured["cases"].get(title, ["not measured"] * len(names))
        line(title, row.ours, row.again, *theirs)
    for title, row in rows.items():
        if told and row.told:
            sys.stdout.write(f"\n== {title}\n{row.told}\n")
        for fault in row.wrong:
            sys.stdout.write(f"\nWRONG in {title!r}: {fault}\n")
    return 1 if any(row.wrong for row in rows.values()) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="cases whose title has this text")
    parser.add_argument("--told", action="store_true", help="add what the agent was told")
    given = parser.parse_args()
    sys.exit(anyio.run(lambda: main(given.only, told=given.told)))
