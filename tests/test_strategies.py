"""Each strategy on its own: candidates in, candidates out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse_mcp.providers.catalog import Model, shipped
from roundhouse_mcp.server import speeds
from roundhouse_mcp.server.candidates import Candidate, Demand, Offer, Snapshot
from roundhouse_mcp.server.routing import plan
from roundhouse_mcp.server.speeds import Speed
from roundhouse_mcp.server.strategies import STRATEGIES, ordered

ROW = shipped()["mock"]


def candidate(name: str, *, order: int = 0, **known: Any) -> Candidate:
    of_offer = {k: known.pop(k) for k in ("group", "weight", "private", "priority") if k in known}
    facts = Model(pattern="m", quality=known.pop("quality", None))
    row = replace(ROW, name=name)
    offer = Offer(provider=row, model="m", facts=facts, order=order, **of_offer)
    given: dict[str, Any] = {"max_tokens": 100, "bound_nano": None, "expected_nano": None, **known}
    return Candidate(offer=offer, **given)


def names(found: list[Candidate]) -> list[str]:
    return [c.offer.provider.name for c in found]


A, B, C = (candidate(name, order=n) for n, name in enumerate("abc"))


@pytest.mark.parametrize(("turn", "want"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc")])
def test_round_robin_takes_turns(turn: int, want: str) -> None:
    found = STRATEGIES["round_robin"]([replace(c, turn=turn) for c in (A, B, C)])

    assert "".join(names(found)) == want


def first_places(weights: dict[str, float], turns: int) -> dict[str, int]:
    offers = [
        Offer(
            provider=replace(ROW, name=name),
            model="m",
            facts=Model(pattern="m"),
            order=n,
            weight=weight,
        )
        for n, (name, weight) in enumerate(weights.items())
    ]
    counts = dict.fromkeys(weights, 0)
    for turn in range(turns):
        made = plan(offers, Demand(strategy="random"), Snapshot(now=0.0, turn=turn))
        counts[made.candidates[0].offer.provider.name] += 1
    return counts


def test_of_local_models_the_loaded_one_comes_first_and_one_that_is_not_last() -> None:
    cold, unknown, warm = (
        replace(c, offer=replace(c.offer, private="local", loaded=loaded))
        for c, loaded in ((A, False), (B, None), (C, True))
    )
    cloud = replace(A, offer=replace(A.offer, loaded=None))

    found = STRATEGIES["local_first"]([cloud, cold, unknown, warm])

    assert found == [warm, unknown, cold, cloud]


def test_random_draws_by_weight() -> None:
    counts = first_places({"a": 1, "b": 3}, 2000)

    assert 400 < counts["a"] < 600


def test_the_fastest_comes_first_and_a_slow_one_last() -> None:
    slow, quick = replace(A, expected_ms=9000.0), replace(B, expected_ms=900.0)

    assert names(STRATEGIES["fastest"]([slow, quick])) == ["b", "a"]


def test_of_three_the_better_of_two_that_are_drawn_comes_first() -> None:
    fast = replace(A, expected_ms=100.0, draw=0.9)
    middle = replace(B, expected_ms=500.0, draw=0.2)
    slow = replace(C, expected_ms=900.0, draw=0.1)

    assert names(STRATEGIES["fastest"]([fast, middle, slow])) == ["b", "a", "c"]


def test_a_queue_makes_the_fastest_slow() -> None:
    busy, idle = replace(A, expected_ms=1000.0, load=4), replace(B, expected_ms=3000.0)

    assert names(STRATEGIES["fastest"]([busy, idle])) == ["b", "a"]


def test_a_model_nobody_measured_is_tried_soon() -> None:
    assert names(STRATEGIES["fastest"]([replace(A, expected_ms=1000.0), B])) == ["b", "a"]


def test_the_least_busy_comes_first() -> None:
    found = STRATEGIES["least_busy"]([replace(A, load=2), replace(B, load=1), replace(C, load=1)])

    assert names(found) == ["b", "c", "a"]


def test_balanced_weighs_quality_cost_speed_and_load() -> None:
    good = candidate("good", quality=90, expected_nano=100, expected_ms=1000.0)
    dear = candidate("dear", quality=91, expected_nano=90_000, expected_ms=9000.0, load=3)
    poor = candidate("poor", quality=10, expected_nano=90, expected_ms=900.0)

    assert names(STRATEGIES["balanced"]([dear, poor, good])) == ["good", "poor", "dear"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_was_named_stays_in_front(strategy: str) -> None:
    named = candidate("named", group=0, quality=1, expected_nano=10**9, expected_ms=60_000.0)
    meant = candidate("meant", group=1, quality=2, expected_nano=10**8, expected_ms=30_000.0)
    other = candidate("other", group=2, quality=99, expected_nano=1, expected_ms=1.0)

    assert names(ordered([other, meant, named], strategy)) == ["named", "meant", "other"]


known = st.builds(
    candidate,
    st.text("abcdef", min_size=1, max_size=3),
    order=st.integers(0, 9),
    group=st.sampled_from([0, 1, 2]),
    quality=st.none() | st.integers(0, 100),
    expected_nano=st.none() | st.integers(0, 10**12),
    expected_ms=st.none() | st.floats(0, 1e6),
    load=st.integers(0, 9),
    draw=st.floats(1e-9, 1 - 1e-9),
    weight=st.floats(0.01, 100),
    private=st.sampled_from(["any", "local"]),
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(found=st.lists(known, max_size=8))
def test_a_strategy_loses_and_invents_nobody(strategy: str, found: list[Candidate]) -> None:
    assert sorted(map(id, ordered(found, strategy))) == sorted(map(id, found))


def test_a_speed_rises_at_once_and_falls_slowly() -> None:
    before = Speed(1000.0, 10.0, 0.0)

    worse = speeds.heard(before, 5000.0, 10.0, 1.0)
    better = speeds.heard(before, 100.0, 10.0, 1.0)

    assert worse.first_ms == 5000.0
    assert 990.0 < better.first_ms < 1000.0


def test_a_measurement_fades_when_nobody_measures() -> None:
    slow = Speed(60_000.0, 100.0, 0.0)

    assert speeds.expected_ms(slow, 500, 0.0) == 110_000.0
    assert (speeds.expected_ms(slow, 500, 86_400.0) or 0) < 251.0
    assert speeds.expected_ms(None, 500, 0.0) is None
