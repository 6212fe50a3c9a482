"""One request over a real socket: what comes back, how it fails, and what is never sent.

The upstream's faults are hand-made; no recording of them exists.
"""

import gzip
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from upstream import (
    USAGE,
    Request,
    Script,
    Send,
    answer,
    event,
    head,
    in_turn,
    nothing,
    silence,
    spoken,
    upstream,
)
from ways import CALL, KEY, SLOW, at, complete

from roundhouse_mcp.providers import errors
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.types import Chunk, EmbedCall

STREAM = "text/event-stream"
QUICK = Limits(first_byte_s=0.05, idle_s=0.05, connect_s=2.0)
PAGE = "<html><body>" + "<p>Bad Gateway</p>" * 1200 + "</body></html>"


async def failed(script: Script, *, limits: Limits = SLOW) -> UpstreamError:
    """The error that completing against this upstream ends in."""
    with anyio.fail_after(20):
        async with upstream(script) as server:
            with pytest.raises(UpstreamError) as caught:
                await complete(at(f"{server.url}?secret={KEY}"), limits=limits)
    return caught.value


def cut(*pieces: str) -> Script:
    """A stream whose connection ends in the middle."""

    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": STREAM, "transfer-encoding": "chunked"}))
        for piece in pieces:
            data = event({"content": piece})
            await send(b"%x\r\n%b\r\n" % (len(data), data))

    return script


def then(*pieces: bytes, last: Script = silence, **headers: str) -> Script:
    async def script(request: Request, send: Send) -> None:
        await send(head(200, {k.replace("_", "-"): v for k, v in headers.items()}))
        for piece in pieces:
            await send(piece)
        await last(request, send)

    return script


async def test_a_streamed_answer_arrives_with_its_request_id() -> None:
    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": STREAM, "x-request-id": "req-1"}))
        await send(event({"content": "Hello"}) + event({}, "stop") + USAGE + b"data: [DONE]\n\n")

    async with upstream(script) as server, Http(user_agent="roundhouse/1") as http:
        stream = http.stream(at(server.url), KEY, CALL, model="gpt-x", limits=SLOW)
        async with stream as chunks:
            texts = [chunk.text async for chunk in chunks]
        known = (chunks.status, chunks.request_id)

    assert "".join(texts) == "Hello"
    assert known == (200, "req-1")
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["user-agent"] == "roundhouse/1"
    assert asked.headers["accept-encoding"] == "gzip"
    assert asked.json["max_completion_tokens"] == 16


@pytest.mark.parametrize("kind", ["application/json", "text/plain", STREAM])
async def test_an_answer_that_is_no_stream_is_read_as_a_whole(kind: str) -> None:
    body = {"model": "m", "choices": [{"message": {"content": "Whole"}, "finish_reason": "stop"}]}

    async with upstream(answer(json.dumps(body, indent=1), kind=kind)) as server:
        completion = await complete(at(server.url))

    assert completion.text == "Whole"


async def test_ollama_may_answer_with_one_document() -> None:
    body = {"model": "m", "message": {"content": "Whole"}, "done": True}

    async with upstream(answer(json.dumps(body, indent=1))) as server:
        row = replace(shipped()["ollama"], base_url=server.url)
        completion = await complete(row)

    assert completion.text == "Whole"


async def test_a_packed_stream_is_unpacked() -> None:
    body = gzip.compress(event({"content": "small"}) + event({}, "stop"))

    async with upstream(
        then(body[:9], body[9:], last=nothing, content_encoding="gzip", content_type=STREAM)
    ) as server:
        completion = await complete(at(server.url))

    assert completion.text == "small"


async def test_an_answer_is_over_when_the_provider_says_so() -> None:
    said = event({"content": "all"}) + event({}, "stop") + b"data: [DONE]\n\n"

    with anyio.fail_after(20):
        async with upstream(then(said, last=silence, content_type=STREAM)) as server:
            completion = await complete(at(server.url), limits=replace(SLOW, idle_s=60))

    assert completion.text == "all"


async def test_a_break_after_the_proof_of_completion_loses_nothing() -> None:
    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": STREAM, "transfer-encoding": "chunked"}))
        data = event({"content": "all"}, "stop")
        await send(b"%x\r\n%b\r\n" % (len(data), data))

    async with upstream(script) as server:
        completion = await complete(at(server.url))

    assert completion.text == "all"


async def test_silence_after_the_proof_of_completion_loses_nothing() -> None:
    script = then(event({"content": "all"}, "stop"), content_type=STREAM)

    with anyio.fail_after(20):
        async with upstream(script) as server:
            completion = await complete(at(server.url), limits=replace(SLOW, idle_s=0.05))

    assert completion.text == "all"


