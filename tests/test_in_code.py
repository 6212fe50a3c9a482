"""Providers and wires of strangers are held to the rules of our own, whatever their code does."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from packages import distribution, on_path
from strange import SECRET, Strange
from upstream import Request, Send, head, upstream
from ways import CALL, SLOW, complete

from roundhouse_mcp.providers import plugins
from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.providers.errors import Misdirected, UpstreamError
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.probe import probe
from roundhouse_mcp.providers.types import EmbedCall

QUICK = Limits(first_byte_s=0.05, idle_s=0.05)
PROVIDERS = "strange = strange:Strange\nstillborn = strange:Stillborn"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = distribution(
        tmp_path / "site", "stranger", providers=PROVIDERS, wires="strange = strange:wire"
    )
    Strange.closed.clear()
    with on_path(monkeypatch, site):
        yield


def row(**changes: Any) -> Provider:
    return replace(plugins.row("strange"), **changes)


async def texts_of(
    http: Http, provider: Provider, model: str, *, limits: Limits = SLOW, most: int = 99
) -> list[str]:
    """The texts of at most so many chunks."""
    texts: list[str] = []
    async with http.stream(provider, None, CALL, model=model, limits=limits) as chunks:
        async for chunk in chunks:
            texts.append(chunk.text)
            if len(texts) >= most:
                break
    return texts


async def heard(http: Http, model: str, *, limits: Limits = SLOW, most: int = 99) -> list[str]:
    return await texts_of(http, row(), model, limits=limits, most=most)


async def failed(model: str, *, limits: Limits = SLOW) -> UpstreamError:
    with anyio.fail_after(20):
        async with Http() as http:
            with pytest.raises(UpstreamError) as caught:
                await heard(http, model, limits=limits, most=1_000_000)
    return caught.value


async def embedded(model: str, *, limits: Limits = SLOW, **wanted: Any) -> Any:
    asked = EmbedCall(texts=("a", "b"), **wanted)
    with anyio.fail_after(20):
        async with Http() as http:
            return await http.embed(row(), None, asked, model=model, limits=limits)


async def test_an_answer_from_code_is_an_answer_like_any_other() -> None:
    async with Http() as http:
        texts = await heard(http, "answers")

    assert texts == ["Hello", "", ""]


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("fails", "garbled", "its package's code failed (ConnectionError); the log says where"),
        ("fails_midway", "garbled", "its package's code failed (KeyError); the log says where"),
        ("throttles", "throttled", "slow down"),
        ("throttles_midway", "throttled", "slow down"),
        ("exits", "garbled", "its package's code failed (SystemExit); the log says where"),
        ("is_cancelled_inside", "garbled", "failed (CancelledError)"),
        ("stops", "interrupted", "the answer ended before it was complete"),
        ("gives_text", "garbled", "failed (TypeError)"),
        ("gives_bytes", "garbled", "failed (TypeError)"),
        ("gives_negative_usage", "garbled", "failed (TypeError)"),
        ("gives_an_unknown_reason", "garbled", "failed (TypeError)"),
        ("is_no_iterator", "garbled", "failed (TypeError)"),
        ("is_not_there", "garbled", "failed (AttributeError)"),
    ],
)
async def test_code_fails_in_our_words(
    model: str, kind: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = await failed(model)

    assert (error.kind, error.provider) == (kind, "strange")
    assert said in error.detail
    assert SECRET not in f"{error} {error.__cause__} {caplog.text}"


async def test_an_error_of_their_own_class_keeps_what_it_says() -> None:
    before, midway = await failed("throttles"), await failed("throttles_midway")

    assert (before.retry_after_s, before.billing) == (7.0, "none")
    assert (midway.retry_after_s, midway.billing) == (None, "observed")


async def test_a_failure_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await failed("fails_midway")

    (record,) = caplog.records
    assert "KeyError at " in record.getMessage()
    assert "strange.py line " in record.getMessage()


@pytest.mark.parametrize(
    ("model", "kind"),
    [("hangs", "timed_out"), ("stalls", "interrupted"), ("never_waits", "interrupted")],
)
async def test_code_has_as_long_as_a_network_answer(model: str, kind: str) -> None:
    limits = replace(QUICK, idle_s=0.0) if model == "never_waits" else QUICK

    error = await failed(model, limits=limits)

    assert error.kind == kind
    assert "provider" in Strange.closed
    assert model == "never_waits" or model in Strange.closed


async def test_an_answer_from_code_is_bounded_in_size() -> None:
    error = await failed("never_ends", limits=replace(SLOW, max_response_bytes=1024 * 1024))

    assert (error.kind, error.detail) == ("garbled", "the answer is larger than 1 MiB")


async def test_code_that_fails_after_the_end_has_answered() -> None:
    async with Http() as http:
        texts = await heard(http, "fails_after_the_end")

    assert texts == ["Hello", ""]


@pytest.mark.parametrize(
    "model", ["stalls", "closes_badly", "closes_never", "yields_inside_a_scope"]
)
async def test_leaving_early_closes_the_iterator_in_a_moment(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundhouse_mcp.providers.in_code.CLOSE_S", 0.05)
    with anyio.fail_after(20):
        async with Http() as http:
            texts = await heard(http, model, most=1)
            again = await heard(http, "answers")

    assert (texts, again[0]) == (["Hel"], "Hello")


async def test_an_iterator_that_is_left_early_may_wait_while_it_closes() -> None:
    async with Http() as http:
        await heard(http, "stalls", most=1)

    assert "stalls no more" in Strange.closed


async def test_an_error_of_the_reader_is_not_lost_while_code_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roundhouse_mcp.providers.in_code.CLOSE_S", 0.05)

    async def read_and_fail(http: Http) -> None:
        async with http.stream(row(), None, CALL, model="closes_never", limits=SLOW) as chunks:
            async for _ in chunks:
                raise LookupError("the reader's own")

    async with Http() as http:
        with pytest.raises(LookupError, match="the reader's own"):
            await read_and_fail(http)


async def test_cancelling_a_call_closes_the_iterator() -> None:
    async with Http() as http:
        with anyio.move_on_after(0.05) as scope:
            await heard(http, "stalls")

    assert scope.cancelled_caught
    assert "stalls" in Strange.closed


async def test_code_is_made_once_for_a_row_and_closed_with_the_connections() -> None:
    async with Http() as http:
        await heard(http, "answers")
        await heard(http, "answers")
        made = len(http.code.made)

    assert made == 1
    assert Strange.closed == ["provider"]


async def test_code_that_does_not_start_is_a_wrong_row() -> None:
    broken = plugins.row("stillborn")
    async with Http() as http:
        with pytest.raises(Misdirected, match="did not start \\(RuntimeError\\)") as caught:
            await http.embed(broken, None, EmbedCall(texts=("a",)), model="m", limits=SLOW)
        seen = await probe(http, broken, None)

    assert SECRET not in str(caught.value)
    assert "did not start" in seen.detail


async def test_a_key_that_is_needed_is_asked_for_before_the_code_is() -> None:
    with pytest.raises(UpstreamError, match="it has no key"):
        await complete_strange(row(key_required=True))


async def test_what_must_stay_here_is_not_told_to_code_the_user_did_not_call_local() -> None:
    with pytest.raises(Misdirected, match="local = true; nothing was sent"):
        await complete_strange(row(), local_only=True)

    assert await complete_strange(row(local=True), local_only=True) == "Hello"


async def complete_strange(provider: Provider, *, local_only: bool = False) -> str:
    texts: list[str] = []
    async with Http() as http:
        stream = http.stream(
            provider, None, CALL, model="answers", limits=SLOW, local_only=local_only
        )
        async with stream as chunks:
            texts += [chunk.text async for chunk in chunks]
    return "".join(texts)


async def test_code_embeds_one_vector_per_text() -> None:
    made = await embedded("answers")

    assert made.vectors == ((1.0, 2.0), (1.0, 2.0))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("leaves_one_out", "garbled"),
        ("counts_nothing", "garbled"),
        ("gives_no_embedding", "garbled"),
        ("is_cancelled_inside", "garbled"),
        ("is_not_there", "garbled"),
        ("hangs", "timed_out"),
    ],
)
async def test_embeddings_from_code_fail_in_our_words(model: str, kind: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        await embedded(model, limits=QUICK)

    assert caught.value.kind == kind
    assert SECRET not in str(caught.value)


async def test_a_probe_asks_the_code() -> None:
    async with Http() as http:
        seen = await probe(http, row(), None)

    assert (seen.reachable, seen.models, seen.detail) == (True, ("answers",), "1 models")


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("fails_to_ask", "faulted", "made no request (ZeroDivisionError); nothing was sent"),
        ("asks_nothing", "faulted", "made no request (TypeError); nothing was sent"),
        ("asks_no_json", "faulted", "its request is not JSON; nothing was sent"),
        ("crash", "garbled", "the wire strange failed (ZeroDivisionError)"),
        ("bytes", "garbled", "the wire strange failed (TypeError)"),
        ("throttle", "throttled", "slow down"),
    ],
)
async def test_a_wire_of_a_stranger_fails_in_our_words(model: str, kind: str, said: str) -> None:
    with anyio.fail_after(20):
        async with upstream(parroting) as server, Http() as http:
            provider = Provider(
                name="birds", wire="strange", base_url=server.url, key_required=False
            )
            with pytest.raises(UpstreamError) as caught:
                await texts_of(http, provider, model)

    assert (caught.value.kind, caught.value.provider) == (kind, "birds")
    assert said in caught.value.detail
    assert SECRET not in str(caught.value)
    assert ("nothing was sent" in said) == (server.posts == [])


async def test_a_wire_of_a_stranger_speaks() -> None:
    async with upstream(parroting) as server:
        provider = Provider(name="birds", wire="strange", base_url=server.url, key_required=False)
        answer = await complete(replace(provider, auth="none"))

    assert answer.text == "gpt-x"
    assert answer.usage.output == 1


async def parroting(request: Request, send: Send) -> None:
    """Says the words it heard, with an empty event before and the end after them."""
    await send(head(200, {"content-type": "application/x-ndjson"}))
    for word in ("nothing", request.json["hear"], "end"):
        await send(b'{"word": "%s"}\n' % word.encode())
