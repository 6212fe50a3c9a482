"""Calls a minute of a client, over all processes."""

import os
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import Implementation
from seats import (
    Era,
    Inside,
    Seat,
    launch,
    rows,
    scripted,
    seated,
    started,
    text_of,
    write_config,
)

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


async def test_the_clients_of_a_project_share_a_limit_of_their_own(tmp_path: Path) -> None:
    def projects(directory: str) -> str:
        return f'[projects."{directory}"]\nrpm = 2\n'

    async def refused(home: Path, directory: str) -> list[str]:
        texts: list[str] = []
        async with (
            seated(home, ONE, limited(3), projects(directory)) as one,
            started(home, "--client", "other") as other,
        ):
            for seat in (one, other, one):
                result = await seat.call("complete", prompt="Hi")
                texts += [text_of(result)] if result.is_error else []
        return texts

    (text,) = await refused(tmp_path / "a", os.getcwd())

    assert text.startswith(f"The project {os.getcwd()} made its 2 calls of this minute. Wait, or")
    assert await refused(tmp_path / "b", "/another/place") == []


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_every_call_is_attributed_without_any_configuration(tmp_path: Path, era: Era) -> None:
    """Over stdio: the client's name and version, the project directory and the process."""
    write_config(tmp_path, ONE)
    info = Implementation(name="Some Editor", version="1.2.3")
    async with Client(launch(tmp_path), mode=era, client_info=info) as client:
        seat = Seat(client, tmp_path)
        said = await seat.said("complete", prompt="Hi")
        report = await seat.said("cost_report", group_by=["client", "project"])
        read = await client.read_resource(f"roundhouse://calls/{said['call_id']}")
    (row,) = rows(tmp_path, "SELECT client, client_version, project FROM calls")
    (server,) = rows(tmp_path, "SELECT pid, client, client_version FROM servers")

    assert row == {"client": "some-editor", "client_version": "1.2.3", "project": os.getcwd()}
    assert (server["client"], server["client_version"]) == ("some-editor", "1.2.3")
    assert f'"client_version":"1.2.3","pid":{server["pid"]}' in str(read.contents)
    (group,) = report["groups"]
    assert (group["client"], group["project"], group["calls"]) == ("some-editor", os.getcwd(), 1)


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
