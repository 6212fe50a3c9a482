"""Cancelling a call from the Live view, wherever it runs and whatever becomes of its server."""

import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from screens import HOME, screen_text, until
from seats import launch, rows, served, settled, started, write_config
from textual.pilot import Pilot
from upstream import silence, upstream

from roundhouse_mcp.tui.app import WatchApp

RUNNING = "SELECT call_id, server, pid FROM inflight JOIN servers ON servers.id = server"


@asynccontextmanager
async def watching(
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[tuple[WatchApp, Pilot[None]]]:
    app = WatchApp(HOME, clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: bool(app.store.snapshot.running))
        yield app, pilot


async def ask_to_cancel(app: WatchApp, pilot: Pilot[None]) -> None:
    await pilot.press("x")
    await until(pilot, lambda: "Cancel call" in screen_text(app))
    await pilot.press("y")


@pytest.mark.slow
async def test_x_cancels_a_call_in_another_process_once_two_watchers_ask_for_it() -> None:
    refused: list[str] = []
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(upstream(silence))
        write_config(HOME, served("mute", mute.url))
        seat = await stack.enter_async_context(started(HOME))
        group = await stack.enter_async_context(anyio.create_task_group())

        async def call() -> None:
            refused.append(await seat.refused("complete", prompt="Hi"))

        group.start_soon(call)
        one, one_pilot = await stack.enter_async_context(watching())
        two, two_pilot = await stack.enter_async_context(watching())
        await one_pilot.press("x", "n")
        assert rows(HOME, "SELECT * FROM control") == []
        for app, pilot in ((one, one_pilot), (two, two_pilot)):
            await ask_to_cancel(app, pilot)
        await until(one_pilot, lambda: ended(one) and ended(two))
        await until(one_pilot, lambda: "– cancel" in screen_text(one))
        said = sorted((one.doing(), two.doing()))

    (call_row,) = rows(HOME, "SELECT call_id, status FROM calls")
    name = call_row["call_id"]
    assert call_row["status"] == "cancelled"
    done = f"done: Call {name} is cancelled."
    assert said[1] == done
    assert said[0] in (done, f"cancel call {name}: failed: Call {name} has ended already.")
    assert refused[0].startswith("The call was cancelled.")


def ended(app: WatchApp) -> bool:
    return any(f"{state}: " in app.doing() for state in ("done", "failed", "no answer"))


@pytest.mark.slow
async def test_a_server_that_dies_meanwhile_ends_the_request_and_the_call_is_lost() -> None:
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(upstream(silence))
        write_config(HOME, served("mute", mute.url))
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(doomed)
        app, pilot = await stack.enter_async_context(watching())
        (call,) = await settled(HOME, RUNNING)
        other = await stack.enter_async_context(started(HOME))
        await other.call("list_providers")
        os.kill(call["pid"], signal.SIGSTOP)
        await ask_to_cancel(app, pilot)
        await until(pilot, lambda: bool(rows(HOME, "SELECT * FROM control")))
        os.kill(call["pid"], signal.SIGKILL)
        await until(pilot, lambda: ended(app))
        said = app.doing()

    assert "failed: The server that made call" in said
    assert "has ended, and the call with it." in said


async def doomed() -> None:
    """A call in a server that is killed; its client hears of that in its own way."""
    how = launch(HOME)
    line = [how.command, *how.args]
    async with await anyio.open_process(line, env=how.env, stderr=None) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for message in HELLO:
            await server.stdin.send(message)
        await server.wait()


HELLO = [
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
    b'"capabilities":{},"clientInfo":{"name":"zed","version":"1"}}}\n',
    b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n',
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"complete",'
    b'"arguments":{"prompt":"Hi"}}}\n',
]


@pytest.mark.slow
async def test_a_call_of_a_killed_server_is_gone_and_then_lost_and_nobody_is_asked() -> None:
    later = 0.0
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(upstream(silence))
        write_config(HOME, served("mute", mute.url))
        over = anyio.Event()

        async def until_killed() -> None:
            await doomed()
            over.set()

        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(until_killed)
        app, pilot = await stack.enter_async_context(watching(lambda: time.time() + later))
        (call,) = await settled(HOME, RUNNING)
        os.kill(call["pid"], signal.SIGKILL)
        await over.wait()
        await ask_to_cancel(app, pilot)
        await until(pilot, lambda: ended(app))
        said = app.doing()
        later = 20.0
        await until(pilot, lambda: "◌ gone" in screen_text(app))
        await stack.enter_async_context(started(HOME))
        await until(pilot, lambda: f"pid {call['pid']} died" in screen_text(app))

    assert said.startswith(f"cancel call {call['call_id']}: no answer: no server runs")
