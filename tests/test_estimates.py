"""What calls of a model use is learned, and a budget may hold that instead of the worst case."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seats import Inside, budget, chain, scripted, seated, served
from upstream import Request, Send, answer, spoken, upstream

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.prices import Rates
from roundhouse_mcp.server import estimates
from roundhouse_mcp.server.amounts import affordable_cap, at_most, fitted, priced, safely
from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.candidates import Candidate, Demand, Offer, Room, Snapshot
from roundhouse_mcp.server.estimates import FEWEST, UNKNOWN, Estimate, Learned, Measure
from roundhouse_mcp.server.ledger import estimate_rows
from roundhouse_mcp.server.settings import Reserve

EXPECTED = 'reserve = "expected"\n'
RATES = Rates(input=1_000_000_000, output=4_000_000_000, cached=0, cache_write=0, source="t")
RESERVED = "SELECT amount_nano, state, cost_nano FROM reservations ORDER BY created"


def taught(*lessons: dict[Measure, float]) -> Estimate:
    known: dict[Measure, Learned] = {}
    for lesson in lessons:
        known |= {name: estimates.heard(known.get(name), value) for name, value in lesson.items()}
    return Estimate(known)


def answers(count: int, *, wrote: int = 100, cap: int = 1000, seed: int = 1) -> Estimate:
    dice = random.Random(seed)
    return taught(
        *(
            estimates.lesson(
                read=100,
                wrote=round(wrote * math.exp(dice.gauss(0, 0.3))),
                estimated=100,
                cap=cap,
                seconds=None,
            )
            for _ in range(count)
        )
    )


def offered(*reserve: Reserve, limit_nano: int = 10**9) -> Offer:
    row = shipped()["openai"]
    windows = tuple(
        Window(
            budget=f"b{n}",
            scope="global",
            period="total",
            start=0.0,
            end=None,
            limit_nano=limit_nano,
            reserve=each,
        )
        for n, each in enumerate(reserve)
    )
    return Offer(
        provider=row, model="m", facts=row.facts("m"), rates=RATES, windows=windows, max_tokens=1000
    )


DEMAND = Demand(input_bound=400, input_expected=100)


def candidate(offer: Offer, estimate: Estimate) -> Candidate:
    found = priced(offer, DEMAND, estimate)
    assert isinstance(found, Candidate)
    return found


def test_a_model_nobody_has_used_is_held_at_its_worst() -> None:
    found = candidate(offered("expected"), answers(FEWEST - 1))

    assert found.held_nano == found.bound_nano == 4_400_000


def test_a_model_that_is_known_is_held_at_what_few_calls_exceed() -> None:
    found = candidate(offered("expected"), answers(200))

    assert found.held_nano is not None
    assert 100_000 + 150 * 4_000 < found.held_nano < 100_000 + 300 * 4_000
    assert found.bound_nano == 4_400_000


@pytest.mark.parametrize("reserve", [("bound",), ("expected", "bound"), ()])
def test_a_strict_budget_among_others_holds_the_worst(reserve: tuple[Reserve, ...]) -> None:
    found = candidate(offered(*reserve), answers(200))

    assert found.held_nano == found.bound_nano


def test_the_plan_shows_what_answers_usually_cost() -> None:
    before, after = candidate(offered(), UNKNOWN), candidate(offered(), answers(200, wrote=20))

    assert before.expected_nano == 100_000 + 500 * 4_000
    assert after.expected_nano is not None
    assert 100_000 + 18 * 4_000 < after.expected_nano < 100_000 + 25 * 4_000


def test_short_answers_under_a_small_cap_say_little_of_a_large_one() -> None:
    cut = answers(200, wrote=16, cap=16)

    assert cut.output_safe(1000) == 1000


def test_short_answers_under_a_large_cap_say_little_of_a_small_one() -> None:
    assert answers(200, wrote=100, cap=4096).output_safe(64) == 64


def steady(dice: random.Random) -> float:
    return 100 * math.exp(dice.gauss(0, 0.3))


def long_at_times(dice: random.Random) -> float:
    return steady(dice) * (30 if dice.random() < 0.1 else 1)


def heavy(dice: random.Random) -> float:
    return 10 * dice.paretovariate(0.8)


@pytest.mark.parametrize("draw", [steady, long_at_times, heavy])
def test_few_calls_use_more_than_was_held_however_they_spread(
    draw: Callable[[random.Random], float],
) -> None:
    dice, over = random.Random(7), 0
    known = estimates.heard(None, draw(dice))
    for n in range(5000):
        used = draw(dice)
        over += n >= FEWEST and used > known.safe
        known = estimates.heard(known, used)

    assert over / 5000 < 0.03


def test_what_is_held_follows_a_model_that_begins_to_write_more() -> None:
    short: dict[Measure, float] = {"output": 50, "share": 0.05}
    long: dict[Measure, float] = {"output": 600, "share": 0.6}

    assert taught(*[short] * 300).output_safe(1000) == 62
    assert taught(*[short] * 300, *[long] * 20).output_safe(1000) == 1000


numbers = st.floats(1e-12, 1e12)
lessons = st.lists(
    st.fixed_dictionaries(
        {"input": numbers, "output": numbers, "share": numbers, "seconds": numbers}
    ),
    min_size=FEWEST,
    max_size=30,
)


@given(
    said=lessons,
    bound=st.integers(0, 10**6),
    expected=st.integers(0, 10**6),
    caps=st.lists(st.integers(0, 10**6), min_size=2, max_size=2).map(sorted),
    seconds=st.integers(0, 10**9),
)
def test_what_is_held_lies_between_what_is_known_and_the_worst_and_grows_with_the_cap(
    said: list[dict[Measure, float]], bound: int, expected: int, caps: list[int], seconds: int
) -> None:
    known, low, high = taught(*said), *caps
    demand = Demand(input_bound=max(bound, expected), input_expected=expected)
    rates = replace(RATES, per_second=seconds, per_request=5)

    held = safely(rates, demand, known, high)

    assert 5 + expected * 1000 <= held <= at_most(rates, demand, high)
    assert safely(rates, demand, known, low) <= held


@given(
    cap=st.integers(1, 10**7),
    room=st.integers(0, 10**12),
    bound=st.integers(0, 10**6),
    rate=st.integers(0, 10**11),
)
def test_a_cap_is_lowered_no_more_than_it_must_be(
    cap: int, room: int, bound: int, rate: int
) -> None:
    amount = partial(at_most, replace(RATES, output=rate), Demand(input_bound=bound))

    fits = affordable_cap(amount, cap, room)

    assert fits == 0 or (min(256, cap) <= fits <= cap and amount(fits) <= room)
    assert fits == cap or amount(max(fits + 1, min(256, cap))) > room


def test_where_budgets_expect_a_call_has_room_that_its_worst_case_has_not() -> None:
    room = {"b0": Room(limit_nano=10**9, free_nano=2_000_000, resets_at=None)}
    known = Snapshot(now=0.0, rooms=room, estimates={("openai", "m"): answers(200)})
    offer, strict = offered("expected"), offered("bound")

    found = fitted(candidate(offer, answers(200)), DEMAND, known)
    lowered = fitted(candidate(strict, answers(200)), DEMAND, known)

    assert isinstance(found, Candidate)
    assert isinstance(lowered, Candidate)
    assert (found.max_tokens, lowered.max_tokens) == (1000, 400)


def test_a_refusal_says_what_the_call_would_probably_cost() -> None:
    room = {"b0": Room(limit_nano=10**9, free_nano=100_000, resets_at=None)}
    known = Snapshot(now=0.0, rooms=room, estimates={("openai", "m"): answers(200)})

    found = fitted(candidate(offered("expected"), answers(200)), DEMAND, known)

    assert not isinstance(found, Candidate)
    assert found.excluded.detail == "probably costs up to $0.000939, budget b0 has $0.0001 left"
    assert found.excluded.needed_nano == 939_000


# Through a server and its ledger.


async def teach(seat: Inside, output: float, share: float) -> None:
    """Model `m` of provider `one`."""
    lesson: dict[Measure, float] = {"input": 1.0, "output": output, "share": share}
    for _ in range(FEWEST):
        await seat.desk.ledger.write(estimate_rows.learn, ("one", "m"), lesson, 0.0)


async def test_what_answers_used_is_learned_as_they_are_settled(tmp_path: Path) -> None:
    config = scripted("one", "text=a b c d"), budget("5") + EXPECTED
    async with seated(tmp_path, *config) as seat:
        for _ in range(FEWEST):
            await seat.said("complete", prompt="Hi")
        plan = await seat.said("route_for_task", prompt="Hi")
        await seat.said("complete", prompt="Hi")
        held = [row["amount_nano"] for row in seat.rows(RESERVED)]
        attempts = seat.rows("SELECT reserved_nano, cost_nano FROM attempts")

    assert held[0] > 4_096_000
    assert set(held[:FEWEST]) == {held[0]}
    assert attempts[-1]["cost_nano"] <= held[-1] < held[0] / 100
    assert attempts[-1]["reserved_nano"] == held[-1]
    candidate = plan["candidates"][0]
    assert candidate["estimated_cost_usd"] < 0.000_02 < candidate["max_cost_usd"]


async def test_models_that_cost_nothing_teach_nothing(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=a", price=("0", "0"))) as seat:
        await seat.said("complete", prompt="Hi")
        learned = seat.rows("SELECT * FROM estimates")

    assert learned == []


async def test_an_answer_that_cost_more_than_was_held_is_recorded_as_it_is(tmp_path: Path) -> None:
    config = scripted("one", "text=" + "word " * 400), budget("5") + EXPECTED
    async with seated(tmp_path, *config) as seat:
        await teach(seat, output=4, share=0.001)
        await seat.said("complete", prompt="Hi")
        (row,) = seat.rows(RESERVED)
        (window,) = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")
        events = seat.rows("SELECT kind, amount_nano FROM budget_events")

    assert row["cost_nano"] > row["amount_nano"]
    assert (window["spent_nano"], window["reserved_nano"]) == (row["cost_nano"], 0)
    assert events == [{"kind": "overrun", "amount_nano": row["cost_nano"]}]


async def test_more_calls_fit_at_once_where_a_budget_expects(tmp_path: Path) -> None:
    together, waiting = anyio.Event(), 0
    whole = spoken("On", "ce.")

    async def script(request: Request, send: Send) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 6:  # only two have room at their worst
            together.set()
        await together.wait()
        await whole(request, send)

    async with (
        upstream(script) as server,
        seated(tmp_path, served("one", server.url), budget("0.01") + EXPECTED) as seat,
    ):
        await teach(seat, output=20, share=0.005)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(partial(seat.said, "complete", prompt="Hi"))
        (window,) = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")

    assert 0 < window["spent_nano"] <= 10_000_000
    assert window["reserved_nano"] == 0


async def leave_midway(tmp_path: Path, reserve: str) -> dict[str, Any]:
    """The attempt of a caller who leaves when half the answer is there."""
    pause, said, attempt = anyio.Event(), anyio.Event(), dict[str, Any]()
    async with (
        upstream(spoken("word " * 100, "ce.", pause=pause, said=said)) as server,
        seated(tmp_path, served("one", server.url), budget("5") + reserve) as seat,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.call, "complete", prompt="Hi"))
        await said.wait()
        (run,) = seat.desk.calls.shelf.running()
        with anyio.fail_after(20):
            while True:
                if run.text:
                    break
                await anyio.sleep(0.01)
        await seat.desk.calls.stop(run)
        attempt |= seat.rows("SELECT cost_nano, cost_kind, reserved_nano FROM attempts")[0]
        (window,) = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")
        assert (window["spent_nano"], window["reserved_nano"]) == (attempt["cost_nano"], 0)
    return attempt


async def test_an_answer_its_caller_left_counts_in_full_where_a_budget_is_strict(
    tmp_path: Path,
) -> None:
    attempt = await leave_midway(tmp_path, "")

    assert attempt["cost_kind"] == "presumed"
    assert attempt["cost_nano"] == attempt["reserved_nano"] > 4_096_000


async def test_an_answer_its_caller_left_counts_as_far_as_it_came_where_a_budget_expects(
    tmp_path: Path,
) -> None:
    attempt = await leave_midway(tmp_path, EXPECTED)

    assert attempt["cost_kind"] == "estimated"
    assert 120_000 < attempt["cost_nano"] < 160_000  # 105 tokens, and a quarter more


async def test_an_answer_without_usage_counts_as_what_it_says_where_a_budget_expects(
    tmp_path: Path,
) -> None:
    choice = {"index": 0, "message": {"content": "word " * 100}, "finish_reason": "stop"}
    costs = list[int]()
    for reserve in ("", EXPECTED):
        async with (
            upstream(answer(json.dumps({"model": "m", "choices": [choice]}))) as server,
            seated(
                tmp_path / (reserve[:4] or "strict"),
                served("one", server.url),
                budget("5") + reserve,
            ) as seat,
        ):
            await seat.said("complete", prompt="Hi")
            costs += [row["cost_nano"] for row in seat.rows("SELECT cost_nano FROM attempts")]

    assert costs[0] > 4_096_000
    assert 120_000 < costs[1] < 160_000


async def test_machine_time_is_held_as_it_is_learned(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "predict_time": 2.5}
    choice = {"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "choices": [choice], "usage": usage})
    timed = '[prices."shop/m"]\nper_second = "0.001"\n'
    async with upstream(answer(body)) as up:
        row = f'[providers.shop]\nlike = "replicate"\nwire = "openai_chat"\nbase_url = "{up.url}"\n'
        row += 'models = ["m"]\napi_key = "${SHOP_KEY}"\n'
        environ = {"SHOP_KEY": "sk-test-0123456789"}
        async with seated(tmp_path, row, timed, budget("50") + EXPECTED, environ=environ) as seat:
            for _ in range(FEWEST + 1):
                await seat.said("complete", prompt="Hi")
            held = [row["amount_nano"] for row in seat.rows(RESERVED)]

    assert (held[0], held[-1]) == (600_000_000, 4_000_000)  # 600 s at most; 2.5 s, and some more


async def test_processes_share_what_they_learn(tmp_path: Path) -> None:
    config = scripted("one", "text=a b"), chain("one"), budget("5") + EXPECTED
    async with seated(tmp_path, *config) as one, seated(tmp_path, *config) as two:
        await one.said("complete", prompt="Hi")
        await two.said("complete", prompt="Hi")
        learned = one.rows("SELECT samples FROM estimates WHERE measure = 'output'")

    assert learned == [{"samples": 2}]
