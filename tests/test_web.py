"""The server over HTTP as clients meet it: who gets in, as whom, and how it stops."""

import json
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from click.testing import CliRunner
from mcp.types import ElicitRequestParams, ElicitResult
from seats import Era, budget, rows, scripted, served, settled, text_of
from sites import ACCEPTED, Place, named, opened, post, spawned
from upstream import spoken, upstream

from roundhouse_mcp.server.commands.root import root
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.web import tokens
from roundhouse_mcp.server.web.admission import host_of
from roundhouse_mcp.server.web.listener import listening_at, tokens_of

ONE = scripted("one", "text=All%20is%20well.")
HELD = "SELECT * FROM reservations WHERE state = 'held'"
BOTH = pytest.mark.parametrize("era", ["auto", "legacy"])


async def asked(place: Place, path: str = "/mcp", **headers: str) -> httpx2.Response:
    """The answer to a listing with these headers more; an empty one is left out."""
    said = {**place.headers, **named("tools/list"), **headers}
    async with httpx2.AsyncClient(timeout=20) as http:
        return await http.post(
            place.url.replace("/mcp", path),
            headers={name: value for name, value in said.items() if value},
            json=post("tools/list"),
        )


@BOTH
async def test_a_client_with_a_token_is_served_in_both_eras_and_known_by_its_name(
    tmp_path: Path, era: Era
) -> None:
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    slow = scripted("slow", "delay_ms=60&text=" + "%20".join(f"word{n}" for n in range(12)))
    with anyio.fail_after(20):
        async with opened(tmp_path, ONE, slow) as place, place.seat(era=era) as seat:
            version = seat.client.protocol_version
            result = await seat.client.call_tool(
                "complete", {"prompt": "Hi", "model": "slow/m"}, progress_callback=note
            )
            await settled(tmp_path, "SELECT * FROM calls")

    assert version == ("2026-07-28" if era == "auto" else "2025-11-25")
    assert result.structured_content is not None, text_of(result)
    assert result.structured_content["text"].endswith("word11")
    assert heard
    assert rows(tmp_path, "SELECT client, project FROM calls") == [
        {"client": "cursor", "project": ""}
    ]
    assert rows(tmp_path, "SELECT client FROM servers") == [{"client": "http"}]


async def test_budgets_and_limits_of_a_client_are_those_of_its_tokens_name(tmp_path: Path) -> None:
    limits = '[clients.zed]\nrpm = 1\n[[budgets]]\nscope = "client:cursor"\nperiod = "total"\n'
    with anyio.fail_after(20):
        async with opened(tmp_path, ONE, limits + 'limit_usd = "0.000000001"\n') as place:
            _, zeds = tokens.add(Home(tmp_path), "zed", now=0.0)
            async with place.seat() as cursor, place.seat(token=zeds) as zed:
                over = await cursor.refused("complete", prompt="Hi")
                fine = await zed.said("complete", prompt="Hi")
                often = await zed.refused("complete", prompt="Hi")

    assert "code: over_budget" in over
    assert fine["text"] == "All is well."
    assert "Client zed made its 1 calls of this minute" in often


async def test_a_client_cannot_read_on_in_a_call_of_another(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with opened(tmp_path, ONE) as place:
            _, zeds = tokens.add(Home(tmp_path), "zed", now=0.0)
            async with place.seat() as cursor, place.seat(token=zeds) as zed:
                made = await cursor.said("complete", prompt="Hi")
                own = await cursor.said("complete", call_id=made["call_id"])
                foreign = await zed.refused("complete", call_id=made["call_id"])

    assert own["text"] == "All is well."
    assert "code: not_found" in foreign


async def test_what_has_no_right_to_be_heard_is_refused_and_the_server_goes_on(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, ONE, hosts=["models.lan"]) as place:
        found = {
            name: await asked(place, **headers)
            for name, headers in {
                "no token": {"authorization": ""},
                "wrong token": {"authorization": f"Bearer {place.token[:-2]}xx"},
                "no bearer": {"authorization": f"Basic {place.token}"},
                "foreign host": {"host": "rebound.example:80"},
                "host in front": {"host": "localhost@rebound.example"},
                "foreign origin": {"origin": "https://rebound.example"},
                "hidden origin": {"origin": "null"},
                "odd origin": {"origin": "http://localhost.rebound.example"},
                "elsewhere": {"path": "/"},
                "own origin": {"origin": f"http://localhost:{place.port}"},
                "other name": {"host": "MODELS.lan:99", "origin": "https://models.lan"},
                "plain": {},
            }.items()
        }
        async with place.seat() as seat:
            said = await seat.said("complete", prompt="Hi")

    assert {name: answer.status_code for name, answer in found.items()} == {
        **dict.fromkeys(["no token", "wrong token", "no bearer"], 401),
        **dict.fromkeys(["foreign host", "host in front"], 421),
        **dict.fromkeys(["foreign origin", "hidden origin", "odd origin"], 403),
        "elsewhere": 404,
        **dict.fromkeys(["own origin", "other name", "plain"], 200),
    }
    assert found["no token"].headers["www-authenticate"].startswith("Bearer")
    assert "roundhouse token add" in found["no token"].json()["error"]["message"]
    assert said["text"] == "All is well."


@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "chunked"])
async def test_a_body_of_5_mib_is_refused(tmp_path: Path, *, is_declared: bool) -> None:
    body = json.dumps(post("tools/call", name="complete", arguments={"prompt": "x" * (5 << 20)}))

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)].encode()

    with anyio.fail_after(20):
        async with opened(tmp_path, ONE) as place, httpx2.AsyncClient() as http:
            headers = {**place.headers, **named("tools/call", **{"mcp-name": "complete"})}
            content = body.encode() if is_declared else pieces()
            refused = await http.post(place.url, headers=headers, content=content)
            listed = await asked(place)

    assert (refused.status_code, listed.status_code) == (413, 200)


