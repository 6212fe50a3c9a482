"""Every request the upstream saw is a row with a cost: failed, retried, cut off, killed."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp.shared.exceptions import MCPError
from seats import Seat, budget, seated, served, settled, started, write_config
from upstream import (
    Request,
    Script,
    Send,
    Upstream,
    answer,
    event,
    head,
    in_turn,
    nothing,
    plainly,
    silence,
    spoken,
    upstream,
)

BILLED_NANO = 12_000  # 7 tokens in and 5 out at a dollar a million
BUDGET = budget("10")
QUICK = "[circuits]\nenabled = false\n[retries]\nbase_delay_ms = 1\n"
SSE = {"content-type": "text/event-stream"}
COSTS = {"actual", "estimated", "presumed"}


def failing(status: int) -> Script:
    return answer('{"error": {"message": "no"}}', status=status)


def starting(*after: bytes) -> Script:
    """An answer that begins, says the rest as it is, and closes."""

    async def script(request: Request, send: Send) -> None:
        await send(head(200, SSE) + event({"content": "Half of an "}))
        for data in after:
            await send(data)

    return script


async def begun(request: Request, send: Send) -> None:
    """An answer that begins and goes silent."""
    await send(head(200, SSE) + event({"content": "Half of an "}))
    await anyio.sleep_forever()


@dataclass(frozen=True, slots=True)
class Fault:
    """What the upstream does in turn; which of its requests it bills, and what becomes of each."""

    script: Script
    billed: tuple[bool, ...]
    outcomes: tuple[str, ...]
    end: str = "answer"


WHOLE = spoken("An ", "answer.")
UNCOUNTED = answer('{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}')
OVERLOAD = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'
FAULTS = {
    "answered": Fault(WHOLE, (True,), ("ok",)),
    "answered without usage": Fault(UNCOUNTED, (True,), ("ok",)),
    "refused": Fault(failing(400), (False,), ("refused",)),
    "locked": Fault(failing(401), (False,), ("locked",)),
    "throttled": Fault(failing(429), (False, False), ("throttled", "throttled")),
    "failed": Fault(failing(500), (False, False), ("faulted", "faulted")),
    "retried": Fault(in_turn(failing(503), WHOLE), (False, True), ("faulted", "ok")),
    "garbled": Fault(answer("<html>"), (True,), ("garbled",)),
    "hung up on": Fault(nothing, (True,), ("interrupted",)),
    "cut off": Fault(starting(), (True,), ("interrupted",)),
    "failed in the middle": Fault(starting(OVERLOAD), (True, True), ("faulted", "faulted")),
    "cancelled before": Fault(silence, (True,), ("cancelled",), "cancel"),
    "cancelled in the middle": Fault(begun, (True,), ("cancelled",), "cancel"),
    "late": Fault(silence, (True,), ("deadline",), "deadline"),
}


async def make(seat: Seat, server: Upstream, end: str) -> None:
    arguments: dict[str, Any] = {"prompt": "Hi", "max_tokens": 50}
    if end == "deadline":
        arguments["timeout_s"] = 1
    async with anyio.create_task_group() as group:

        async def ask() -> None:
            await seat.call("complete", **arguments)
            group.cancel_scope.cancel()

        group.start_soon(ask)
        while end == "cancel" and not server.posts:
            await anyio.lowlevel.checkpoint()
        if end == "cancel":
            group.cancel_scope.cancel()
    await settled(seat.home, "SELECT * FROM calls")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_every_request_is_an_attempt_that_costs_what_was_billed(
    fault: Fault, tmp_path: Path
) -> None:
    async with (
        upstream(fault.script) as server,
        seated(tmp_path, served("one", server.url), BUDGET, QUICK) as seat,
    ):
        with anyio.fail_after(10):
            await make(seat, server, fault.end)
        attempts = seat.rows("SELECT outcome, cost_nano, cost_kind FROM attempts ORDER BY n")
        window = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")

    assert tuple(row["outcome"] for row in attempts) == fault.outcomes
    assert len(server.posts) == len(attempts) == len(fault.billed)
    for row, billed in zip(attempts, fault.billed, strict=True):
        assert row["cost_nano"] >= (BILLED_NANO if billed else 0)
        assert row["cost_kind"] in (COSTS if billed else {"none"})
    spent = sum(row["cost_nano"] for row in attempts)
    assert window == [{"spent_nano": spent, "reserved_nano": 0}]


async def test_the_request_of_a_killed_server_is_an_attempt_that_costs_all_it_could(
    tmp_path: Path,
) -> None:
    asked = anyio.Event()

    async def begins(request: Request, send: Send) -> None:
        asked.set()
        await begun(request, send)

    async def die() -> None:
        with pytest.raises(MCPError), plainly():
            async with started(tmp_path) as seat:
                await seat.call("complete", prompt="Hi", max_tokens=50)

    with anyio.fail_after(20):
        async with upstream(begins) as server:
            write_config(tmp_path, served("one", server.url), BUDGET, QUICK)
            async with anyio.create_task_group() as group:
                group.start_soon(die)
                await asked.wait()
                (victim,) = await settled(tmp_path, "SELECT pid FROM servers")
                os.kill(victim["pid"], signal.SIGKILL)
        async with seated(tmp_path) as seat:
            await seat.call("cost_report")
            found = "SELECT outcome, cost_kind, cost_nano, reserved_nano FROM attempts"
            (row,) = await settled(tmp_path, found)

    assert len(server.posts) == 1
    assert (row["outcome"], row["cost_kind"]) == ("lost", "presumed")
    assert row["cost_nano"] == row["reserved_nano"] >= BILLED_NANO
