"""The failures the peers were measured with, and what must come of each: for tests/test_peers.py
in this process, and for bench/peers.py with real ones."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from seats import served, text_of
from upstream import Request, Script, Send, Upstream, answer, event, head, silence

KEY = "sk-peer-4f9d2c7b8a1e6350"
ENVIRON = {"PEER_KEY": KEY}
ASKED: dict[str, Any] = {"prompt": "Say hello.", "model": "up/m"}
LIMIT_S = 55.0
MOST_CHARACTERS = 2000
HTML = "<html><body>" + "<p>Something broke here.</p>" * 750 + "</body></html>"


def failed(message: str) -> str:
    return f'{{"error":{{"message":"{message}","type":"scripted"}}}}'


async def cut_off(request: Request, send: Send) -> None:
    """Begins to speak and closes the connection."""
    await send(head(200, {"content-type": "text/event-stream"}))
    await send(event({"content": "So far "}))


async def stalled(request: Request, send: Send) -> None:
    """Begins to speak, and goes on with nothing."""
    await cut_off(request, send)
    await silence(request, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`requests`: the most the upstream may see. `told` is a pattern for what the agent reads;
    `brief` arguments make the case quick where time is not what it is about."""

    script: Script | None
    requests: int
    told: str
    brief: Mapping[str, Any] = field(default_factory=dict[str, Any])
    quick: bool = True


CASES = {
    "429": Case(script=answer(failed("slow down"), status=429), requests=1, told="slow down"),
    "429 with Retry-After: 2": Case(
        script=answer(failed("slow down"), status=429, retry_after="2"),
        requests=2,
        told="slow down",
        quick=False,
    ),
    "500": Case(script=answer(failed("out of luck"), status=500), requests=2, told="out of luck"),
    "401, the key in its body": Case(
        script=answer(failed(f"Incorrect API key provided: {KEY}"), status=401),
        requests=1,
        told=r"Incorrect API key provided: \[redacted\]",
    ),
    "200, invalid JSON": Case(script=answer('{"choices": [{"mess'), requests=1, told="not valid"),
    "200, no choices": Case(
        script=answer('{"choices": []}'), requests=2, told="list in it is empty"
    ),
    "500 with 20 KB of HTML": Case(
        script=answer(HTML, status=500, kind="text/html"), requests=2, told="500"
    ),
    "connection refused": Case(script=None, requests=0, told="the connection was refused"),
    "cut off in the answer": Case(script=cut_off, requests=1, told="ended before it was complete"),
    "upstream hangs": Case(
        script=silence, requests=1, told="[Nn]o (answer|model had begun)", brief={"timeout_s": 0.5}
    ),
    "stalls in the answer": Case(
        script=stalled, requests=1, told="the answer stalled", quick=False
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One call as its agent and its upstream saw it."""

    seconds: float
    requests: int
    told: str
    error: bool


def config(url: str) -> str:
    return served("up", url, more='key_env = "PEER_KEY"\nlocal = false\n')


def dead_end() -> str:
    """An address where nobody listens: port 9 of this machine, which no system serves unasked."""
    return "http://127.0.0.1:9/v1"


async def called(client: Client, server: Upstream | None, arguments: Mapping[str, Any]) -> Seen:
    before = len(server.posts) if server else 0
    begun = time.perf_counter()
    with anyio.fail_after(LIMIT_S + 10):
        result = await client.call_tool("complete", dict(arguments))
    return Seen(
        seconds=time.perf_counter() - begun,
        requests=(len(server.posts) if server else 0) - before,
        told=text_of(result),
        error=result.is_error,
    )


def faults(case: Case, seen: Seen) -> Iterator[str]:
    """What is wrong with how the case came out."""
    if seen.seconds > LIMIT_S:
        yield f"answered after {seen.seconds:.0f} s"
    if seen.requests > case.requests:
        yield f"{seen.requests} requests"
    if not seen.error:
        yield "a failure told as success"
    if not re.search(case.told, seen.told):
        yield f"the cause is missing: {seen.told}"
    if KEY in seen.told:
        yield "the key is echoed"
    if len(seen.told) > MOST_CHARACTERS:
        yield f"{len(seen.told)} characters"


def leaks(home: Path) -> list[str]:
    """The files of a home that hold the key."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [path.name for path in files if KEY.encode() in path.read_bytes()]
