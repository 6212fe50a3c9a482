"""Which failure is tried again, where, and how long it waits."""

from pathlib import Path

import pytest
from seats import chain, scripted, seated, served
from upstream import answer, upstream

from roundhouse_mcp.providers import errors
from roundhouse_mcp.server.retries import Bucket, Next, Progress, after, in_vain


def decide(error: errors.UpstreamError, **progress: float) -> Next:
    known = {"here": 1, "total": 1, "candidates_left": 1, "remaining_s": 30.0, "jitter": 0.5}
    return after(
        error,
        Progress(**(known | progress)),  # pyright: ignore[reportArgumentType]
        per_provider=2,
        per_call=4,
        base_s=0.05,
    )


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (errors.Unreachable, "again"),
        (errors.Faulted, "again"),
        (errors.Throttled, "again"),
        (errors.Conflicted, "again"),
        (errors.Exhausted, "next"),
        (errors.Locked, "next"),
        (errors.Misdirected, "next"),
        (errors.TimedOut, "next"),
        (errors.Interrupted, "next"),
        (errors.Garbled, "next"),
        (errors.TooLong, "next"),
        (errors.Refused, "stop"),
    ],
)
def test_each_kind_of_failure_has_its_next_step(
    error: type[errors.UpstreamError], step: str
) -> None:
    assert decide(error("p", "x")).step == step


def test_the_second_failure_at_a_provider_moves_on() -> None:
    assert decide(errors.Faulted("p", "x"), here=2).step == "next"


def test_a_failure_with_nowhere_left_to_go_stops() -> None:
    assert decide(errors.Faulted("p", "x"), here=2, candidates_left=0).step == "stop"


def test_the_fourth_attempt_of_a_call_is_its_last() -> None:
    assert decide(errors.Faulted("p", "x"), total=4).step == "stop"


@pytest.mark.parametrize(
    ("total", "left", "step"), [(1, 2, "again"), (1, 3, "next"), (3, 1, "next"), (3, 0, "again")]
)
def test_a_second_try_does_not_take_the_turn_of_a_provider_not_tried_yet(
    total: int, left: int, step: str
) -> None:
    assert decide(errors.Faulted("p", "x"), total=total, candidates_left=left).step == step


@pytest.mark.parametrize(("wait", "step"), [(0.5, "again"), (5.0, "again"), (5.1, "next")])
def test_a_short_wait_is_sat_out_and_a_long_one_is_passed_over(wait: float, step: str) -> None:
    decision = decide(errors.Throttled("p", "x", retry_after_s=wait))

    assert decision.step == step
    assert step == "next" or decision.wait_s == wait


def test_a_wait_beyond_the_deadline_is_not_started() -> None:
    assert decide(errors.Throttled("p", "x", retry_after_s=4.0), remaining_s=3.0).step == "next"


@pytest.mark.parametrize(
    ("error", "here", "ceiling"),
    [(errors.Faulted, 1, 0.05), (errors.Throttled, 1, 1.0)],
)
def test_backoff_is_drawn_under_a_ceiling(
    error: type[errors.UpstreamError], here: int, ceiling: float
) -> None:
    assert decide(error("p", "x"), here=here, jitter=0.999).wait_s == pytest.approx(0.999 * ceiling)  # pyright: ignore[reportUnknownMemberType]


def test_no_second_try_waits_for_a_cooldown_that_outlasts_it() -> None:
    slow_down = errors.Throttled("p", "x")

    assert in_vain(slow_down, cools=True)
    assert not in_vain(slow_down, cools=False)
    assert not in_vain(errors.Throttled("p", "x", retry_after_s=2.0), cools=True)
    assert not in_vain(errors.Faulted("p", "x"), cools=True)


def test_retries_end_when_a_provider_has_used_up_what_it_is_good_for() -> None:
    bucket = Bucket()
    retries = 0
    while bucket.may_retry:
        bucket.take()
        retries += 1

    assert retries == 5
    for _ in range(11):
        bucket.give()
    assert bucket.may_retry


def test_without_a_token_the_next_candidate_has_its_turn() -> None:
    assert decide(errors.Faulted("p", "x"), may_retry=False).step == "next"


async def test_a_provider_told_too_fast_is_left_at_once_for_the_next(tmp_path: Path) -> None:
    """The draw would make the wait before a second try almost five seconds."""
    slow_down = answer('{"error":{"message":"slow down"}}', status=429)
    async with upstream(slow_down) as busy:
        config = (served("busy", busy.url), scripted("idle", "text=Yes."), chain("busy", "idle"))
        async with seated(tmp_path, *config) as seat:
            seat.desk.draw = lambda: 4.9
            said = await seat.said("complete", prompt="Hi", detail="full")

    assert said["provider"] == "idle"
    assert said["latency_ms"] < 4000
    assert len(busy.posts) == 1
