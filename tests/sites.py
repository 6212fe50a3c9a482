"""The server over HTTP, in this process or as one of its own, and clients with a token."""

import json
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import httpx2
from anyio.abc import Process, SocketStream
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from seats import Era, Seat, launch, write_config
from upstream import plainly

from roundhouse_mcp.server.desk import Desk
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.serve import build, lifetime
from roundhouse_mcp.server.web import tokens
from roundhouse_mcp.server.web.admission import LOOPBACK
from roundhouse_mcp.server.web.listener import Site, listening_at

REVISION = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
ACCEPTED = "application/json, text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server is, and the token of the client `cursor`."""

    home: Path
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def connect(self) -> SocketStream:
        """A bare connection, to say on it whatever one likes."""
        return await anyio.connect_tcp("127.0.0.1", self.port)

    @asynccontextmanager
    async def seat(
        self,
        *,
        era: Era = "auto",
        token: str | None = None,
        elicitation: ElicitationFnT | None = None,
    ) -> AsyncGenerator[Seat]:
        """A client that keeps one connection to itself, as agents do."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        with plainly():
            async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
                way = streamable_http_client(self.url, http_client=http)
                async with Client(way, mode=era, elicitation_callback=elicitation) as client:
                    yield Seat(client, self.home)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner(Place):
    """A server in this process, whose parts can be looked at."""

    site: Site
    desk: Desk


def post(method: str, **params: Any) -> dict[str, Any]:
    """The body of a request of 2026-07-28."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}


def named(method: str, **more: str) -> dict[str, str]:
    """Its headers."""
    said = {"accept": ACCEPTED, "content-type": "application/json", "mcp-method": method}
    return {**said, "mcp-protocol-version": REVISION, **more}


def raw(place: Place, method: str, **more: str) -> bytes:
    """The bytes of a whole request without arguments."""
    body = json.dumps(post(method)).encode()
    headers = {
        "host": "localhost",
        **place.headers,
        **named(method),
        "content-length": str(len(body)),
        **more,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body


@asynccontextmanager
async def opened(
    home: Path, *config: str, most: int | None = None, hosts: Sequence[str] = ()
) -> AsyncGenerator[Inner]:
    """A server in this process, at a free port of this machine."""
    write_config(home, *config)
    token = tokens.add(Home(home), "Cursor", now=0.0)[1]
    server, desk = build(Home(home), environ={})
    desk.many, desk.project = True, ""
    listening = listening_at("127.0.0.1", 0, ())
    site = Site(server, tokens.Tokens(desk.home), (*LOOPBACK, *hosts))
    site.crowd.most = most or site.crowd.most
    try:
        with plainly():
            async with lifetime(desk), anyio.create_task_group() as group:
                group.start_soon(site.serve, listening)
                port = listening.getsockname()[1]
                yield Inner(home=home, port=port, token=token, site=site, desk=desk)
                site.on_signal()
                site.on_signal()
    finally:
        desk.ledger.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer(Place):
    """A server in a process of its own. `said` is what it wrote on standard error so far."""

    running: Process
    said: list[str]

    async def complaint(self) -> str:
        """All it wrote, once it has left."""
        assert self.running.stderr is not None
        self.said.extend([part.decode() async for part in self.running.stderr])
        return "".join(self.said)


@asynccontextmanager
async def spawned(home: Path, *config: str) -> AsyncGenerator[Outer]:
    """The real process; killed at the end of the block if it has not left by itself."""
    write_config(home, *config)
    token = tokens.add(Home(home), "Cursor", now=0.0)[1]
    how = launch(home, "--http", "--port", "0")
    command = [sys.executable, *how.args]
    async with await anyio.open_process(command, env=how.env, stderr=PIPE) as running:
        try:
            assert running.stderr is not None
            line = (await running.stderr.receive()).decode()
            port = int(line.split("/mcp")[0].rpartition(":")[2])
            yield Outer(home=home, port=port, token=token, running=running, said=[line])
        finally:
            if running.returncode is None:
                running.kill()
