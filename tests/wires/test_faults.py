"""Faults of every chat wire over a real socket. All are hand-made: real services do not fail
on demand."""

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from upstream import Request, Script, Send, answer, head, upstream
from ways import SLOW
from wire_cases import CASES, MEDIA, WIRES, body

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.errors import Interrupted, UpstreamError
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.types import Call, EmbedCall, Message
from roundhouse_mcp.providers.wire import chat_wire

CALL = Call(messages=(Message(role="user", text="Hi"),), max_tokens=16)


def table(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("wire", "case"),
        [
            pytest.param(wire, case, id=f"{wire}: {case['what']}")
            for wire in WIRES
            for case in CASES[wire].get(kind, ())
        ],
    )


def row_of(wire: str, url: str) -> Provider:
    """The first shipped row that speaks the wire, or could."""
    rows = shipped().values()
    row = next((row for row in rows if row.wire == wire), shipped()["openai"])
    return replace(row, wire=wire, base_url=url, facts_from=None)


async def heard(wire: str, script: Script) -> tuple[str, UpstreamError | None]:
    """The text that arrived, and the error the answer ended in."""
    assembler = Assembler()
    with anyio.fail_after(10):
        async with upstream(script, gets=True) as server, Http() as http:
            row = row_of(wire, server.url)
            try:
                async with http.stream(row, "key", CALL, model="m", limits=SLOW) as chunks:
                    async for chunk in chunks:
                        assembler.add(chunk)
            except UpstreamError as error:
                return assembler.text, error
    return assembler.text, None


def said(wire: str, data: bytes, *, cut: bool = False) -> Script:
    """A stream of these bytes; cut: the connection breaks after them. Where a first request only
    begins the work, the stream answers the second one."""
    created = CASES[wire].get("created")

    async def script(request: Request, send: Send) -> None:
        if created and request.method == "POST":
            urls = {"stream": f"http://{request.headers['host']}/stream"}
            await answer(json.dumps(created | {"urls": urls}), status=201)(request, send)
            return
        kind = {"content-type": MEDIA[chat_wire(wire).FRAMING]}
        await send(head(200, kind | ({"content-length": str(len(data) + 1)} if cut else {})) + data)

    return script


def fault(case: Any) -> Script:
    async def script(request: Request, send: Send) -> None:
        given = case["body"]
        data = (given if isinstance(given, str) else json.dumps(given)).encode()
        kind = {"content-type": "application/json", "content-length": str(len(data))}
        await send(head(case["status"], {**kind, **case.get("headers", {})}) + data)

    return script


@table("faults")
async def test_an_error_response_is_classified_with_the_wait_it_asks_for(
    wire: str, case: Any
) -> None:
    text, error = await heard(wire, fault(case))

    assert error is not None
    assert (text, error.kind, error.retry_after_s) == ("", case["kind"], case.get("wait"))
    assert error.status == case["status"]


@table("failures")
async def test_a_failure_inside_an_answer_ends_it_as_what_it_is(wire: str, case: Any) -> None:
    text, error = await heard(wire, said(wire, body(wire, case)))

    assert error is not None
    assert (text, error.kind) == (case["text"], case["kind"])


@table("streams")
async def test_a_stream_cut_before_its_end_is_interrupted(wire: str, case: Any) -> None:
    """Cut in the middle: no stream here proves its completion in its first half."""
    whole = body(wire, case)

    _, error = await heard(wire, said(wire, whole[: len(whole) // 2], cut=True))

    assert isinstance(error, Interrupted)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_gateway_in_front_that_answers_in_html_is_at_fault(wire: str) -> None:
    page = {"status": 502, "headers": {"content-type": "text/html"}, "body": "<h1>Bad Gateway</h1>"}

    _, error = await heard(wire, fault(page))

    assert error is not None
    assert (error.kind, error.detail) == ("faulted", "Bad Gateway")


EMBED_WIRES = sorted(
    {row.embed_wire for row in shipped().values() if row.embed_wire}
    | {facts.embed_wire for row in shipped().values() for facts in row.models if facts.embed_wire}
)


async def embedded(wire: str, script: Script) -> UpstreamError:
    """The error that an embedding by this wire ends in."""
    texts = EmbedCall(texts=("a",))  # Titan takes one at a time
    rows = shipped().values()
    row = next((row for row in rows if row.embed_wire == wire), shipped()["openai"])
    with anyio.fail_after(10):
        async with upstream(script) as server, Http() as http:
            at = replace(row, embed_wire=wire, base_url=server.url, facts_from=None, auth="bearer")
            with pytest.raises(UpstreamError) as caught:
                await http.embed(at, "key", texts, model="m", limits=SLOW)
    return caught.value


@pytest.mark.parametrize("wire", EMBED_WIRES)
@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (429, {"retry-after": "3"}, "throttled", 3.0),
        (503, {"retry-after": "2"}, "faulted", 2.0),
        (500, {"retry-after": "9"}, "faulted", None),
        (529, {}, "faulted", None),
        (401, {}, "locked", None),
        (402, {}, "exhausted", None),
        (404, {}, "misdirected", None),
    ],
)
async def test_an_embedding_that_fails_fails_as_what_it_is(
    wire: str, status: int, headers: dict[str, str], kind: str, wait: float | None
) -> None:
    error = await embedded(
        wire, fault({"status": status, "headers": headers, "body": {"message": "no"}})
    )

    assert (error.kind, error.status, error.retry_after_s) == (kind, status, wait)


@pytest.mark.parametrize("wire", EMBED_WIRES)
@pytest.mark.parametrize("body", ["", "{", "[]", "{}", "null", "7", '"text"', "<html>"])
async def test_an_embedding_that_is_none_is_garbled(wire: str, body: str) -> None:
    error = await embedded(wire, fault({"status": 200, "body": body}))

    assert error.kind == "garbled"


@pytest.mark.parametrize("wire", EMBED_WIRES)
async def test_an_embedding_cut_by_the_network_is_interrupted(wire: str) -> None:
    async def script(request: Request, send: Send) -> None:
        kind = {"content-type": "application/json", "content-length": "1000"}
        await send(head(200, kind) + b'{"data": [')

    assert (await embedded(wire, script)).kind == "interrupted"