@pytest.mark.parametrize(
    ("script", "kind", "detail"),
    [
        (answer('{"error":{"message":"slow down"}}', status=429), "throttled", "slow down"),
        (answer("{}", status=529), "faulted", "HTTP 529 error without a message"),
        (answer("", status=503), "faulted", "HTTP 503 Service Unavailable without a message"),
        (answer(PAGE, status=500, kind="text/html"), "faulted", "Bad Gateway Bad Gateway"),
        (answer(PAGE, kind="text/html"), "garbled", "the answer is HTML"),
        (answer(""), "garbled", "the answer is empty"),
        (answer("", kind=STREAM), "garbled", "the answer is empty"),
        (
            answer('{"choices": []}'),
            "garbled",
            "the answer is not understood: a list in it is empty",
        ),
        (answer('{"choices": 7}'), "garbled", "the answer is not understood"),
        (answer("[]"), "garbled", "the answer is not understood"),
        (answer("null"), "garbled", "the answer is not understood"),
        (answer('{"choices": [{'), "garbled", "the answer is not valid JSON"),
        (answer("data: {oops\n\n", kind=STREAM), "garbled", "the answer is not valid JSON"),
        (answer("data: 7\n\n", kind=STREAM), "garbled", "the answer is not understood"),
        (answer('{"a":' + "[" * 99 + "]" * 99 + "}"), "garbled", "nested deeper than 64"),
        (answer("x" * 1_200_000, kind=STREAM), "garbled", "longer than 1 MiB"),
        (answer("{}", content_encoding="br"), "garbled", "packed in a way nobody asked for"),
        (answer("{}", content_encoding="gzip"), "garbled", "not valid gzip"),
        (cut("half"), "interrupted", "the connection broke in the middle of the answer"),
        (cut(), "interrupted", "the connection broke before an answer began"),
        (nothing, "interrupted", "the connection broke before an answer began"),
        (
            answer(event({"content": "half"}).decode() + 'data: {"choi', kind=STREAM),
            "interrupted",
            "the answer ended before it was complete",
        ),
        (
            answer(event({"content": "half"}).decode() + "data: [DONE]\n\n", kind=STREAM),
            "interrupted",
            "the answer ended before it was complete",
        ),
        (
            answer("", status=307, location="https://other.example/x?k=secret"),
            "misdirected",
            "the address redirects to other.example; set base_url",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_fault_of_the_far_side_is_one_clear_error(
    script: Script, kind: str, detail: str
) -> None:
    error = await failed(script)

    assert error.kind == kind
    assert detail in error.detail
    assert len(error.detail) <= 200
    assert len(error.body) <= 4096


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (silence, "timed_out"),
        (then(content_type=STREAM), "timed_out"),
        (then(event({"content": "half"}), content_type=STREAM), "interrupted"),
    ],
)
async def test_silence_has_an_end(script: Script, kind: str) -> None:
    error = await failed(script, limits=QUICK)

    assert error.kind == kind


async def test_what_was_heard_before_a_failure_is_delivered_first() -> None:
    said = event({"content": "half"}) + b'data: {"error":{"type":"rate_limit_error"}}\n\n'
    heard: list[Chunk] = []

    async def listen(row: Provider, http: Http) -> None:
        async with http.stream(row, KEY, CALL, model="gpt-x", limits=SLOW) as chunks:
            async for chunk in chunks:
                heard.append(chunk)  # noqa: PERF401 (the failure comes in between)

    async with upstream(answer(said.decode(), kind=STREAM)) as server, Http() as http:
        with pytest.raises(errors.Throttled) as caught:
            await listen(at(server.url), http)

    assert [chunk.text for chunk in heard] == ["half"]
    assert caught.value.billing == "observed"
    assert errors.Throttled.billing == "none"


async def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(3_000_000))

    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-encoding": "gzip"}) + bomb)

    error = await failed(script, limits=replace(SLOW, max_response_bytes=1024 * 1024))

    assert (error.kind, error.detail) == ("garbled", "the answer is larger than 1 MiB")


async def test_leaving_a_stream_closes_its_connection() -> None:
    script = then(event({"content": "a"}), content_type=STREAM)

    async with upstream(script) as server, Http() as http:
        async with http.stream(at(server.url), KEY, CALL, model="m", limits=SLOW) as chunks:
            await anext(aiter(chunks))
        with anyio.fail_after(20):
            await server.gone.wait()


