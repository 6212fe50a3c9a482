"""A loopback HTTP server that answers as scripted: faults no well-behaved server makes.

A script is an async function of the request and the way out; the server notices when the client
hangs up, cancels the script and sets `gone`.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from roundhouse_mcp.server.plainly import plainly

Send = Callable[[bytes], Awaitable[None]]
Script = Callable[["Request", Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(slots=True)
class Upstream:
    """`asked` holds every request in order; GETs answer an empty model list unless `gets` says
    that they are scripted, too."""

    script: Script
    gets: bool = False
    url: str = ""
    asked: list[Request] = field(default_factory=list[Request])
    gone: anyio.Event = field(default_factory=anyio.Event)

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.asked if request.method == "POST"]

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                request = await read_request(stream)
                self.asked.append(request)
                if request.method == "GET" and not self.gets:
                    await answer(json.dumps({"object": "list", "data": []}))(request, stream.send)
                else:
                    await self.play(request, stream)

    async def play(self, request: Request, stream: SocketStream) -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await stream.receive()
                self.gone.set()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            with suppress(anyio.BrokenResourceError):
                await self.script(request, stream.send)
            group.cancel_scope.cancel()


async def read_request(stream: SocketStream) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive()
    return Request(method=method, path=path, headers=headers, body=body)


@asynccontextmanager
async def upstream(script: Script, *, gets: bool = False) -> AsyncGenerator[Upstream]:
    """A server on a free loopback port, gone with the block. Its `url` ends in `/v1`."""
    server = Upstream(script, gets)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/v1"
    with plainly():
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, server.serve)
            yield server
            group.cancel_scope.cancel()


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode()


def answer(
    body: str, *, status: int = 200, kind: str = "application/json", **headers: str
) -> Script:
    """One whole answer; header names are written with underscores."""

    async def script(request: Request, send: Send) -> None:
        data = body.encode()
        said = {k.replace("_", "-"): v for k, v in headers.items()}
        said |= {"content-type": kind, "content-length": str(len(data))}
        await send(head(status, said) + data)

    return script


async def silence(request: Request, send: Send) -> None:
    """Reads the request and never says a word."""
    await anyio.sleep_forever()


async def nothing(request: Request, send: Send) -> None:
    """Closes the connection without an answer."""


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'


def spoken(
    *pieces: str, pause: anyio.Event | None = None, said: anyio.Event | None = None
) -> Script:
    """A streamed answer. With `pause` it stops before the last piece until that is set; `said` is
    set when the pieces before it are out."""

    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": "text/event-stream"}))
        for piece in pieces[:-1]:
            await send(event({"content": piece}))
        if said is not None:
            said.set()
        if pause is not None:
            await pause.wait()
        await send(event({"content": pieces[-1]}))
        await send(event({}, "stop") + USAGE + b"data: [DONE]\n\n")

    return script


def in_turn(*scripts: Script) -> Script:
    """A script per request; the last one stays."""
    left = list(scripts)

    async def script(request: Request, send: Send) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, send)

    return script
