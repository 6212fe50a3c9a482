"""Money that another process takes between a call's plan and its reservation: the call then goes
where it would have gone, had the plan known."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Seat, budget, chain, scripted, started, text_of, write_config
from test_approvals import ACCEPT, asking
from test_limits import LONG, here

from roundhouse_mcp.server.ledger import line
from roundhouse_mcp.server.ledger.driver import connect
from roundhouse_mcp.server.ledger.gate import Gate

LEFT_NANO = 20_000_000
ORDER = chain("dear", "middling", "here", "cheap")
CLOUD = (
    scripted("dear", "text=dear", price=("1000", "1000")),
    scripted("middling", "text=middling", price=("2", "2")),
    scripted("cheap", "text=cheap", price=("0.01", "0.01")),
)


def roomy(policy: str) -> str:
    """Room for one call of the dearest."""
    return budget("5") + f'at_limit = "{policy}"\n'


def spend_all_but(home: Path, left_nano: int) -> None:
    with closing(connect(home / "ledger.db")) as db:
        spent = db.execute("UPDATE budget_windows SET spent_nano = limit_nano - ?", (left_nano,))
        assert spent.rowcount == 1


@contextmanager
def gate_shut(home: Path) -> Generator[Gate, None, None]:
    with closing(Gate(home / "ledger.gate")) as gate, gate.held(5):
        yield gate


async def overtaken(seat: Seat, **arguments: Any) -> Any:
    """The result of a call that had a plan, and no money yet, when the money was spent."""
    await seat.said("route_for_task", output_tokens=4000)  # the server has started
    results: list[Any] = []

    async def call() -> None:
        results.append(await seat.call("complete", **LONG, **arguments))

    async with anyio.create_task_group() as group:
        with gate_shut(seat.home) as gate:
            group.start_soon(call)
            with anyio.fail_after(10):
                while not line.waiting(gate.lock.opened(), anyio.current_time()):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            spend_all_but(seat.home, LEFT_NANO)
    return results[0]


@pytest.mark.parametrize(
    ("policy", "taker"), [("refuse", "middling"), ("cheapest", "here"), ("local", "here")]
)
async def test_a_call_that_lost_its_money_goes_where_its_budget_says(
    tmp_path: Path, policy: str, taker: str
) -> None:
    write_config(tmp_path, ORDER, *CLOUD, here("here"), roomy(policy))
    async with started(tmp_path) as seat:
        result = await overtaken(seat)
        story = seat.rows("SELECT provider, attempts FROM calls")

    assert result.structured_content["provider"] == taker
    assert story == [{"provider": taker, "attempts": 1}]


async def test_a_named_model_that_lost_its_money_is_replaced_where_the_budget_says_so(
    tmp_path: Path,
) -> None:
    write_config(tmp_path, ORDER, *CLOUD, here("here"), roomy("cheapest"))
    async with started(tmp_path) as seat:
        result = await overtaken(seat, model="dear/m")

    assert result.structured_content["provider"] == "here"
    assert result.structured_content["warnings"] == [
        "dear/m does not fit budget global/total: here/m took the call"
    ]


async def test_a_refusal_after_a_lost_race_names_what_fits_and_is_recorded_once(
    tmp_path: Path,
) -> None:
    write_config(tmp_path, ORDER, *CLOUD, here("here"), roomy("refuse"))
    async with started(tmp_path) as seat:
        result = await overtaken(seat, model="dear/m")
        refused = seat.rows("SELECT budget FROM budget_events WHERE kind = 'refused'")
        calls = seat.rows("SELECT status, attempts FROM calls")

    assert "code: over_budget" in text_of(result)
    assert "What fits: here/m (free)." in text_of(result)
    assert "\nleft: $0.02\n" in text_of(result)
    assert refused == [{"budget": "global/total"}]
    assert calls == [{"status": "refused", "attempts": 0}]


async def test_after_a_lost_race_the_user_is_asked(tmp_path: Path) -> None:
    config = (CLOUD[0], roomy("ask"))
    async with asking(tmp_path, [ACCEPT], "auto", *config) as (seat, seen):
        result = await overtaken(seat)

    assert result.structured_content["text"] == "dear"
    assert len(seen) == 1


async def test_what_failed_before_a_lost_race_is_not_tried_again(tmp_path: Path) -> None:
    broken = scripted("broken", "status=503", price=("0", "0"))
    order = chain("broken", "dear", "cheap")
    write_config(
        tmp_path, order, broken, *CLOUD, roomy("cheapest"), "[retries]\nper_provider = 1\n"
    )
    async with started(tmp_path) as seat:
        result = await overtaken(seat)
        attempts = seat.rows("SELECT provider FROM attempts ORDER BY n")

    assert result.structured_content["provider"] == "cheap"
    assert [row["provider"] for row in attempts] == ["broken", "cheap"]