async def test_cancelling_closes_the_connection_of_a_slow_drip() -> None:
    reached = anyio.Event()

    async def drip(request: Request, send: Send) -> None:
        while True:
            await send(event({"content": "."}))
            await anyio.lowlevel.checkpoint()

    async def listen(row: Provider, http: Http) -> None:
        async with http.stream(row, KEY, CALL, model="m", limits=SLOW) as chunks:
            async for _ in chunks:
                reached.set()

    with anyio.fail_after(20):
        async with upstream(then(last=drip, content_type=STREAM)) as server, Http() as http:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen, at(server.url), http)
                await reached.wait()
                tasks.cancel_scope.cancel()
            await server.gone.wait()


@pytest.mark.parametrize(
    "script",
    [
        answer("{}", status=500),
        answer("", status=302, location=f"https://x.example/?key={KEY}"),
        answer("nonsense"),
        nothing,
        silence,
        cut("a"),
    ],
)
async def test_no_error_tells_the_key_or_the_query(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = await failed(script, limits=QUICK)

    told = [str(error), repr(error.__dict__), repr(error.__cause__), caplog.text]
    assert not any(KEY in each for each in told)


def embeddings(*vectors: list[float]) -> Script:
    data = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    body = {"model": "e", "data": data, "usage": {"prompt_tokens": 4}}
    return answer(json.dumps(body), x_request_id="req-2")


@asynccontextmanager
async def embedding(script: Script, *, dimensions: int | None = None) -> AsyncGenerator[Any]:
    texts = EmbedCall(texts=("a", "b"), dimensions=dimensions)
    async with upstream(script) as server, Http() as http:
        yield await http.embed(at(server.url), KEY, texts, model="e", limits=SLOW)


async def test_an_embedding_has_a_vector_per_text() -> None:
    async with embedding(embeddings([1, 2], [3, 4]), dimensions=2) as found:
        assert found.vectors == ((1.0, 2.0), (3.0, 4.0))
        assert (found.usage.input, found.request_id) == (4, "req-2")


@pytest.mark.parametrize(
    ("script", "dimensions", "kind", "detail"),
    [
        (embeddings([1.0]), None, "garbled", "2 texts were sent and 1 vectors came back"),
        (embeddings([1.0], [1.0, 2.0]), None, "garbled", "the vectors differ in length"),
        (embeddings([1.0], [2.0]), 3, "refused", "does not make vectors of 3 dimensions"),
        (answer("{}"), None, "garbled", "the answer is not understood: it has no 'data'"),
        (answer('{"data":[{"embedding":"?"}]}'), None, "garbled", "the answer is not understood"),
    ],
)
async def test_vectors_that_are_not_what_was_asked_for_are_refused(
    script: Script, dimensions: int | None, kind: str, detail: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        async with embedding(script, dimensions=dimensions):
            pass

    assert caught.value.kind == kind
    assert detail in caught.value.detail


async def test_a_probe_reads_json_with_the_rows_headers() -> None:
    async with upstream(nothing) as server, Http() as http:
        row = replace(shipped()["anthropic"], base_url=server.url)
        found = await http.fetch(row, KEY, "GET", "/v1/models")

    assert found == {"object": "list", "data": []}
    assert server.asked[0].headers["anthropic-version"] == "2026-10-21"
    assert "content-type" not in server.asked[0].headers


async def test_a_probe_has_an_end_however_slowly_it_is_answered() -> None:
    async with upstream(silence) as server, Http() as http:
        with anyio.fail_after(20), pytest.raises(errors.TimedOut):
            await http.fetch(at(server.url), KEY, "POST", "/show", json={}, timeout_s=0.05)


async def test_a_connection_is_used_again() -> None:
    connections = 0

    async def keep(stream: anyio.abc.SocketStream) -> None:
        nonlocal connections
        connections += 1
        body = event({"content": "a"}, "stop") + b"data: [DONE]\n\n"
        said = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        async with stream:
            try:
                while await stream.receive():
                    await stream.send(said)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, keep)
        http = Http()
        for _ in range(3):
            stream = http.stream(
                at(f"http://127.0.0.1:{port}/v1"), KEY, CALL, model="m", limits=SLOW
            )
            async with stream as chunks:
                assert [chunk.text async for chunk in chunks] == ["a", ""]
        await http.aclose()
        tasks.cancel_scope.cancel()

    assert connections == 1


async def test_a_retry_after_is_read_from_a_real_answer() -> None:
    script = in_turn(answer("{}", status=429, retry_after="3"), spoken("x"))

    assert (await failed(script)).retry_after_s == 3.0


async def test_a_broken_mock_speaks_the_same_errors() -> None:
    row = replace(shipped()["mock"], base_url="mock://m?cut_after=1&text=one%20two")

    with pytest.raises(errors.Interrupted):
        await complete(row)
    with pytest.raises(errors.TimedOut):
        await complete(replace(row, base_url="mock://m?hang=1"), limits=QUICK)
