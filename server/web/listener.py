"""Our own runner for HTTP: one server for many clients, until it is told to stop.

After the first signal no tool call begins, and those that run are answered to their end: their
clients may still have to cancel, or to bring the user's answer, on connections of their own. The
second signal, or `DRAIN_S`, cancels what is left; every call settles either way.
"""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventStore
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import CallToolResult, TextContent

from ..errors import ConfigError
from ..exposed import ALL, Exposed
from ..home import Home
from ..serve import lifetime, ready
from ..stdio import Requests, leave, leave_after
from .admission import LOOPBACK, PATH, Door
from .connections import KEEP_S, Crowd, most, protocol
from .tokens import ADD, Tokens

PORT = 8733
BODY_LIMIT = 4 * 1024 * 1024
SESSIONS = 512  # of clients before 2026-07-28, which have them
RETRY_MS = 100
BACKLOG = 512
DRAIN_S = 60.0
FLUSH_S = 1.0  # for the last answers to leave; streams that stay open use it up
FOLLOW_UP_S = 0.3
UNWIND_S = 5.0
STOPPING = (
    "Roundhouse is about to stop. Try again once it has been started anew.\ncode: busy\n"
    "retryable: true\nNothing was sent, no cost."
)
ELSEWHERE = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the door does it


class Drain(Requests):
    """Counts the requests being answered, and begins no more tool calls once `closing`."""

    closing = False

    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if self.closing and ctx.method == "tools/call":
            return CallToolResult(content=[TextContent(text=STOPPING)], is_error=True)
        return await super().__call__(ctx, call_next)


class Web(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are ours."""
        yield


class Site:
    """An MCP server behind its door. `app` is what answers, and may be wrapped before serving."""

    def __init__(
        self,
        server: MCPServer[Any],
        tokens: Tokens,
        hosts: Sequence[str],
        *,
        events: EventStore | None = None,
    ) -> None:
        """`events` are for one client alone: the SDK names streams by what clients number."""
        server.streamable_http_app(
            transport_security=ELSEWHERE,
            max_request_body_size=BODY_LIMIT,
            max_sessions=SESSIONS,
            event_store=events,
            retry_interval=RETRY_MS if events else None,
        )
        self.manager = server.session_manager
        self.requests = Drain()
        server.middleware.append(self.requests)
        self.app: Any = Door(AuthContextMiddleware(self.manager.handle_request), tokens, hosts)
        self.crowd = Crowd(most())
        self.signals = 0
        self.signalled = anyio.Event()

    def on_signal(self) -> None:
        self.signals += 1
        self.signalled.set()
        self.signalled = anyio.Event()

    async def serve(self, listening: socket.socket) -> None:
        """Answers until two signals came, or one and all is answered."""
        web = Web(
            uvicorn.Config(
                self.app,
                http=protocol(self.crowd),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # not a line for whatever is no HTTP
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_S,
                timeout_graceful_shutdown=int(UNWIND_S),
            )
        )
        async with self.manager.run(), anyio.create_task_group() as group:
            group.start_soon(self.stop_when_told, web)
            await web.serve([listening])
            group.cancel_scope.cancel()

    async def stop_when_told(self, web: Web) -> None:
        while not self.signals:
            await self.signalled.wait()
        self.requests.closing = True
        with anyio.move_on_after(DRAIN_S):
            await self.drained()
        self.crowd.hang_up()
        web.should_exit = True

    async def drained(self) -> None:
        """Returns when all is answered and sent, or at the second signal."""
        async with anyio.create_task_group() as group:

            async def hear() -> None:
                while self.signals < 2:
                    await self.signalled.wait()
                group.cancel_scope.cancel()

            group.start_soon(hear)
            if self.requests.count:
                await self.requests.drained()
                await anyio.sleep(FOLLOW_UP_S)  # the SDK asks for tools/list to check an answer
            await self.requests.drained()
            with anyio.move_on_after(FLUSH_S):
                await self.crowd.served()
            group.cancel_scope.cancel()


def watch_signals(on_signal: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")  # the last two are each of one system
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if os.name == "posix":
            loop.add_signal_handler(number, on_signal)
        else:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))


def listening_at(host: str, port: int, allowed: Sequence[str]) -> socket.socket:
    """A socket that listens. Raises ConfigError where it may not, or cannot."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, address = found[0][0], found[0][4]
        if not allowed and not ipaddress.ip_address(address[0]).is_loopback:
            raise ConfigError(
                f"{host} can be reached by other machines, so say under which names they may: "
                "--allow-host NAME"
            )
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"Nothing can listen at {host} port {port} ({error.strerror}); "
            "name another with --host or --port."
        ) from None


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}{PATH}" if ":" in host else f"http://{host}:{port}{PATH}"


def tokens_of(home: Home) -> Tokens:
    """Raises ConfigError where there is nobody to serve."""
    tokens = Tokens(home)
    if not tokens.entries:
        raise ConfigError(f"Clients need a token each, and there is none; run: {ADD}")
    return tokens


def serve(
    host: str | None,
    port: int | None,
    allowed: Sequence[str],
    *,
    shown: Exposed = ALL,
    verbose: bool = False,
) -> None:
    """Serves clients that bring a token until told to stop; does not return. Raises ConfigError."""
    home = Home.find(os.environ)
    tokens = tokens_of(home)
    at = "127.0.0.1" if host is None else host
    listening = listening_at(at, PORT if port is None else port, allowed)
    server, desk = ready(home=home, shown=shown, verbose=verbose)
    desk.many, desk.project = True, ""  # whose directory this is says nothing of the clients'
    site = Site(server, tokens, (*LOOPBACK, *allowed))

    def on_signal() -> None:
        site.on_signal()
        if site.signals == 2:
            leave_after(UNWIND_S)

    async def main() -> None:
        watch_signals(on_signal)
        async with lifetime(desk):
            known = ", ".join(sorted(tokens.entries))
            sys.stderr.write(f"roundhouse: serving {url_of(listening)} for {known}\n")
            sys.stderr.flush()
            await site.serve(listening)
            leave_after(UNWIND_S)

    anyio.run(main)
    leave()
