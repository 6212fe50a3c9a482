"""Where the number of server processes, or the end of one, is the case: for bench/peers.py.

Each function gets a home of its own and says what a cell of the table says, then what is wrong.
"""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp import Client
from peer_cases import ASKED, CASES, ENVIRON, config
from seats import budget, launch, rows, served, text_of, write_config
from upstream import Upstream, silence, spoken, upstream

Found = tuple[str, list[str]]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
}
HELD = "SELECT * FROM reservations WHERE state = 'held'"
LIMIT_S = 20.0
CALL_USD = 0.021
CAP_USD = 0.05


def process(home: Path) -> "subprocess.Popen[bytes]":
    started = launch(home, **ENVIRON)
    return subprocess.Popen(
        [started.command, *started.args],
        env=started.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def send(server: "subprocess.Popen[bytes]", number: int, method: str, **params: Any) -> None:
    assert server.stdin
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}
    server.stdin.write(json.dumps(body).encode() + b"\n")
    server.stdin.flush()


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT_S):
        while True:
            if true():
                return
            await anyio.sleep(0.01)


async def closed_in_a_call(home: Path) -> Found:
    async with upstream(silence) as server:
        write_config(home, config(server.url), budget("10"))
        with process(home) as ours:
            try:
                send(ours, 1, "server/discover")
                assert ours.stdout
                await run_sync(ours.stdout.readline)
                send(ours, 2, "tools/call", name="complete", arguments=ASKED)
                await until(lambda: bool(server.posts))
                assert ours.stdin
                begun = time.perf_counter()
                ours.stdin.close()
                await run_sync(ours.wait, LIMIT_S)
                seconds = time.perf_counter() - begun
            finally:
                ours.kill()
        wrong = [f"exit code {ours.returncode}"] if ours.returncode else []
        wrong += ["money is held"] if rows(home, HELD) else []
    return f"exits in {seconds:.2f} s, code {ours.returncode}", wrong


async def counted(home: Path) -> Found:
    """Four servers, 25 calls at once each: how many does the report of a fifth have?"""
    async with upstream(spoken("Yes.")) as server:
        write_config(home, config(server.url))
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask_many, home, 25, list[bool]())
        async with Client(launch(home, **ENVIRON)) as fifth:
            report = await fifth.call_tool("cost_report", {})
    found: dict[str, Any] = report.structured_content or {}
    calls: int = found["totals"]["calls"]
    return f"{calls} of 100", [] if calls == 100 else ["calls are missing"]


async def ask_many(home: Path, calls: int, answered: list[bool]) -> None:
    arguments = {**ASKED, "max_tokens": 5}
    async with Client(launch(home, **ENVIRON)) as client, anyio.create_task_group() as group:

        async def ask() -> None:
            answered.append(not (await client.call_tool("complete", arguments)).is_error)

        for _ in range(calls):
            group.start_soon(ask)


async def told_of_an_outage(home: Path) -> Found:
    """One server sees the provider fail; what does another, already running, send it?"""
    script = CASES["500"].script
    assert script
    async with AsyncExitStack() as stack:
        server: Upstream = await stack.enter_async_context(upstream(script))
        write_config(home, config(server.url))
        one, two = [
            await stack.enter_async_context(Client(launch(home, **ENVIRON))) for _ in range(2)
        ]
        for _ in range(4):
            await one.call_tool("complete", ASKED)
        before = len(server.posts)
        result = await two.call_tool("complete", ASKED)
        sent = len(server.posts) - before
    told = text_of(result).splitlines()[0]
    return f"{sent} (the first sent {before} in 4 calls)", [f"it asked: {told}"] if sent else []


async def capped(home: Path) -> Found:
    """Each answer has five tokens at a price that makes them $0.021."""
    answered: list[bool] = []
    price = ("0", str(CALL_USD / 5 * 1_000_000))
    more = 'key_env = "PEER_KEY"\nlocal = false\n'
    async with upstream(spoken("Yes.")) as server:
        write_config(home, served("up", server.url, price=price, more=more), budget(str(CAP_USD)))
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask_many, home, 4, answered)
    spent = rows(home, "SELECT sum(spent_nano) AS nano FROM budget_windows")[0]["nano"] / 1e9
    wrong = [f"${spent:.3f} spent"] if spent > CAP_USD else []
    wrong += [] if sum(answered) == int(CAP_USD / CALL_USD) else [f"{sum(answered)} answered"]
    return f"${spent:.3f}, {sum(answered)} of {len(answered)} answered", wrong