async def test_a_token_that_is_removed_opens_nothing_from_the_next_request_on(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, ONE) as place:
        before = await asked(place)
        tokens.remove(Home(tmp_path), "cursor")
        after = await asked(place)

    assert (before.status_code, after.status_code) == (200, 401)


async def test_a_session_of_one_client_is_closed_to_the_others(tmp_path: Path) -> None:
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    }
    first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    with anyio.fail_after(20):
        async with opened(tmp_path, ONE) as place, httpx2.AsyncClient() as http:
            _, zeds = tokens.add(Home(tmp_path), "zed", now=0.0)
            headers = {**place.headers, "accept": ACCEPTED}
            begun = await http.post(place.url, headers=headers, json=first)
            headers["mcp-session-id"] = begun.headers["mcp-session-id"]
            headers["mcp-protocol-version"] = "2025-11-25"
            own = await http.post(place.url, headers=headers, json=ping)
            headers["authorization"] = f"Bearer {zeds}"
            foreign = await http.post(place.url, headers=headers, json=ping)

    assert (own.status_code, foreign.status_code) == (200, 404)


@BOTH
async def test_a_cancelled_call_hangs_up_upstream(tmp_path: Path, era: Era) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        with anyio.fail_after(20):
            async with (
                opened(tmp_path, served("one", server.url), budget("10")) as place,
                place.seat(era=era) as seat,
            ):
                async with anyio.create_task_group() as group:
                    group.start_soon(seat.client.call_tool, "complete", {"prompt": "Hi"})
                    await said.wait()
                    group.cancel_scope.cancel()
                await server.gone.wait()
                calls = await settled(tmp_path, "SELECT status FROM calls")
                left = rows(tmp_path, HELD)

    assert (calls, left) == ([{"status": "cancelled"}], [])


async def test_a_stream_that_the_client_closes_hangs_up_upstream(tmp_path: Path) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        with anyio.fail_after(20):
            async with opened(tmp_path, served("one", server.url), budget("10")) as place:
                body = post("tools/call", name="complete", arguments={"prompt": "Hi"})
                headers = {**place.headers, **named("tools/call", **{"mcp-name": "complete"})}
                async with httpx2.AsyncClient() as http, anyio.create_task_group() as group:
                    group.start_soon(lambda: http.post(place.url, headers=headers, json=body))
                    await said.wait()
                    group.cancel_scope.cancel()
                await server.gone.wait()
                calls = await settled(tmp_path, "SELECT status FROM calls")

    assert calls == [{"status": "cancelled"}]


@BOTH
async def test_a_user_is_asked_over_http_in_both_eras(tmp_path: Path, era: Era) -> None:
    seen: list[str] = []

    async def ask(context: object, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params.message)
        return ElicitResult(action="accept", content={"allow": True})

    dear = scripted("dear", "text=dear", price=("1000", "1000"))
    with anyio.fail_after(20):
        async with (
            opened(tmp_path, dear, budget("0.01") + 'at_limit = "ask"\n') as place,
            place.seat(era=era, elicitation=ask) as seat,
        ):
            said = await seat.said("complete", prompt="Hi", max_tokens=1000)
            by = seat.rows("SELECT by FROM approvals")

    assert (said["text"], len(seen), by) == ("dear", 1, [{"by": "the user of cursor"}])


