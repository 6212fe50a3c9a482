"""Where calls go: order, fallback, circuits, budgets, privacy, and the reasons for all of it."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Inside, budget, chain, scripted, seated, served, text_of
from upstream import answer, in_turn, spoken, upstream

from roundhouse_mcp.server.ledger import circuit_rows
from roundhouse_mcp.server.ledger.driver import Connection

PAIR = chain("first", "second") + scripted("first", "text=1") + scripted("second", "text=2")
FAILING = chain("bad", "good") + scripted("bad", "status=503") + scripted("good", "text=Here.")
NO_RETRIES = "[retries]\nper_provider = 1\n"


def tried(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(a["provider"], a["outcome"]) for a in said.get("attempts", [])]


def candidates(route: dict[str, Any]) -> list[str]:
    return [f"{c['provider']}/{c['model']}" for c in route["candidates"]]


def reasons(route: dict[str, Any]) -> dict[str, str]:
    return {f"{e['provider']}/{e['model']}": e["reason"] for e in route["excluded"]}


async def held(seat: Inside) -> list[dict[str, Any]]:
    return seat.rows("SELECT * FROM reservations WHERE state = 'held'")


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"task": "code"},
        {"model": "m"},
        {"model": "second/m"},
        {"model": "second:m"},
        {"provider": "second"},
        {"strategy": "cheapest"},
        {"prefer": "cheapest", "task": "code"},
        {"max_cost_usd": 0.5},
    ],
)
async def test_complete_does_what_route_for_task_said(tmp_path: Path, wish: dict[str, Any]) -> None:
    config = (
        chain("first", "second", "third"),
        scripted("first", "status=500", price=("3", "3")),
        scripted("second", "text=2", price=("2", "2")),
        scripted("third", "text=3", models="other", price=("1", "1")),
        '[routing.tasks]\ncode = { models = ["third/other", "second/m"] }\n',
        NO_RETRIES,
    )
    async with seated(tmp_path, *config) as seat:
        route = await seat.said("route_for_task", prompt="Which way?", **wish)
        said = await seat.said("complete", prompt="Which way?", detail="full", **wish)

    done = [f"{a['provider']}/{a['model']}" for a in said["attempts"]]
    assert done == candidates(route)[: len(done)]
    assert done[-1] == f"{said['provider']}/{said['model']}"


async def test_showing_a_route_writes_nothing_and_sends_nothing(tmp_path: Path) -> None:
    async with seated(tmp_path, PAIR, budget("1")) as seat:
        await seat.said("route_for_task", task="code")
        asked = seat.desk.http.mock.seen
        calls = seat.rows("SELECT * FROM calls UNION SELECT * FROM calls")
        windows = seat.rows("SELECT * FROM budget_windows")

    assert not asked
    assert calls == []
    assert all(w["spent_nano"] == w["reserved_nano"] == 0 for w in windows)


async def test_a_call_falls_back_past_a_failing_provider(tmp_path: Path) -> None:
    async with seated(tmp_path, FAILING) as seat:
        said = await seat.said("complete", prompt="Hi")
        row = seat.rows("SELECT status, provider, attempts, trail FROM calls")[0]
        attempts = seat.rows("SELECT n, provider, outcome FROM attempts ORDER BY n")

    assert (said["text"], said["provider"]) == ("Here.", "good")
    assert tried(said) == [("bad", "faulted"), ("bad", "faulted"), ("good", "ok")]
    assert row == {
        "status": "ok",
        "provider": "good",
        "attempts": 3,
        "trail": "bad/m 503, bad/m 503",
    }
    assert [(a["n"], a["provider"], a["outcome"]) for a in attempts] == [
        (1, "bad", "faulted"),
        (2, "bad", "faulted"),
        (3, "good", "ok"),
    ]


async def test_the_third_provider_has_its_turn_when_two_are_down(tmp_path: Path) -> None:
    config = (
        chain("bad", "worse", "good"),
        scripted("bad", "status=503"),
        scripted("worse", "status=500"),
        scripted("good", "text=Here."),
    )
    async with seated(tmp_path, *config) as seat:
        said = await seat.said("complete", prompt="Hi")

    assert said["text"] == "Here."
    assert [provider for provider, _ in tried(said)] == ["bad", "bad", "worse", "good"]


@pytest.mark.parametrize("wish", [{"model": "bad/m"}, {"provider": "bad"}])
async def test_a_named_provider_is_not_replaced_by_another(
    tmp_path: Path, wish: dict[str, str]
) -> None:
    async with seated(tmp_path, FAILING) as seat:
        text = await seat.refused("complete", prompt="Hi", **wish)
        asked = seat.desk.http.mock.seen

    assert "code: all_failed" in text
    assert asked["good"] == 0


async def test_a_bare_model_falls_back_to_the_same_model_elsewhere(tmp_path: Path) -> None:
    third = scripted("third", "text=3", models="other")
    async with seated(tmp_path, FAILING, third) as seat:
        route = await seat.said("route_for_task", model="m")
        said = await seat.said("complete", prompt="Hi", model="m")

    assert candidates(route) == ["bad/m", "good/m"]
    assert said["provider"] == "good"


async def test_fallback_can_be_switched_off(tmp_path: Path) -> None:
    config = FAILING.replace("[routing]\n", "[routing]\nfallback = false\n")
    async with seated(tmp_path, config) as seat:
        text = await seat.refused("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen

    assert "code: all_failed" in text
    assert asked["good"] == 0


async def test_a_request_that_is_wrong_is_not_tried_elsewhere(tmp_path: Path) -> None:
    config = FAILING.replace("status=503", "status=400")
    async with seated(tmp_path, config) as seat:
        text = await seat.refused("complete", prompt="Hi")
        asked = dict(seat.desk.http.mock.seen)

    assert "refused" in text.split("\n")[0]
    assert "retryable: false" in text
    assert asked == {"bad": 1}


async def test_a_passing_fault_is_survived_by_one_more_try(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "status=503&times=1&text=Up.")) as seat:
        said = await seat.said("complete", prompt="Hi", model="one/m")

    assert said["text"] == "Up."
    assert tried(said) == [("one", "faulted"), ("one", "ok")]


async def test_a_circuit_opens_after_five_failures_and_the_next_call_skips_it(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, FAILING, NO_RETRIES) as seat:
        for _ in range(5):
            await seat.said("complete", prompt="Hi")
        said = await seat.said("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen
        route = await seat.said("route_for_task")
        health = await seat.said("provider_health", provider="bad")
        named = await seat.refused("complete", prompt="Hi", model="bad/m")

    assert asked["bad"] == 5
    assert (said["provider"], tried(said)) == ("good", [])
    assert candidates(route) == ["good/m"]
    assert reasons(route)["bad/m"] == "circuit_open"
    assert "closed" not in health["providers"][0]["circuit"]
    assert "code: no_route" in named
    assert "retry_after_s: " in named
    assert "Nothing was sent, no cost." in named


async def test_when_everything_is_left_out_each_reason_is_told_and_when_the_first_is_back(
    tmp_path: Path,
) -> None:
    names = [f"p{n}" for n in range(7)]
    config = (chain(*names), *(scripted(name, "text=Never.") for name in names))
    now = time.time()

    def leave_out(db: Connection) -> None:
        for n, name in enumerate(names):
            until = now + 100.4 - n
            if n < 5:
                circuit_rows.record_cooldown(
                    db, (name, "*"), epoch=0, now=now, until=until, error="throttled", by="test"
                )
            else:
                circuit_rows.hold(db, (name, "*"), now=now, until=until, by="test")

    async with seated(tmp_path, *config) as seat:
        seat.desk.clock = lambda: now
        await seat.desk.ledger.write(leave_out)
        with anyio.fail_after(20):
            text = await seat.refused("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen

    assert text.startswith("No model can take this call: p0/m was told to wait; p1/m was told")
    assert "p3/m was told to wait and 3 more (cooldown 1, hold 2). " in text
    assert "p6/m can be tried in 94 s, none sooner. " in text
    assert "retryable: true\nretry_after_s: 95\n" in text
    assert asked == {}


async def test_an_open_circuit_is_tested_by_one_call_and_closes_when_it_passes(
    tmp_path: Path,
) -> None:
    down = answer("down", status=503)
    config = "[circuits]\nfailure_threshold = 1\n"
    async with (
        upstream(in_turn(down, spoken("Up again."))) as server,
        seated(tmp_path, config, NO_RETRIES, served("one", server.url)) as seat,
    ):
        failed = await seat.refused("complete", prompt="Hi")
        skipped = await seat.refused("complete", prompt="Hi")
        seat.desk.clock = lambda: time.time() + 100
        said = await seat.said("complete", prompt="Hi")
        events = seat.rows("SELECT from_state, to_state FROM circuit_events ORDER BY id")

    assert "code: all_failed" in failed
    assert "code: no_route" in skipped
    assert said["text"] == "Up again."
    assert [(e["from_state"], e["to_state"]) for e in events] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


async def test_circuits_can_be_switched_off(tmp_path: Path) -> None:
    off = "[circuits]\nenabled = false\n"
    async with seated(tmp_path, FAILING, NO_RETRIES, off) as seat:
        for _ in range(7):
            await seat.said("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen

    assert asked["bad"] == 7


async def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(tmp_path: Path) -> None:
    busy = answer('{"error":{"message":"slow down"}}', status=429, retry_after="1")
    later = answer('{"error":{"message":"slow down"}}', status=429, retry_after="30")
    async with upstream(in_turn(busy, spoken("Now."))) as short, upstream(later) as long:
        config = (served("short", short.url), served("long", long.url))
        async with seated(tmp_path, *config) as seat:
            said = await seat.said("complete", prompt="Hi", model="short/m")
            text = await seat.refused("complete", prompt="Hi", model="long/m")
            again = await seat.refused("complete", prompt="Hi", model="long/m")
            waits = seat.rows("SELECT waited_s, waited_for FROM attempts WHERE provider = 'short'")

    assert said["text"] == "Now."
    assert [row["waited_s"] for row in waits] == [0.0, 1.0]
    assert waits[1]["waited_for"] == "retry-after"
    assert "retry_after_s: 30" in text
    assert "code: no_route" in again
    assert len(long.posts) == 1


async def test_a_wrong_key_puts_a_provider_on_hold_at_once(tmp_path: Path) -> None:
    config = FAILING.replace("status=503", "status=401")
    async with seated(tmp_path, config) as seat:
        first = await seat.said("complete", prompt="Hi")
        second = await seat.said("complete", prompt="Hi")
        route = await seat.said("route_for_task")

    assert tried(first) == [("bad", "locked"), ("good", "ok")]
    assert tried(second) == []
    assert reasons(route)["bad/m"] == "hold"


async def test_a_cap_lowered_to_fit_a_budget_lowers_what_the_call_is_expected_to_cost(
    tmp_path: Path,
) -> None:
    dear = scripted("dear", price=("1000", "1000"))
    async with seated(tmp_path, dear, budget("0.3")) as seat:
        (candidate,) = (await seat.said("route_for_task", prompt="Hi"))["candidates"]

    assert candidate["max_tokens"] < 300
    assert candidate["estimated_cost_usd"] <= candidate["max_cost_usd"] <= 0.3


async def test_a_budget_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    dear = scripted("dear", "text=Never.", price=("1000", "1000"))
    async with seated(tmp_path, dear, budget("0.000001")) as seat:
        text = await seat.refused("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen
        row = seat.rows("SELECT status, error_kind, attempts, cost_nano FROM calls")[0]
        holding = await held(seat)

    assert text.split("\n")[0].startswith("dear/m is over budget: it may cost $")
    assert ", budget global/total has $0.000001 left. Nothing that could take this " in text
    assert "code: over_budget" in text
    assert "retryable: false" in text
    assert "Nothing was sent, no cost." in text
    assert not asked
    assert (row["status"], row["error_kind"], row["attempts"]) == ("refused", "over_budget", 0)
    assert holding == []


async def test_a_budget_sends_a_call_to_what_it_can_pay_for(tmp_path: Path) -> None:
    config = (
        chain("dear", "cheap"),
        scripted("dear", "text=dear", price=("1000", "1000")),
        scripted("cheap", "text=cheap", price=("0.01", "0.01")),
        budget("0.01"),
    )
    async with seated(tmp_path, *config) as seat:
        route = await seat.said("route_for_task", output_tokens=4000)
        said = await seat.said("complete", prompt="Hi", max_tokens=4000)

    assert reasons(route)["dear/m"] == "over_budget"
    assert said["provider"] == "cheap"


async def test_the_output_cap_is_lowered_to_fit_a_budget(tmp_path: Path) -> None:
    async with upstream(spoken("Short.")) as server:
        config = (served("one", server.url, price=("1", "1000")), budget("1.00"))
        async with seated(tmp_path, *config) as seat:
            said = await seat.said("complete", prompt="Hi", max_tokens=4000)

    sent = server.posts[0].json["max_tokens"]
    assert said["text"] == "Short."
    assert 256 <= sent < 1000


async def test_what_has_no_price_runs_free_of_budgets_and_costs_nobody_knows(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, scripted("odd", "text=Hm.", price=None)) as seat:
        said = await seat.said("complete", prompt="Hi")
        costs = await seat.said("cost_report")

    assert said["cost_usd"] is None
    assert costs["totals"]["unpriced_calls"] == 1


async def test_what_has_no_price_is_refused_under_a_budget(tmp_path: Path) -> None:
    odd = scripted("odd", "text=Hm.", price=None)
    async with seated(tmp_path, odd, budget("10")) as seat:
        text = await seat.refused("complete", prompt="Hi")
        asked = seat.desk.http.mock.seen

    assert "odd/m has no known price, and a limit applies. Give its price" in text
    assert "Nothing was sent, no cost." in text
    assert not asked


async def test_what_has_no_price_is_charged_a_ceiling_where_that_is_allowed(
    tmp_path: Path,
) -> None:
    odd = scripted("odd", "text=Hm.", price=None)
    allow = "[routing]\nallow_unpriced = true\n"
    async with seated(tmp_path, allow, odd, budget("10")) as seat:
        said = await seat.said("complete", prompt="Hi", max_tokens=300)
        spent = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")[0]

    assert said["provider"] == "odd"
    assert spent["spent_nano"] > 0
    assert spent["reserved_nano"] == 0


async def test_a_call_dearer_than_its_caller_allows_is_refused(tmp_path: Path) -> None:
    dear = scripted("dear", price=("1000", "1000"))
    async with seated(tmp_path, dear) as seat:
        text = await seat.refused("complete", prompt="Hi", max_cost_usd=0.000001)

    assert "max_cost_usd is $" in text
    assert "Nothing was sent, no cost." in text


async def test_privacy_local_leaves_out_whatever_is_not_on_this_machine(tmp_path: Path) -> None:
    async with upstream(spoken("Here.")) as server:
        config = (
            chain("elsewhere", "here"),
            served("elsewhere", "http://192.0.2.1:9/v1", more="local = true"),
            served("here", server.url, more="local = true"),
            scripted("cloud", "text=cloud"),
        )
        async with seated(tmp_path, *config) as seat:
            route = await seat.said("route_for_task", privacy="local")
            said = await seat.said("complete", prompt="A secret", privacy="local")
            named = await seat.refused(
                "complete", prompt="A secret", privacy="local", model="elsewhere/m"
            )
            private = await seat.said("route_for_task", task="private")

    assert candidates(route) == candidates(private) == ["here/m"]
    assert reasons(route)["elsewhere/m"] == "privacy"
    assert said["provider"] == "here"
    assert "is not on this machine" in named
    assert "Nothing was sent, no cost." in named


async def test_a_tasks_own_models_come_first_and_others_follow(tmp_path: Path) -> None:
    task = '[routing.tasks]\ncode = { models = ["second/m"] }\n'
    only = '[routing.tasks]\ncode = { models = ["second/m"], only = true }\n'
    async with seated(tmp_path / "a", PAIR, task) as seat:
        followed = await seat.said("route_for_task", task="code")
    async with seated(tmp_path / "b", PAIR, only) as seat:
        alone = await seat.said("route_for_task", task="code")

    assert candidates(followed) == ["second/m", "first/m"]
    assert candidates(alone) == ["second/m"]


async def test_a_provider_meant_for_a_task_goes_before_the_others(tmp_path: Path) -> None:
    config = PAIR + '\n[providers.third]\nlike = "mock"\nbase_url = "mock://third"\n'
    config += 'models = ["m"]\nuse_for = ["code"]\n'
    async with seated(tmp_path, config) as seat:
        code = await seat.said("route_for_task", task="code")
        chat = await seat.said("route_for_task", task="chat")

    assert candidates(code)[0] == "third/m"
    assert candidates(chat)[0] == "first/m"


@pytest.mark.parametrize(
    ("wish", "named", "near"),
    [
        ({"task": "codde"}, "'codde'", "code"),
        ({"strategy": "cheepest"}, "'cheepest'", "cheapest"),
        ({"model": "firts/m"}, "firts/m", "first"),
        ({"provider": "secnd"}, "There is no provider 'secnd'", "second"),
        ({"provider": "secnd", "model": "m"}, "There is no provider 'secnd'", "second"),
    ],
)
async def test_a_name_nobody_knows_is_named_with_what_is_near(
    tmp_path: Path, wish: dict[str, str], named: str, near: str
) -> None:
    async with seated(tmp_path, PAIR) as seat:
        shown = await seat.refused("route_for_task", **wish)
        asked = await seat.refused("complete", prompt="Hi", **wish)

    for text in (shown, asked):
        assert named in text.split("\n")[0]
        assert near in text.split("\n")[0]
        assert "Nothing was sent, no cost." in text


async def test_every_candidate_left_out_has_its_reason(tmp_path: Path) -> None:
    config = (
        scripted("fine", "text=ok"),
        scripted("off", more="enabled = false"),
        scripted("dear", price=("1000", "1000")),
        scripted("odd", price=None),
        scripted("small", more='facts = { "m" = { context = 10 } }'),
        budget("0.05"),
    )
    async with seated(tmp_path, *config) as seat:
        route = await seat.said("route_for_task", input_tokens=1000, output_tokens=300)

    assert candidates(route) == ["fine/m"]
    assert {
        "off/m": "disabled",
        "dear/m": "over_budget",
        "odd/m": "unpriced",
        "small/m": "context",
    }.items() <= reasons(route).items()
    assert "key_missing" in reasons(route).values()
    assert all(row["detail"] for row in route["excluded"] if row["reason"] != "disabled")


async def test_what_a_model_cannot_do_leaves_it_out(tmp_path: Path) -> None:
    facts = 'facts = { "m" = { vision = false, tools = false, json = false } }'
    config = PAIR + scripted("third", more=facts)
    async with seated(tmp_path, config) as seat:
        found = [
            reasons(await seat.said("route_for_task", needs=[need]))["third/m"]
            for need in ("images", "tools", "schema")
        ]

    assert found == ["capability"] * 3


async def test_an_embedding_never_falls_back_to_another_model(tmp_path: Path) -> None:
    config = (
        chain("bad", "good"),
        scripted("bad", "status=503", price=None, more='embedding_model = "finder"'),
        scripted("good", price=None, more='embedding_model = "other"'),
    )
    async with seated(tmp_path, *config) as seat:
        text = await seat.refused("embed", texts=["one"])
        asked = seat.desk.http.mock.seen

    assert "code: all_failed" in text
    assert asked["good"] == 0


async def test_an_embedding_falls_back_to_the_same_model_elsewhere(tmp_path: Path) -> None:
    config = (
        chain("bad", "good"),
        scripted("bad", "status=503", price=None, more='embedding_model = "finder"'),
        scripted("good", price=None, more='embedding_model = "finder"'),
    )
    async with seated(tmp_path, *config) as seat:
        said = await seat.said("embed", texts=["one"])

    assert (said["provider"], said["model"]) == ("good", "finder")


async def test_the_cheapest_strategy_orders_by_what_this_call_costs(tmp_path: Path) -> None:
    config = (
        scripted("a", price=("5", "5")),
        scripted("b", price=("1", "1")),
        scripted("c", price=None),
    )
    async with seated(tmp_path, *config) as seat:
        route = await seat.said("route_for_task", prefer="cheapest")

    assert candidates(route) == ["b/m", "a/m", "c/m"]
    costs = [c["estimated_cost_usd"] for c in route["candidates"]]
    assert costs[0] < costs[1]
    assert costs[2] is None


async def test_with_nothing_configured_the_answer_says_what_would_enable_it(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path) as seat:
        text = await seat.refused("complete", prompt="Hi")

    assert text.startswith(
        "No model can take this call: no provider that is switched on has a key, and no local "
        "program answers. Set one of OPENAI_API_KEY, "
    )
    assert "code: no_route" in text
    assert "Nothing was sent, no cost." in text


async def test_a_named_model_without_a_key_gets_only_the_advice_it_needs(tmp_path: Path) -> None:
    async with seated(tmp_path) as seat:
        text = await seat.refused("complete", prompt="Hi", model="openai/gpt-5")

    assert "set OPENAI_API_KEY, or run: roundhouse keys set openai" in text
    assert "ANTHROPIC_API_KEY" not in text


async def test_a_local_call_without_local_models_is_not_told_to_set_keys(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("cloud")) as seat:
        text = await seat.refused("complete", prompt="A secret", privacy="local")
        route = await seat.said("route_for_task", privacy="local")

    assert "API_KEY" not in text
    assert "ollama/* is switched off" in text.split("\n")[0]
    assert reasons(route)["cloud/m"] == "privacy"
    assert "key_missing" not in reasons(route).values()


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (400, False), (404, False), (503, True), (409, True)]
)
async def test_only_what_may_pass_the_next_time_is_said_to_be_retryable(
    tmp_path: Path, status: int, retryable: bool
) -> None:
    async with seated(tmp_path, scripted("one", f"status={status}")) as seat:
        text = await seat.refused("complete", prompt="Hi", model="one/m")

    assert f"retryable: {'true' if retryable else 'false'}" in text


async def test_arguments_left_empty_count_as_not_given(tmp_path: Path) -> None:
    async with seated(tmp_path, PAIR) as seat:
        said = await seat.said(
            "complete", prompt="Hi", provider="", model="", task="", strategy="", system=""
        )

    assert said["provider"] == "first"


async def test_a_model_may_be_named_with_its_provider_twice(tmp_path: Path) -> None:
    async with seated(tmp_path, PAIR) as seat:
        said = await seat.said("complete", prompt="Hi", provider="second", model="second/m")

    assert (said["provider"], said["model"]) == ("second", "m")


async def test_the_mock_answers_only_to_its_name(tmp_path: Path) -> None:
    async with seated(tmp_path) as seat:
        route = await seat.said("route_for_task")

    assert "mock" not in {row["provider"] for row in route["candidates"] + route["excluded"]}


async def test_a_route_says_how_long_a_model_took_and_nothing_of_one_never_used(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, PAIR) as seat:
        await seat.said("complete", prompt="Hi", model="first/m")
        route = await seat.said("route_for_task", prompt="Hi")

    known = {c["provider"]: c["expected_ms"] for c in route["candidates"]}
    assert known["first"] >= 0
    assert known["second"] is None


async def test_a_route_says_which_call_would_test_an_open_circuit(tmp_path: Path) -> None:
    down = scripted("one", "status=500")
    async with seated(tmp_path, down, "[circuits]\nfailure_threshold = 2\n") as seat:
        await seat.refused("complete", prompt="Hi", model="one/m")
        refused = await seat.said("route_for_task", model="one/m")
        now = seat.desk.clock()
        seat.desk.clock = lambda: now + 120
        due = await seat.said("route_for_task", model="one/m")

    assert [e["reason"] for e in refused["excluded"]] == ["circuit_open"]
    assert [c["circuit"] for c in due["candidates"]] == ["open, this call would test it"]


async def test_calls_that_lose_the_race_for_the_last_place_hear_why_and_when_to_come_back(
    tmp_path: Path,
) -> None:
    once = scripted("one", "text=Mine.", more="rpm = 1")
    texts: list[str] = []
    async with seated(tmp_path, once) as seat:

        async def call() -> None:
            texts.append(text_of(await seat.call("complete", prompt="Hi")))

        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(call)

    refused = [text for text in texts if not text.startswith("Mine.")]
    assert len(refused) == 11
    assert {text.partition(". ")[0] for text in refused} == {
        "No model can take this call: one/m has had 1 of 1 requests a minute (rpm)"
    }
    assert all("can be tried in " in text and "\nretry_after_s: " in text for text in refused)


async def test_a_fault_of_our_own_is_a_failure_and_nobodys_cancellation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with seated(tmp_path, scripted("one"), budget("1")) as seat:
        monkeypatch.setattr(seat.desk.http.mock, "seen", None)  # counting in it is a TypeError
        text = await seat.refused("complete", prompt="Hi", max_tokens=10)
        (call,) = seat.rows("SELECT status, error_kind, error FROM calls")
        (attempt,) = seat.rows("SELECT outcome, cost_kind FROM attempts")
        circuits = seat.rows("SELECT * FROM circuits")
        holding = await held(seat)

    assert "code: internal" in text
    assert call == {
        "status": "failed",
        "error_kind": "internal",
        "error": "Roundhouse met a fault of its own: TypeError",
    }
    assert attempt == {"outcome": "crashed", "cost_kind": "presumed"}
    assert (circuits, holding) == ([], [])


async def test_a_name_without_a_price_that_is_misspelled_is_told_the_right_one(
    tmp_path: Path,
) -> None:
    config = (scripted("cheap", models="small"), budget("1"))
    async with seated(tmp_path, *config) as seat:
        text = await seat.refused("complete", prompt="Hi", model="cheap/smal")

    assert "cheap/smal has no known price" in text
    assert "Did you mean 'cheap/small'?" in text
