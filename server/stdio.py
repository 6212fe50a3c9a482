"""Our own stdio runner: serve until end of input or a signal, end calls by cancelling them, leave.

The SDK's `run()` dies on SIGTERM without unwinding, hangs on SIGINT and costs two threads. Real
clients end a server in three ways: Claude Code sends SIGINT, SIGTERM 100 ms later and SIGKILL
about 400 ms after that, without closing stdin; Gemini CLI and Codex send SIGTERM; the SDKs close
stdin and kill after 2 s. So: the first signal cancels everything, later ones are absorbed, and a
watchdog leaves after `SIGNAL_GRACE_S` whatever still hangs; after end of input running calls are
cancelled and settle within `EOF_GRACE_S`.

POSIX only; elsewhere, and when a standard stream is a regular file, the SDK's runner serves.
"""

import asyncio
import os
import signal
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server

SIGNAL_GRACE_S = 0.35
EOF_GRACE_S = 1.5
PIPED_DRAIN_S = 0.5
LINE_LIMIT = 64 * 1024 * 1024


class Requests:
    """Counts the requests being answered. Long-lived subscriptions do not count. `answered` is
    set once the first request has its answer."""

    def __init__(self) -> None:
        self.count = 0
        self.changed = anyio.Event()
        self.answered = anyio.Event()

    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if ctx.request_id is None or ctx.method == "subscriptions/listen":
            return await call_next(ctx)
        self.count += 1
        try:
            return await call_next(ctx)
        finally:
            self.count -= 1
            self.changed.set()
            self.changed = anyio.Event()
            self.answered.set()

    async def drained(self) -> None:
        """Returns when no request is being answered."""
        while self.count:
            await self.changed.wait()


class Lines:
    """Lines of stdin. End of input is held back while calls that just came in are being answered:
    a piped script (`printf … | roundhouse serve`) gets its last answers."""

    def __init__(self, reader: asyncio.StreamReader, requests: Requests) -> None:
        self.reader = reader
        self.requests = requests

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> str:
        try:
            line = await self.reader.readline()
        except ValueError:  # longer than LINE_LIMIT; the reader has dropped what it held
            sys.stderr.write(f"roundhouse: a request over {LINE_LIMIT >> 20} MiB was dropped\n")
            return "{}\n"
        if line:
            return line.decode("utf-8", "replace")
        leave_after(EOF_GRACE_S)
        with anyio.move_on_after(PIPED_DRAIN_S):
            for _ in range(3):  # let lines just read reach their handlers
                await anyio.lowlevel.checkpoint()
            await self.requests.drained()
        raise StopAsyncIteration


class Answers:
    """stdout without a thread: writes wait for the pipe, not for the event loop."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    async def write(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            try:
                data = data[os.write(self.descriptor, data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.descriptor)

    async def flush(self) -> None:
        return


@asynccontextmanager
async def streams(requests: Requests) -> AsyncGenerator[Any]:
    """The SDK's message streams over private copies of descriptors 0 and 1. What anything else
    prints goes to stderr, and children read an empty stdin."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    os.set_blocking(wire_out, False)
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(wire_in, "rb", 0)
    )
    try:
        lines, answers = Lines(reader, requests), Answers(wire_out)
        async with stdio_server(stdin=lines, stdout=answers) as pair:  # type: ignore[arg-type]
            yield pair
    finally:
        transport.close()


def pipes() -> bool:
    """Can the event loop watch both standard streams?"""

    def watchable(descriptor: int) -> bool:
        mode = os.fstat(descriptor).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)

    return os.name == "posix" and watchable(0) and watchable(1)


def leave(code: int = 0) -> None:
    """Exit without interpreter teardown, which costs 200 to 500 ms; the ledger is committed."""
    sys.stderr.flush()
    os._exit(code)


def leave_after(seconds: float) -> None:
    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


Lifetime = Callable[[anyio.Event], AbstractAsyncContextManager[None]]


def run(server: MCPServer[Any], lifetime: Lifetime) -> None:
    """Serve `server` until end of input or a signal, then leave the process.

    `lifetime` is entered around the serving, with an event that is set when the first answer is
    on its way; its exit cancels what still runs and settles it.
    """
    requests = Requests()
    server.middleware.append(requests)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as group:

            def on_signal() -> None:
                if not group.cancel_scope.cancel_called:
                    leave_after(SIGNAL_GRACE_S)
                    group.cancel_scope.cancel()

            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.add_signal_handler(number, on_signal)
            async with lifetime(requests.answered):
                await exchange(server, requests)

    async def serve_anywhere() -> None:
        async with lifetime(requests.answered):
            await server.run_stdio_async()

    if os.name == "posix":
        anyio.run(serve)
        leave()
    else:
        anyio.run(serve_anywhere)


async def exchange(server: MCPServer[Any], requests: Requests) -> None:
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    options = low.create_initialization_options()
    around = streams(requests) if pipes() else stdio_server()
    async with around as (incoming, outgoing):
        await low.run(incoming, outgoing, options)
