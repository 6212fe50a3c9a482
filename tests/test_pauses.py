"""What keeps a call from a provider that would refuse it, and what becomes of broken answers."""

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import budget, chain, scripted, seated, served
from upstream import Request, Script, Send, answer, event, head, spoken, upstream

from roundhouse_mcp.providers.waits import run_out

STREAM = "text/event-stream"


def announcing(script: Script, **headers: str) -> Script:
    """The script's answer under more headers; their names are written with underscores."""
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items()).encode()

    async def with_headers(request: Request, send: Send) -> None:
        first = True

        async def more(data: bytes) -> None:
            nonlocal first
            await send(data.replace(b"\r\n", b"\r\n" + lines, 1) if first else data)
            first = False

        await script(request, more)

    return with_headers


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.5),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, None),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "1970-01-01T00:00:30Z",
            },
            20.0,
        ),
        ({}, None),
    ],
)
def test_a_service_may_say_that_nothing_is_left(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert run_out(headers, now=10.0) == seconds


async def test_a_provider_that_says_nothing_is_left_is_passed_over_before_it_refuses(
    tmp_path: Path,
) -> None:
    last = announcing(
        spoken("Here."), x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="30s"
    )
    other = chain("one", "two") + scripted("two", "text=There.")
    async with upstream(last) as server, seated(tmp_path, served("one", server.url), other) as seat:
        first = await seat.said("complete", prompt="Hi")
        route = await seat.said("route_for_task", prompt="Hi")
        second = await seat.said("complete", prompt="Hi")

    out = next(each for each in route["excluded"] if each["provider"] == "one")
    assert (first["text"], second["text"]) == ("Here.", "There.")
    assert out["reason"] == "cooldown"
    assert len(server.posts) == 1


@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        ("rpm = 2", "has had 2 of 2 requests a minute (rpm)"),
        ("rpd = 2", "has had 2 of 2 requests a day (rpd)"),
        ("tpm = 30", "has read and written"),
    ],
)
async def test_an_allowance_the_user_sets_is_kept_and_the_reason_given(
    tmp_path: Path, limit: str, detail: str
) -> None:
    config = chain("one", "two") + scripted("one", "text=1", more=limit)
    async with seated(tmp_path, config, scripted("two", "text=2")) as seat:
        texts = [(await seat.said("complete", prompt="Hi", max_tokens=8))["text"] for _ in range(3)]
        route = await seat.said("route_for_task", prompt="Hi")

    out = next(each for each in route["excluded"] if each["provider"] == "one")
    assert texts[0] == "1"
    assert texts[-1] == "2"
    assert out["reason"] == "rate_limit"
    assert detail in out["detail"]
    assert out["until"].endswith("+00:00")


def breaks_off(*pieces: str) -> Script:
    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": STREAM, "content-length": "100000"}))
        for piece in pieces:
            await send(event({"content": piece}))

    return script


@pytest.mark.parametrize(
    ("setting", "want"),
    [
        ("restart", {"text": "There.", "finish_reason": "stop", "provider": "two"}),
        ("partial", {"text": "Half an", "finish_reason": "interrupted", "provider": "one"}),
    ],
)
async def test_an_answer_that_breaks_off_is_started_again_or_handed_back(
    tmp_path: Path, setting: str, want: dict[str, Any]
) -> None:
    config = f'[retries]\nmid_stream = "{setting}"\n' + chain("one", "two")
    async with (
        upstream(breaks_off("Half ", "an")) as server,
        seated(tmp_path, config, served("one", server.url), scripted("two", "text=There.")) as seat,
    ):
        said = await seat.said("complete", prompt="Hi")
        calls = seat.rows("SELECT status, provider, cost_kind FROM calls")

    assert {name: said[name] for name in want} == want
    assert calls[0]["status"] == "ok"
    assert calls[0]["provider"] == want["provider"]


async def test_an_answer_that_breaks_off_may_be_an_error(tmp_path: Path) -> None:
    config = '[retries]\nmid_stream = "error"\n' + chain("one", "two")
    async with (
        upstream(breaks_off("Half")) as server,
        seated(tmp_path, config, served("one", server.url), scripted("two", "text=There.")) as seat,
    ):
        text = await seat.refused("complete", prompt="Hi")

    assert text.startswith("one/m interrupted")


async def test_a_provider_that_fails_for_everybody_is_not_asked_twice_by_everybody(
    tmp_path: Path,
) -> None:
    config = "[circuits]\nenabled = false\n" + chain("bad", "good") + scripted("good", "text=2")
    async with seated(tmp_path, config, scripted("bad", "status=503")) as seat:
        for _ in range(8):
            await seat.said("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen["bad"]

    assert asked == 8 + 5


async def test_a_provider_with_no_place_is_passed_over_while_another_has_one(
    tmp_path: Path,
) -> None:
    pause, said, seen = anyio.Event(), anyio.Event(), dict[str, Any]()
    config = chain("one", "two") + scripted("two", "text=There.")
    async with (
        upstream(spoken("He", "re.", pause=pause, said=said)) as server,
        seated(tmp_path, served("one", server.url, more="concurrency = 1"), config) as seat,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.said, "complete", prompt="Hi"))
        await said.wait()
        seen["route"] = await seat.said("route_for_task", prompt="Hi")
        seen["other"] = await seat.said("complete", prompt="Hi")
        seen["named"] = await seat.said("route_for_task", prompt="Hi", model="one/m")
        pause.set()

    out = next(each for each in seen["route"]["excluded"] if each["provider"] == "one")
    assert (out["reason"], seen["other"]["text"]) == ("busy", "There.")
    assert "answers 1 calls already" in out["detail"]
    assert [each["provider"] for each in seen["named"]["candidates"]] == ["one"]


async def test_a_key_that_was_refused_holds_no_other_key(tmp_path: Path) -> None:
    async def script(request: Request, send: Send) -> None:
        good = request.headers["authorization"] == "Bearer good-key-0123456789"
        refused = answer('{"error": {"message": "no"}}', status=401)
        await (spoken("Here.") if good else refused)(request, send)

    config = 'key_env = "ONE_KEY"\n'
    async with upstream(script) as server:
        home = served("one", server.url, more=config)
        async with seated(tmp_path, home, environ={"ONE_KEY": "bad-key-0123456789"}) as seat:
            first = await seat.refused("complete", prompt="Hi", model="one/m")
            second = await seat.refused("complete", prompt="Hi", model="one/m")
        async with seated(tmp_path, home, environ={"ONE_KEY": "good-key-0123456789"}) as seat:
            third = await seat.said("complete", prompt="Hi", model="one/m")
            row = seat.rows("SELECT hold_key FROM circuits WHERE hold_reason = 'auth'")[0]

    assert "code: all_failed" in first
    assert "is on hold (auth)" in second
    assert third["text"] == "Here."
    assert len(row["hold_key"]) == 8
    assert len(server.posts) == 2


async def test_calls_that_wait_for_a_place_hold_no_money(tmp_path: Path) -> None:
    pause, said, held = anyio.Event(), anyio.Event(), list[dict[str, Any]]()
    async with (
        upstream(spoken("He", "re.", pause=pause, said=said)) as server,
        seated(tmp_path, served("one", server.url, more="concurrency = 1"), budget("9")) as seat,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(partial(seat.said, "complete", prompt="Hi"))
        await said.wait()
        held += seat.rows("SELECT id FROM reservations WHERE state = 'held'")
        pause.set()

    assert len(held) == 1
    assert len(server.posts) == 3
