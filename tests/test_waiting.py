"""What those who watch see of calls that wait: for a place, or for nobody any more."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from seats import budget, chain, scripted, seated, served, settled
from upstream import in_turn, spoken, upstream

from roundhouse_mcp.server.explain import planned

DEAR = scripted("dear", "text=dear", price=("1000", "1000"))
ONE_PLACE = "concurrency = 1\n"


async def inflight(home: Path, where: str) -> dict[str, Any]:
    with anyio.fail_after(20):
        return (await settled(home, f"SELECT * FROM inflight WHERE {where}"))[0]


async def test_a_call_that_waits_for_a_place_is_seen_waiting_and_then_running(
    tmp_path: Path,
) -> None:
    go, end = anyio.Event(), anyio.Event()
    answers = in_turn(spoken("a", "b", pause=go), spoken("a", "b", pause=end))
    async with (
        upstream(answers) as server,
        seated(tmp_path, served("one", server.url, more=ONE_PLACE)) as seat,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.said, "complete", prompt="first", task="code"))
        first = await inflight(tmp_path, "phase != 'queue'")
        group.start_soon(partial(seat.said, "complete", prompt="second", task="quick"))
        second = await inflight(tmp_path, "phase = 'queue'")
        go.set()
        placed = await inflight(tmp_path, "task = 'quick' AND attempt = 1")
        end.set()

        assert (first["task"], first["attempt"]) == ("code", 1)
        assert (second["task"], second["attempt"], second["reserved_nano"]) == ("quick", 0, 0)
        assert (second["provider"], second["model"]) == ("one", "m")
        assert placed["reserved_nano"] > 0
    assert seat.rows("SELECT * FROM inflight") == []
    assert len(seat.rows("SELECT * FROM calls WHERE status = 'ok'")) == 2


async def test_a_call_cancelled_while_it_waits_for_a_place_leaves_no_row(tmp_path: Path) -> None:
    go = anyio.Event()
    async with (
        upstream(spoken("a", "b", pause=go)) as server,
        seated(tmp_path, served("one", server.url, more=ONE_PLACE)) as seat,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.said, "complete", prompt="first"))
        await inflight(tmp_path, "attempt = 1")
        group.start_soon(partial(seat.refused, "complete", prompt="second"))
        waits = await inflight(tmp_path, "phase = 'queue'")
        run = seat.desk.calls.shelf.find(waits["call_id"])
        assert run is not None
        await seat.desk.calls.stop(run)
        (ended,) = await settled(tmp_path, "SELECT status, attempts FROM calls")
        go.set()

        assert ended == {"status": "cancelled", "attempts": 0}
    assert seat.rows("SELECT * FROM inflight") == []


async def test_the_decision_names_those_whose_turn_came_when_they_were_not_free(
    tmp_path: Path,
) -> None:
    both = (scripted("first", "text=1"), scripted("second", "text=2"))
    async with seated(tmp_path, chain("first", "second"), *both) as seat:
        await seat.said("complete", prompt="Hi")
        calls = seat.desk.calls
        original = calls.attempt

        async def held(run: Any, candidate: Any, left: int) -> None:
            if candidate.offer.provider.name == "first":
                await seat.desk.ledger.write(hold_first)
            await original(run, candidate, left)

        calls.attempt = held
        await seat.said("complete", prompt="Hi")
        (row,) = seat.rows("SELECT json FROM decisions ORDER BY call_id DESC LIMIT 1")

    decision = json.loads(row["json"])
    (passed,) = decision["passed_by"]
    assert (passed["provider"], passed["reason"]) == ("first", "hold")
    assert any("first/m was passed by when its turn came: hold" in w for w in planned(decision, []))


async def test_a_call_that_waits_for_its_user_is_seen_with_the_number_to_approve(
    tmp_path: Path,
) -> None:
    asks = budget("0.01") + 'at_limit = "ask"\n'
    async with (
        seated(tmp_path, DEAR, asks) as seat,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.call, "complete", prompt="Hi", max_tokens=1000))
        waits = await inflight(tmp_path, "phase = 'queue'")

        assert (waits["trail"], waits["reserved_nano"]) == ("asks for approval 1", 0)
        run = seat.desk.calls.shelf.find(waits["call_id"])
        assert run is not None
        await seat.desk.calls.stop(run)
        assert seat.rows("SELECT * FROM inflight") == []


def hold_first(db: Any) -> None:
    db.execute(
        "INSERT INTO circuits (provider, model, state, changed_at, hold_reason)"
        " VALUES ('first', '*', 'closed', 0, 'manual')"
    )
