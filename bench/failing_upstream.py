"""Two local upstreams for bench/failover.py: a primary that fails for a while, and its fallback.

Prints both ports. Each line on stdin is a scenario: FAULT BEGIN END DELAY, with fault `refused`,
`500` or `hang`, and times in seconds of the monotonic clock; it is answered by `ready`. A line
`log` is answered by what was served since: a JSON list of [who, began, ended, dead].
"""

import asyncio
import json
import sys
import time
from contextlib import suppress

from upstream_words import EVENTS, HEAD, length

BROKEN = b'{"error":{"message":"scripted","type":"server_error"}}'
FAILURE = b"HTTP/1.1 500 Scripted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Upstreams:
    """The primary is dead between `begin` and `end`; both answer after `delay_s`."""

    def __init__(self) -> None:
        self.fault, self.begin, self.end, self.delay_s = "500", 0.0, 0.0, 0.0
        self.served: list[tuple[str, float, float, bool]] = []
        self.primary: asyncio.Server | None = None
        self.port = 0
        self.open: set[asyncio.StreamWriter] = set()

    @property
    def dead(self) -> bool:
        return self.begin <= time.monotonic() < self.end

    async def listen(self) -> None:
        self.primary = await asyncio.start_server(self.talk_as_primary, "127.0.0.1", self.port)
        self.port = self.primary.sockets[0].getsockname()[1]

    async def talk_as_primary(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.open.add(writer)
        await self.talk("primary", reader, writer)
        self.open.discard(writer)

    async def talk_as_fallback(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self.talk("fallback", reader, writer)

    async def talk(
        self, who: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readexactly(length(await reader.readuntil(b"\r\n\r\n")))
                began, dead = time.monotonic(), who == "primary" and self.dead
                if dead:
                    self.served.append((who, began, began, True))
                    await self.fail(reader, writer)
                    continue
                await asyncio.sleep(self.delay_s)
                writer.write(HEAD)
                for data in EVENTS:
                    writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                self.served.append((who, began, time.monotonic(), False))
        writer.close()

    async def fail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "hang":
            await reader.read(1)  # until the client hangs up
            raise ConnectionError
        writer.write(FAILURE % len(BROKEN) + BROKEN)
        await writer.drain()

    async def refuse(self) -> None:
        """Nobody listens while it is dead, and who was connected is cut off."""
        assert self.primary is not None
        await asyncio.sleep(max(0.0, self.begin - time.monotonic()))
        self.primary.close()
        for writer in list(self.open):
            writer.transport.abort()
        await asyncio.sleep(max(0.0, self.end - time.monotonic()))
        await self.listen()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main() -> None:
    upstreams = Upstreams()
    await upstreams.listen()
    fallback = await asyncio.start_server(upstreams.talk_as_fallback, "127.0.0.1", 0)
    say(f"{upstreams.port} {fallback.sockets[0].getsockname()[1]}")
    running: set[asyncio.Task[None]] = set()
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        if line[0] == "log":
            say(json.dumps(upstreams.served))
            upstreams.served = []
            continue
        upstreams.fault = line[0]
        upstreams.begin, upstreams.end, upstreams.delay_s = map(float, line[1:])
        if line[0] == "refused":
            task = asyncio.create_task(upstreams.refuse())
            running.add(task)
            task.add_done_callback(running.discard)
        say("ready")


if __name__ == "__main__":
    asyncio.run(main())
