"""Serves recorded exchanges on loopback: a request whose path is /_id/<name>/... is answered with
the exchange of that name, whole or in pieces of any size."""

import base64
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

HIDDEN = {"connection", "content-encoding", "content-length", "location", "transfer-encoding"}


def payload(response: Mapping[str, Any]) -> bytes:
    if response.get("body_base64") is not None:
        return base64.b64decode(response["body_base64"])
    body = response.get("body")
    if body is None:
        return b""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def pieces(body: bytes, size: int | None) -> Iterator[bytes]:
    step = size or max(len(body), 1)
    for at in range(0, len(body), step):
        yield body[at : at + step]


async def answer(
    stream: anyio.abc.SocketStream, exchanges: Mapping[str, Any], size: int | None
) -> None:
    """Answers every request on one connection with the exchange its path names. Who has heard an
    error hangs up in the middle of what follows."""
    reader = BufferedByteReceiveStream(stream)
    async with stream:
        while True:
            try:
                head = (await reader.receive_until(b"\r\n\r\n", 1_000_000)).decode("latin-1")
            except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            await reader.receive_exactly(int(headers.get("content-length", "0")))
            name = lines[0].split(" ")[1].split("/")[2]
            try:
                for piece in spoken(exchanges[name]["response"], size):
                    await stream.send(piece)
            except anyio.BrokenResourceError:
                return  # nobody reads an answer to its end that turns out to be an error


def spoken(response: Mapping[str, Any], size: int | None) -> Iterator[bytes]:
    yield f"HTTP/1.1 {response['status']} Recorded\r\n".encode()
    for name, value in response["headers"].items():
        if name.lower() not in HIDDEN:
            yield f"{name}: {value}\r\n".encode()
    yield b"transfer-encoding: chunked\r\n\r\n"
    for piece in pieces(payload(response), size):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@asynccontextmanager
async def served(exchanges: Mapping[str, Any], size: int | None) -> AsyncGenerator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def one(stream: anyio.abc.SocketStream) -> None:
            await answer(stream, exchanges, size)

        tasks.start_soon(listener.serve, one)
        yield f"http://127.0.0.1:{port}/_id"
        tasks.cancel_scope.cancel()
