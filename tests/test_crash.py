"""Money is exact whatever is killed, cancelled or broken: the short runs of longer proofs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
from billing import rounds
from cancels import cancel_many
from mcp.types import CallToolResult
from seats import Inside, budget, seated, served
from upstream import Request, Send, event, head, upstream

ROOT = Path(__file__).parent.parent
PROMPT_TOKENS = 8
LOOK_S = 0.005  # between looks: spinning would starve the ledger's disk


def found(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_what_was_billed_is_in_the_ledger_once_whoever_is_killed() -> None:
    said = found("--kills", "200", "--apart", "0.03")

    wrong = ("under_counted", "double_counted", "overshoot_nano", "totals_differ", "left_held")
    assert [said[name] for name in wrong] == [0] * 5
    assert said["kills"] == 200
    assert said["billed"] > 50  # how many depends on the machine
    assert said["states"]["presumed"] > 0


async def test_a_call_cancelled_at_any_moment_leaves_no_money_held(tmp_path: Path) -> None:
    leaks = await cancel_many(tmp_path, 200, seed=1)

    left = (leaks.held, leaks.reserved_nano, leaks.in_flight, leaks.without_attempt)
    assert left == (0, 0, 0, 0)
    assert leaks.totals_differ == 0
    assert leaks.cancelled > 20
    assert leaks.attempts["cancelled"] > 5


async def test_answers_taken_back_half_way_never_cost_more_than_the_limit(tmp_path: Path) -> None:
    billed: list[int] = []

    async def ahead(request: Request, send: Send) -> None:
        """Makes the whole answer at once, and bills it, whoever still listens."""
        billed.append(PROMPT_TOKENS + int(request.json["max_tokens"]))
        await send(head(200, {"content-type": "text/event-stream"}) + event({"content": "one"}))
        await anyio.sleep_forever()

    async def take_back(seat: Inside) -> bool:
        """Cancels the call once its answer has begun. False: the budget refused it."""
        refused: list[CallToolResult] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                refused.append(await seat.call("complete", prompt="Hi", max_tokens=50))
                group.cancel_scope.cancel()

            group.start_soon(ask)
            while True:
                if any(run.answering for run in seat.desk.calls.shelf.running()):
                    break
                await anyio.sleep(LOOK_S)
            group.cancel_scope.cancel()
        while True:
            if not seat.desk.calls.shelf.running():
                return not refused
            await anyio.sleep(LOOK_S)

    async with upstream(ahead) as server:
        price = served("paid", server.url, price=("1000", "1000"))
        async with seated(tmp_path, price, budget("0.3")) as seat:
            with anyio.fail_after(30):
                while await take_back(seat):
                    pass
            kinds = seat.rows("SELECT DISTINCT cost_kind FROM attempts")

    assert len(billed) >= 3
    assert sum(billed) * 1_000_000 <= 300_000_000
    assert kinds == [{"cost_kind": "presumed"}]


async def test_servers_that_are_killed_are_never_billed_more_than_the_limit() -> None:
    with anyio.fail_after(60):
        bills = await rounds(1, servers=8, killed=3, seed=1)

    assert (bills.over_nano, bills.under_counted, bills.unknown_requests) == (0, 0, 0)
    assert bills.held == 0
    assert bills.killed == 3
    assert bills.answers["over_budget"] > 0
    assert bills.requests > 30
