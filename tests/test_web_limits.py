"""The server over HTTP with clients that are slow, silent or too many: each costs little, and the
others are answered meanwhile."""

import socket
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream
from seats import scripted
from sites import Inner, opened, raw

from roundhouse_mcp.server.web import connections

ONE = scripted("one", "text=All%20is%20well.")
SHORT_S = 0.3


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times one can wait for."""
    monkeypatch.setattr(connections, "LIMITS", {"head": SHORT_S, "body": SHORT_S})
    monkeypatch.setattr(connections, "UNREAD_S", SHORT_S)


async def hung_up(stream: SocketStream) -> bytes:
    """What still comes until the server closes the connection."""
    heard = b""
    async with stream:
        while True:
            try:
                heard += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return heard


async def pushed_away(stream: SocketStream, requests: bytes) -> None:
    """Asks and asks, and reads nothing, until the server closes the connection."""
    with suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(requests)


async def answers(place: Inner) -> str:
    async with place.seat() as seat:
        return (await seat.said("complete", prompt="Hi"))["text"]


SILENT = (
    b"",
    b"POST /mcp HTTP/1.1\r\nhost: local",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
    b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000,
)


async def test_a_connection_that_asks_nothing_is_closed(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with opened(tmp_path, ONE) as place:
            slow = [await place.connect() for _ in SILENT]
            for stream, start in zip(slow, SILENT, strict=True):
                await stream.send(start)
            said = await answers(place)
            heard = [await hung_up(stream) for stream in slow]

    assert said == "All is well."
    assert {each[:13] for each in heard} <= {b"", b"HTTP/1.1 400 "}


async def test_a_head_that_drips_in_has_its_time_all_the_same(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with opened(tmp_path, ONE) as place:
            slow, heard = await place.connect(), b"?"
            async with anyio.create_task_group() as group:

                async def drip() -> None:
                    with suppress(anyio.BrokenResourceError):
                        while True:
                            await slow.send(b"x: y\r\n")
                            await anyio.sleep(0.05)

                await slow.send(b"POST /mcp HTTP/1.1\r\n")
                group.start_soon(drip)
                heard = await hung_up(slow)
                group.cancel_scope.cancel()

    assert heard == b""


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with opened(tmp_path, ONE) as place:
            first, second = await place.connect(), await place.connect()
            await second.send(raw(place, "tools/list"))
            before = await second.receive()
            for slow in (first, second):
                await slow.send(raw(place, "tools/list")[:-5])
            said = await answers(place)
            for slow in (first, second):
                await hung_up(slow)

    assert before.startswith(b"HTTP/1.1 200")
    assert said == "All is well."


async def test_a_client_that_reads_nothing_is_hung_up_on(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with opened(tmp_path, ONE) as place:
            deaf = await place.connect()
            await pushed_away(deaf, raw(place, "tools/list") * 50)
            said = await answers(place)
            await deaf.aclose()

    assert said == "All is well."


async def test_when_there_are_too_many_strangers_go_first_and_the_busy_stay(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with opened(tmp_path, ONE, most=4) as place:
            known = await place.connect()
            await known.send(raw(place, "tools/list"))
            await known.receive()
            strangers = [await place.connect() for _ in range(12)]
            gone = [await hung_up(each) for each in strangers[:9]]
            present = len(place.site.crowd.present)
            await known.send(raw(place, "tools/list"))
            again = await known.receive()
            said = await answers(place)
            for each in (known, *strangers[9:]):
                await each.aclose()

    assert gone == [b""] * 9
    assert present == 4
    assert again.startswith(b"HTTP/1.1 200")
    assert said == "All is well."


async def test_the_second_half_of_an_answer_does_not_wait_for_the_first(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with opened(tmp_path, ONE) as place, place.seat():
            wires = [each.transport.get_extra_info("socket") for each in place.site.crowd.present]
            at_once = [wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for wire in wires]

    assert at_once
    assert all(at_once)
