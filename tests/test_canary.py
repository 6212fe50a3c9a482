"""A key that every failure repeats to us appears nowhere: result, log, ledger, file or screen."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
from click.testing import CliRunner
from ledger_rows import filled
from logged import lines, logged
from seats import chain, seated, served, stripped, text_of, write_config
from upstream import Request, Script, Send, answer, event, head, nothing, silence, upstream

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.redact import MASK

pytestmark = pytest.mark.anyio
CANARY = "canary/0123+456789=abcdefghij"
FORMS = (
    CANARY,
    quote(CANARY, safe=""),
    quote(CANARY),
    base64.b64encode(CANARY.encode()).decode(),
    json.dumps(CANARY)[1:-1],
)
KEY = 'api_key = "${THE_KEY}"'
ENVIRON = {"THE_KEY": CANARY}
SAID = f"the key {CANARY} at https://host/v1?key={quote(CANARY, safe='')} is wrong"


def body(code: str = "bad", kind: str = "error") -> str:
    return json.dumps({"error": {"message": SAID, "type": kind, "code": code, "param": CANARY}})


def failing(status: int, code: str = "bad", **headers: str) -> Script:
    return answer(body(code), status=status, x_request_id=CANARY, **headers)


async def broken_off(request: Request, send: Send) -> None:
    """An error inside an answer that has begun."""
    await send(head(200, {"content-type": "text/event-stream"}))
    await send(event({"content": "So far"}))
    await send(b"data: " + body("server_error").encode() + b"\n\n")


async def cut_off(request: Request, send: Send) -> None:
    await send(head(200, {"content-type": "text/event-stream", "x-request-id": CANARY}))
    await send(event({"content": "So far"}))


async def echoed(request: Request, send: Send) -> None:
    """The whole request comes back, as some proxies answer."""
    lines = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    await answer(lines, status=502, kind="text/plain")(request, send)


FAILURES: dict[str, Script] = {
    "locked": failing(401, "invalid_api_key"),
    "forbidden": failing(403),
    "no credit": failing(402, "insufficient_quota"),
    "no quota": failing(429, "insufficient_quota"),
    "throttled": failing(429, "rate_limit_exceeded", retry_after="30"),
    "not found": failing(404, "model_not_found"),
    "conflict": failing(409),
    "too large": failing(413),
    "too long": failing(400, "context_length_exceeded"),
    "refused": failing(422),
    "failed": failing(500),
    "overloaded": failing(529),
    "odd status": failing(418),
    "redirected": answer("", status=307, location=f"https://elsewhere.test/?key={CANARY}"),
    "garbled": answer(f"<html>{SAID}</html>", kind="text/html"),
    "not what was promised": answer(json.dumps({"choices": SAID})),
    "cut short": answer(f'{{"choices": [{{"message": "{SAID}'),
    "error within": broken_off,
    "cut off": cut_off,
    "echoed": echoed,
    "hung up": nothing,
}


def leaks(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def written(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the home directory, names included."""
    for path in sorted(home.rglob("*")):
        yield path.name, path.read_bytes() if path.is_file() else b""


def kept(home: Path) -> list[str]:
    """The files that hold the key in any form."""
    return [
        name
        for name, data in written(home)
        if any(form.encode() in data or form in name for form in FORMS)
    ]


