"""Connections that cannot be used up: bounded in number, and in the time they take for nothing.

uvicorn's own protocol waits for ever for a first request, for the rest of a body and for a client
that does not read. Here each of these has an end, and when there are too many connections the
longest waiting one goes, those that never showed a token first: whoever opens ten thousand closes
his own.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import anyio
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0  # from the first byte, or from the connection, to the end of a request's head
BODY_S = 30.0
UNREAD_S = 30.0  # a client that reads nothing of what we wrote
KEEP_S = 60  # between two requests
MOST = 1024
FILES = 768  # beside connections: the ledger, providers, and what is accepted before others go

Phase = Literal["head", "body"]
LIMITS: dict[Phase, float] = {"head": HEAD_S, "body": BODY_S}


class Crowd:
    """All connections of one server, in the order they came."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.present: dict[Connection, None] = {}
        self.changed = anyio.Event()

    def join(self, newcomer: "Connection") -> None:
        """Takes it in. Where there are too many, one that can be spared goes; the newcomer, where
        all others are being answered."""
        self.present[newcomer] = None
        if len(self.present) > self.most:
            leaving = next(self.spared(), newcomer)
            self.leave(leaving)
            leaving.transport.abort()

    def hang_up(self) -> None:
        for connection in tuple(self.present):
            connection.transport.abort()

    async def served(self) -> None:
        """Returns when nothing is being answered."""
        while any(each.is_busy for each in self.present):
            await self.changed.wait()

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def leave(self, connection: "Connection") -> None:
        self.present.pop(connection, None)
        self.change()

    def spared(self) -> "Iterator[Connection]":
        """The longest here first: strangers, then those who ask nothing now."""
        yield from (each for each in self.present if each.is_stranger)
        yield from (each for each in self.present if not each.is_busy)


class Connection(H11Protocol):
    """One connection. `crowd` is set by `protocol`."""

    crowd: Crowd
    is_known = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase: Phase | None = None
        self.limit: asyncio.TimerHandle | None = None
        self.unread: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Is a request being answered?"""
        return bool(self.cycle) and not self.cycle.response_complete

    @property
    def is_stranger(self) -> bool:
        """Has no request of it ever been let in?"""
        self.is_known = self.is_known or "user" in (self.scope or {})
        return not self.is_known

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so only where a socket was made with the protocol's number, and else the
        # second half of every answer waits 40 ms for the first to be acknowledged.
        wire: socket.socket = transport.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.expect("head")
        self.crowd.join(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.is_busy:
            self.expect("head" if self.timeout_keep_alive_task is None else None)
        else:
            self.expect("body" if self.cycle.more_body else None)

    def on_response_complete(self) -> None:
        self.is_known = not self.is_stranger
        self.expect(None)
        super().on_response_complete()
        self.crowd.change()
        if self.transport.is_closing():
            self.mind_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self)
        self.expect(None)
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def expect(self, phase: Phase | None) -> None:
        """Starts the time for what is to come, unless it runs already."""
        if phase == self.phase:
            return
        if self.limit is not None:
            self.limit.cancel()
        self.phase = phase
        self.limit = phase and self.loop.call_later(LIMITS[phase], self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.mind_reader()

    def mind_reader(self) -> None:
        """Hangs up, unless what was written is read in time."""
        if self.unread is None:
            self.unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Whoever has not read the last answer by now never will: closing would wait for him."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()


def protocol(crowd: Crowd) -> type[Connection]:
    """The protocol of one server's connections, as uvicorn wants it: a class."""
    return type("CrowdedConnection", (Connection,), {"crowd": crowd})


def most() -> int:
    """How many connections this process can hold: files are the system's to give."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + FILES
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(16, min(MOST, soft - FILES))
