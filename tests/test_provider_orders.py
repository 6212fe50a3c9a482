"""Tests, unloading and what-if questions asked through the ledger, carried out by a server."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from local_program import Program
from seats import Inside, budget, chain, rows, scripted, seated, served, settled
from upstream import Request, Send, answer, silence, upstream

from roundhouse_mcp.server import controls, provider_orders
from roundhouse_mcp.server.ledger import control_rows
from roundhouse_mcp.server.provider_orders import Order

KEY = "sk-verysecretverysecretverysecret1"
LIST = json.dumps({"data": [{"id": "a"}, {"id": "b"}]})
BOTH = (chain("first", "second"), scripted("first", "text=1"), scripted("second", "text=2"))
DONE = "SELECT result FROM control WHERE done IS NOT NULL AND id = ?"
TESTS = "SELECT * FROM provider_tests"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "EVERY_S", 0.02)


async def asked(seat: Inside, kind: str, **argument: Any) -> dict[str, Any]:
    number = await ask(seat, kind, **argument)
    with anyio.fail_after(20):
        return json.loads((await settled(seat.home, DONE, number))[0]["result"])


async def ask(seat: Inside, kind: str, **argument: Any) -> int:
    now, text = seat.desk.clock(), json.dumps(argument)
    return await seat.desk.ledger.write(
        control_rows.ask, by="ana@mba", kind=kind, argument=text, now=now
    )


async def test_a_test_says_how_fast_a_provider_answers_and_what_it_has(tmp_path: Path) -> None:
    async with upstream(answer(LIST), gets=True) as server:
        row = served("own", server.url, more='key_env = "OWN_KEY"')
        async with seated(tmp_path, row, environ={"OWN_KEY": KEY}) as seat:
            said = await asked(seat, "provider.test", provider="own")
            tests = seat.rows(TESTS)

    assert (said["ok"], said["models"], said["key_accepted"]) == (True, 2, True)
    assert said["said"] == "own: 2 models"
    assert (tests[0]["provider"], tests[0]["by"], tests[0]["ok"]) == ("own", "ana@mba", 1)
    assert (tests[0]["ms"], tests[0]["models"]) == (said["ms"], 2)
    assert tests[0]["server"] == said["server"]
    assert server.posts == []


async def test_a_test_that_fails_says_why_and_never_with_which_key(tmp_path: Path) -> None:
    async def refuses(request: Request, send: Send) -> None:
        told = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
        await answer(json.dumps(told), status=401)(request, send)

    async with upstream(refuses, gets=True) as server:
        row = served("own", server.url, more='key_env = "OWN_KEY"')
        async with seated(tmp_path, row, environ={"OWN_KEY": KEY}) as seat:
            said = await asked(seat, "provider.test", provider="own")
            tests = seat.rows(TESTS)

    assert (said["ok"], said["code"], said["key_accepted"]) == (False, "failed", False)
    assert "Incorrect API key provided" in said["said"]
    assert tests[0]["ok"] == 0
    assert KEY not in str((said, tests))


async def test_a_test_without_a_key_says_what_to_set_and_sends_nothing(tmp_path: Path) -> None:
    async with seated(tmp_path) as seat:
        said = await asked(seat, "provider.test", provider="openai")

    assert said["ok"] is False
    assert "set OPENAI_API_KEY, or run: roundhouse keys set openai" in said["said"]


async def test_a_test_by_call_costs_one_token_and_counts_like_every_call(tmp_path: Path) -> None:
    spent = budget("0", scope="provider:first")
    async with seated(tmp_path, *BOTH, spent) as seat:
        refused = await asked(seat, "provider.test", provider="first", call=True)
        said = await asked(seat, "provider.test", provider="second", call=True)
        answered = "SELECT provider, model, client FROM calls WHERE status = 'ok'"
        calls = await settled(tmp_path, answered)
        tests = seat.rows(f"{TESTS} WHERE provider = 'second'")

    assert refused["ok"] is False
    assert "provider:first" in refused["said"]
    assert (said["ok"], said["model"]) == (True, "m")
    assert calls == [{"provider": "second", "model": "m", "client": "ana@mba"}]
    assert (tests[0]["ok"], tests[0]["said"]) == (1, "m answered")


async def test_a_model_is_unloaded_the_way_the_tool_does_it(tmp_path: Path) -> None:
    program = Program()
    async with upstream(program.script, gets=True) as server:
        row = f'[providers.own]\nlike = "ollama"\nbase_url = "{server.url}"\n'
        async with seated(tmp_path, row) as seat:
            said = await asked(seat, "provider.unload", provider="own", model="qwen:8b")
            again = await asked(seat, "provider.unload", provider="own", model="qwen:8b")

    assert (said["ok"], said["unloaded"]) == (True, True)
    assert said["said"] == "qwen:8b was unloaded from own, freeing 5.0 GB"
    assert (again["ok"], program.loaded) == (False, {})
    assert "is not loaded" in again["said"]


async def test_a_what_if_is_answered_as_route_for_task_answers_it(tmp_path: Path) -> None:
    question = {"input_tokens": 6000, "output_tokens": 800, "strategy": "cheapest"}
    async with seated(tmp_path, *BOTH) as seat:
        said = await asked(seat, "route", **question)
        tool = await seat.said("route_for_task", **question)

    assert {name: said[name] for name in tool} == tool
    assert said["said"] == "2 candidates"


NONSENSE: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("provider.test", {}, "bad_request", "does not name a provider"),
    ("provider.test", {"provider": "opnai"}, "not_found", "Did you mean 'openai'?"),
    ("provider.unload", {"provider": "first"}, "bad_request", "does not name a model"),
    ("provider.unload", {"model": "x"}, "not_found", "no provider here has a model 'x'"),
    ("route", {"needs": ["wings"]}, "bad_request", "needs.0: Input should be"),
    ("route", {"url": "http://x"}, "bad_request", "url: Extra inputs are not permitted"),
    ("route", {"model": "a b"}, "bad_request", "is no model's name"),
    ("route", {"input_tokens": -1}, "bad_request", "input_tokens"),
)


async def test_an_order_that_makes_no_sense_is_answered_with_the_reason(tmp_path: Path) -> None:
    async with seated(tmp_path, *BOTH) as seat:
        answers = [await asked(seat, kind, **argument) for kind, argument, _, _ in NONSENSE]

    for said, (_, _, code, words) in zip(answers, NONSENSE, strict=True):
        assert (said["ok"], said["code"]) == (False, code)
        assert words in said["said"]


async def test_an_order_is_given_up_in_time_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = {"provider.test": Order(provider_orders.test, limit_s=0.5)}
    monkeypatch.setattr(provider_orders, "ORDERS", {**provider_orders.ORDERS, **hurried})

    async with (
        upstream(silence, gets=True) as server,
        seated(tmp_path, served("slow", server.url), *BOTH) as seat,
    ):
        number = await ask(seat, "provider.test", provider="slow")
        quick = await asked(seat, "circuit.trip", provider="first")
        waiting = rows(tmp_path, DONE, number)
        with anyio.fail_after(20):
            late = json.loads((await settled(tmp_path, DONE, number))[0]["result"])

    assert (quick["ok"], waiting) == (True, [])
    assert (late["ok"], late["code"]) == (False, "timeout")
