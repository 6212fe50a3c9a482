"""What happens at the limit of a budget, by its `at_limit`, and what a refusal names."""

from pathlib import Path
from typing import Any

import pytest
from seats import budget, chain, scripted, seated

LIMIT = "0.02"
LONG = {"prompt": "Hi", "max_tokens": 4000}


def at_limit(policy: str, *, limit: str = LIMIT, scope: str = "global") -> str:
    return budget(limit, scope=scope) + f'at_limit = "{policy}"\n'


def here(name: str, script: str = "text=here") -> str:
    """A provider on this machine, which costs nothing."""
    row = f'[providers.{name}]\nlike = "mock"\nbase_url = "mock://{name}?{script}"\n'
    return row + 'local = true\nmodels = ["m"]\n'


MARKET = (
    chain("dear", "middling", "cheap"),
    scripted("dear", "text=dear", price=("1000", "1000")),
    scripted("middling", "text=middling", price=("2", "2")),
    scripted("cheap", "text=cheap", price=("0.01", "0.01")),
)


def candidates(route: dict[str, Any]) -> list[str]:
    return [c["provider"] for c in route["candidates"]]


def left_out(route: dict[str, Any]) -> dict[str, str]:
    return {e["provider"]: e["reason"] for e in route["excluded"]}


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("refuse", ["middling", "here", "cheap"]),
        ("ask", ["middling", "here", "cheap"]),
        ("cheapest", ["here", "cheap", "middling"]),
        ("local", ["here"]),
    ],
)
async def test_a_budget_at_its_limit_says_who_takes_the_call(
    tmp_path: Path, policy: str, order: list[str]
) -> None:
    config = (*MARKET[1:], chain("dear", "middling", "here", "cheap"), here("here"))
    async with seated(tmp_path, *config, at_limit(policy)) as seat:
        route = await seat.said("route_for_task", output_tokens=4000)
        said = await seat.said("complete", **LONG)

    assert candidates(route) == order
    assert said["provider"] == order[0]
    assert left_out(route)["dear"] == "over_budget"
    if policy in ("cheapest", "local"):
        assert all(c["why"].startswith("fits budget global/total") for c in route["candidates"])


async def test_below_its_limit_a_budget_changes_no_order(tmp_path: Path) -> None:
    async with seated(tmp_path, *MARKET, at_limit("cheapest", limit="1000")) as seat:
        route = await seat.said("route_for_task", output_tokens=4000)

    assert candidates(route) == ["dear", "middling", "cheap"]


async def test_a_dear_fallback_without_room_changes_no_order(tmp_path: Path) -> None:
    config = (chain("middling", "dear", "cheap"), *MARKET[1:], at_limit("cheapest"))
    async with seated(tmp_path, *config) as seat:
        route = await seat.said("route_for_task", output_tokens=4000)

    assert candidates(route) == ["middling", "cheap"]


async def test_at_the_limit_local_leaves_cloud_models_out_by_budget(tmp_path: Path) -> None:
    async with seated(tmp_path, *MARKET, here("here"), at_limit("local")) as seat:
        route = await seat.said("route_for_task", output_tokens=4000)

    assert candidates(route) == ["here"]
    details = {e["provider"]: e["detail"] for e in route["excluded"]}
    assert {left_out(route)[name] for name in ("dear", "middling", "cheap")} == {"over_budget"}
    assert details["cheap"].endswith("budget global/total is at its limit (at_limit = local)")


@pytest.mark.parametrize(("policy", "taker"), [("cheapest", "cheap"), ("local", "here")])
async def test_a_model_that_was_named_is_replaced_where_the_budget_says_so(
    tmp_path: Path, policy: str, taker: str
) -> None:
    local = [here("here")] if policy == "local" else []
    async with seated(tmp_path, *MARKET, *local, at_limit(policy)) as seat:
        route = await seat.said("route_for_task", model="dear/m", output_tokens=4000)
        said = await seat.said("complete", model="dear/m", **LONG)

    assert candidates(route)[0] == said["provider"] == taker
    assert route["candidates"][0]["why"] == "fits budget global/total"
    assert said["warnings"] == [f"dear/m does not fit budget global/total: {taker}/m took the call"]


@pytest.mark.parametrize("wish", [{"provider": "dear"}, {"task": "code"}])
async def test_a_provider_or_a_task_with_only_is_never_replaced(
    tmp_path: Path, wish: dict[str, Any]
) -> None:
    task = '[routing.tasks]\ncode = { models = ["dear/m"], only = true }\n'
    async with seated(tmp_path, *MARKET, task, at_limit("cheapest")) as seat:
        text = await seat.refused("complete", **LONG, **wish)

    assert "code: over_budget" in text


async def test_privacy_holds_for_those_that_take_a_call_at_the_limit(tmp_path: Path) -> None:
    """`near` is a local program of the user's that has a price."""
    priced_here = here("near") + '[prices."near/m"]\ninput = "1000"\noutput = "1000"\n'
    async with seated(tmp_path, *MARKET, priced_here, at_limit("cheapest")) as seat:
        text = await seat.refused("complete", model="near/m", privacy="local", **LONG)
        asked = seat.desk.http.mock.seen

    assert "code: over_budget" in text
    assert not asked


async def test_a_refusal_names_the_cheapest_that_fits_and_a_local_one(tmp_path: Path) -> None:
    free = scripted("free", price=("0", "0"))
    day = budget(LIMIT, period="day")
    async with seated(tmp_path, *MARKET, free, here("here"), day) as seat:
        text = await seat.refused("complete", model="dear/m", **LONG)
        status = seat.rows("SELECT status, error_kind FROM calls")[0]
        refused = seat.rows("SELECT kind, budget FROM budget_events")

    assert "What fits: free/m (free), or here/m on this machine. Budget global/day begins" in text
    assert "\nbudget: global/day\n" in text
    assert "\nleft: $0.02\n" in text
    assert "\nresets_at: " in text
    assert "retryable: false" in text
    assert status == {"status": "refused", "error_kind": "over_budget"}
    assert refused == [{"kind": "refused", "budget": "global/day"}]


async def test_a_refusal_says_so_where_nothing_fits(tmp_path: Path) -> None:
    async with seated(tmp_path, MARKET[1], budget(LIMIT)) as seat:
        text = await seat.refused("complete", **LONG)

    assert "Nothing that could take this call fits. Lower max_tokens" in text