async def test_a_server_told_to_stop_answers_what_it_began_and_begins_no_more(
    tmp_path: Path,
) -> None:
    said, pause = anyio.Event(), anyio.Event()
    answers: list[dict[str, Any]] = []
    refused = ""
    async with upstream(spoken("So far ", "so good.", said=said, pause=pause)) as server:
        with anyio.fail_after(30):
            async with spawned(tmp_path, served("one", server.url), budget("10")) as place:
                async with place.seat() as seat, anyio.create_task_group() as group:

                    async def call() -> None:
                        answers.append(await seat.said("complete", prompt="Hi"))

                    group.start_soon(call)
                    await said.wait()
                    place.running.send_signal(signal.SIGTERM)
                    refused = await when_closing(place)
                    pause.set()
                code = await place.running.wait()
                told = await place.complaint()

    assert (code, answers[0]["text"]) == (0, "So far so good.")
    assert refused.startswith("Roundhouse is about to stop.")
    assert told == f"roundhouse: serving {place.url} for cursor\n"
    assert rows(tmp_path, "SELECT status FROM calls") == [{"status": "ok"}]
    assert rows(tmp_path, "SELECT ended IS NOT NULL AS gone FROM servers") == [{"gone": 1}]


async def when_closing(place: Place) -> str:
    """What a new call is told, once the server has heard that it shall stop."""
    async with place.seat() as seat:
        while True:
            said = await seat.refused("complete", call_id="none")
            if "about to stop" in said:
                return said
            await anyio.sleep(0.02)


async def test_a_second_signal_ends_calls_and_settles_them(tmp_path: Path) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        with anyio.fail_after(30):
            async with spawned(tmp_path, served("one", server.url), budget("10")) as place:
                async with httpx2.AsyncClient(timeout=20) as http:
                    body = post("tools/call", name="complete", arguments={"prompt": "Hi"})
                    headers = {**place.headers, **named("tools/call", **{"mcp-name": "complete"})}
                    async with anyio.create_task_group() as group:
                        group.start_soon(lost, http, place.url, headers, body)
                        await said.wait()
                        place.running.send_signal(signal.SIGINT)
                        await when_closing(place)
                        place.running.send_signal(signal.SIGINT)
                code = await place.running.wait()
                await server.gone.wait()
                told = await place.complaint()

    assert code == 0
    assert "Traceback" not in told
    assert rows(tmp_path, "SELECT status FROM calls") == [{"status": "cancelled"}]
    assert rows(tmp_path, HELD) == rows(tmp_path, "SELECT * FROM inflight") == []


async def lost(http: httpx2.AsyncClient, url: str, headers: Any, body: Any) -> None:
    """A request whose answer never comes."""
    with pytest.raises(httpx2.TransportError):
        await http.post(url, headers=headers, json=body)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("0.0.0.0", "0.0.0.0 can be reached by other machines, so say under which names"),
        ("::", ":: can be reached by other machines"),
        ("192.0.2.1", "--allow-host NAME"),
        ("no-such-name.invalid", "Nothing can listen at no-such-name.invalid port 0"),
    ],
)
def test_a_server_is_reached_from_elsewhere_only_by_names_that_were_said(
    host: str, words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        listening_at(host, 0, ())

    assert words in str(refused.value)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with (
        listening_at("127.0.0.1", 0, ()) as first,
        pytest.raises(ConfigError, match=r"Nothing can listen at 127.0.0.1 port \d+ \(Address al"),
    ):
        listening_at("127.0.0.1", first.getsockname()[1], ())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "1"], "--port, --host and --allow-host go with --http."),
        (["--http", "--client", "x"], "Over HTTP the token names the client: leave --client out."),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(arguments: list[str], words: str) -> None:
    said = CliRunner().invoke(root, ["serve", *arguments])

    assert (said.exit_code, said.stderr) == (2, f"Error: {words}\n")


def test_without_a_token_there_is_nobody_to_serve(tmp_path: Path) -> None:
    words = "Clients need a token each, and there is none; run: roundhouse token add NAME"
    with pytest.raises(ConfigError, match=words):
        tokens_of(Home(tmp_path))


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:80", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:80", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
        ("user@localhost", ""),
        ("localhost/x", ""),
        ("localhost?x", ""),
        ("[::1", ""),
        ("localhost:80@evil.example", ""),
        ("evil.example#localhost", ""),
    ],
)
def test_a_host_is_read_as_it_is_and_not_as_it_looks(authority: str, host: str) -> None:
    assert host_of(authority) == host