def run(home: Path, *arguments: str) -> str:
    env = {**stripped(), "ROUNDHOUSE_HOME": str(home), **ENVIRON}
    result = CliRunner().invoke(command_line(), list(arguments), env=env)
    trace = "" if result.exception is None else repr(result.exception)
    return result.output + trace


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_that_repeats_the_key_gives_it_to_nobody(
    failure: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with upstream(FAILURES[failure], gets=True) as server:
        config = served("one", server.url, more=f'{KEY}\nembedding_model = "m"')
        async with seated(tmp_path, config, "[retries]\nper_provider = 1\n", environ=ENVIRON) as s:
            with logged(s.desk):
                results = [
                    await s.call("complete", prompt="Hi", model="one/m"),
                    await s.call("embed", texts=["Hi"], model="one/m"),
                    await s.call("complete", prompt="Hi"),
                    *[await s.call(name) for name in ("provider_health", "cost_report")],
                    await s.call("route_for_task"),
                ]
                (call,) = s.rows("SELECT call_id FROM calls ORDER BY id LIMIT 1")
                read = [
                    await s.client.read_resource(f"roundhouse://{path}")
                    for path in (f"calls/{call['call_id']}", "ledger/recent", "providers/one")
                ]
        asked = [request.headers for request in server.asked]
        screens = await anyio.to_thread.run_sync(shown, tmp_path, call["call_id"])

    assert results[0].is_error
    assert any(CANARY in headers.get("authorization", "") for headers in asked)
    assert not leaks(str(read))
    for result in results:
        assert not leaks(text_of(result))
        assert not leaks(json.dumps(result.structured_content))
    assert not leaks(screens)
    assert not leaks("\n".join(formatted(caplog)))
    assert lines(tmp_path)
    assert kept(tmp_path) == []


def formatted(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """What our own loggers said, with tracebacks. A server's handler redacts it once more."""
    plain = logging.Formatter("%(name)s %(message)s")
    yield from (plain.format(record) for record in caplog.records if "roundhouse" in record.name)


def shown(home: Path, call_id: str) -> str:
    return "\n".join(
        (
            run(home, "why", call_id),
            run(home, "why", call_id, "--json"),
            run(home, "ledger", "export"),
            run(home, "ledger", "export", "--of", "attempts", "--csv"),
            run(home, "circuit", "list"),
            run(home, "doctor", "--probe"),
            run(home, "providers", "list"),
            run(home, "config", "show"),
        )
    )


async def test_a_call_that_waits_in_vain_gives_the_key_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with upstream(silence) as server:
        config = (chain("one", "gone"), served("one", server.url, more=KEY))
        gone = served("gone", "http://127.0.0.1:9/v1", more=KEY)
        async with seated(tmp_path, *config, gone, environ=ENVIRON) as seat:
            with logged(seat.desk):
                late = await seat.refused("complete", prompt="Hi", model="one/m", timeout_s=1)
                away = await seat.refused("complete", prompt="Hi", model="gone/m", timeout_s=5)

    assert not leaks(late + away + "\n".join(formatted(caplog)))
    assert kept(tmp_path) == []


async def test_a_damaged_ledger_gives_the_key_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    filled(tmp_path, 3).write_bytes(b"no database " * 500)
    async with upstream(failing(401)) as server:
        config = served("one", server.url, more=KEY)
        async with seated(tmp_path, config, environ=ENVIRON) as seat:
            with logged(seat.desk):
                said = await seat.refused("complete", prompt="Hi", model="one/m")
    screens = run(tmp_path, "ledger", "check") + run(tmp_path, "ledger", "repair", "--yes")

    assert not leaks(said + screens + "\n".join(formatted(caplog)))
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "row",
    [
        '[providers.one]\nwire = "nonsense"\nbase_url = "https://host/v1"\n',
        '[providers.one]\nwire = "openai_chat"\nbase_url = "https://host/v1?key=${THE_KEY}"\n',
        '[providers.one]\nwire = "openai_chat"\nbase_url = "https://u:${THE_KEY}@host/v1"\n',
        '[providers.one]\nwire = "openai_chat"\nbase_url = "${THE_KEY}"\n',
        '[providers.one]\nlike = "${THE_KEY}"\n',
        '[routing]\nstrategy = "${THE_KEY}"\n',
    ],
)
def test_a_mistake_in_the_configuration_gives_the_key_to_nobody(row: str, tmp_path: Path) -> None:
    write_config(tmp_path, row, KEY)

    said = "".join(run(tmp_path, *line.split()) for line in ("doctor", "config check", "models"))

    assert not leaks(said)
    assert kept(tmp_path) == []


def test_the_search_would_find_the_key(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x").write_bytes(b"..." + FORMS[3].encode())

    assert kept(tmp_path) == ["x"]
    assert leaks(SAID)
    assert not leaks(SAID.replace(CANARY, MASK).replace(FORMS[1], MASK))
