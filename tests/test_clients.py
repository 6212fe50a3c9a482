"""Calls a minute of a client, over all processes."""

from pathlib import Path

import anyio
import pytest
from seats import Inside, scripted, seated, text_of

ONE = scripted("one", "text=Yes.")


def limited(rpm: int, client: str = "mcp") -> str:
    return f'[clients."{client}"]\nrpm = {rpm}\n'


@pytest.mark.parametrize("client", ["mcp", "MCP", "*"])
async def test_a_client_makes_so_many_calls_a_minute_and_then_waits(
    tmp_path: Path, client: str
) -> None:
    async with seated(tmp_path, ONE, limited(2, client)) as seat:
        now = seat.desk.clock()
        seat.desk.clock = lambda: now
        for _ in range(2):
            await seat.said("complete", prompt="Hi")
        seat.desk.clock = lambda: now + 20
        text = await seat.refused("complete", prompt="Hi")
        row = seat.rows("SELECT status, error_kind, attempts FROM calls ORDER BY id")[-1]
        seat.desk.clock = lambda: now + 61
        await seat.said("complete", prompt="Hi")

    assert "code: rate_limited" in text
    assert "retryable: true" in text
    assert "retry_after_s: 40" in text
    assert "Nothing was sent, no cost." in text
    assert row == {"status": "refused", "error_kind": "rate_limited", "attempts": 0}


async def test_a_limit_of_another_client_limits_nobody_else(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE, limited(1, "cursor")) as seat:
        for _ in range(3):
            await seat.said("complete", prompt="Hi")
        counted = seat.rows("SELECT * FROM client_calls")

    assert counted == []


async def test_two_processes_share_a_clients_limit(tmp_path: Path) -> None:
    """Two servers with ledgers of their own on one file."""
    refused: list[str] = []

    async def call(seat: Inside) -> None:
        result = await seat.call("complete", prompt="Hi")
        if result.is_error:
            refused.append(text_of(result))

    config = (ONE, limited(5))
    async with seated(tmp_path, *config) as one, seated(tmp_path, *config) as two:
        async with anyio.create_task_group() as group:
            for seat in (one, two) * 6:
                group.start_soon(call, seat)
        answered = one.rows("SELECT count(*) AS n FROM calls WHERE status = 'ok'")[0]["n"]

    assert answered == 5
    assert len(refused) == 7
    assert all("code: rate_limited" in text for text in refused)
