"""What every server tells of its providers, for whoever watches."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from local_program import Program
from seats import Inside, rows, scripted, seated, settled, started, write_config
from upstream import upstream

from roundhouse_mcp.server import sightings
from roundhouse_mcp.server.ledger import provider_rows, servers

KEY = "sk-verysecretverysecretverysecret1"
ONE = "SELECT * FROM provider_reports WHERE provider = ?"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "EVERY_S", 0.02)


async def told(home: Path, provider: str, since: float = 0.0) -> dict[str, Any]:
    """A provider's report, as soon as there is one newer than `since`."""
    with anyio.fail_after(10):
        found = await settled(home, f"{ONE} AND at > ?", provider, since)
    return found[0] | {"facts": json.loads(found[0]["facts"])}


async def test_a_server_process_reports_every_provider_there_is(tmp_path: Path) -> None:
    write_config(tmp_path, scripted("first", models="a b", more="priority = 3"))

    async with started(tmp_path):
        first = await told(tmp_path, "first")
        openai = await told(tmp_path, "openai")
        reporters = rows(tmp_path, "SELECT id FROM servers")

    assert first["server"] == reporters[0]["id"]
    assert (first["configured"], first["enabled"], first["priority"]) == (1, 1, 3)
    assert (first["reason"], first["models"], first["cost_multiplier"]) == ("", 2, "1")
    assert first["facts"]["models"] == [["a", 1_000_000_000, 1_000_000_000], ["b", *[10**9] * 2]]
    assert first["facts"]["address"] == "mock://first"
    assert (openai["configured"], openai["reason"]) == (0, "key_missing")
    assert openai["key_needed"] == 1
    assert openai["facts"]["variables"] == ["OPENAI_API_KEY"]


async def test_a_key_is_reported_by_the_name_of_its_variable_alone(tmp_path: Path) -> None:
    async with seated(tmp_path, environ={"GROQ_API_KEY": KEY}):
        groq = await told(tmp_path, "groq")
        everything = [str(row) for row in rows(tmp_path, "SELECT * FROM provider_reports")]

    assert (groq["key_from"], groq["configured"], groq["reason"]) == ("GROQ_API_KEY", 1, "")
    assert KEY not in "".join(everything)


async def test_a_changed_configuration_is_reported_without_being_asked(tmp_path: Path) -> None:
    section = '[providers.own]\nwire = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\n'
    columns = ("enabled", "priority", "cost_multiplier", "reason", "models")
    changed = 'enabled = false\npriority = 7\ncost_multiplier = 0.8\nmodels = ["a", "b"]\n'

    async with seated(tmp_path, f'{section}models = ["m"]\n') as seat:
        first = await told(tmp_path, "own")
        write_config(tmp_path, section, changed)
        second = await told(tmp_path, "own", first["at"])
        hashes = seat.rows("SELECT config_hash FROM servers")

    assert [first[column] for column in columns] == [1, None, "1", "", 1]
    assert [second[column] for column in columns] == [0, 7, "0.8", "disabled", 2]
    assert hashes == [{"config_hash": seat.desk.config_hash}]


async def test_the_tasks_that_name_a_provider_are_reported(tmp_path: Path) -> None:
    tasks = '[routing.tasks.code]\nmodels = ["first/m"]\n'
    row = scripted("first", more='use_for = ["security"]')

    async with seated(tmp_path, row, tasks):
        first = await told(tmp_path, "first")

    assert first["facts"]["tasks"] == ["security", "code"]


def test_an_address_is_shown_without_what_may_be_secret_in_it() -> None:
    assert (
        sightings.address(f"https://ana:{KEY}@a.example:9/v1?key={KEY}") == "https://a.example:9/v1"
    )
    assert sightings.address("http://[::1") == ""


async def test_local_programs_are_asked_what_they_hold_only_while_somebody_watches(
    tmp_path: Path,
) -> None:
    async with upstream(Program().script, gets=True) as program:
        row = f'base_url = "{program.url}"\nenabled = true\n'
        async with seated(tmp_path, f'[providers.own]\nlike = "ollama"\n{row}') as seat:
            unasked = await told(tmp_path, "own")
            await watch(seat)
            asked = await told(tmp_path, "own", unasked["at"])

    assert (unasked["models"], unasked["facts"]["loaded"]) == (None, [])
    assert (asked["models"], asked["facts"]["loaded"]) == (2, [["qwen:8b", 5_000_000_000]])


async def watch(seat: Inside) -> None:
    until = seat.desk.clock() + 60
    await seat.desk.ledger.write(servers.watch, "w", pid=1, until=until)


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    async with seated(tmp_path) as seat:
        before = await told(tmp_path, "openai")
        for _ in range(5):
            await seat.desk.ledger.read(provider_rows.reports)
            await anyio.sleep(sightings.EVERY_S)
        after = await told(tmp_path, "openai")

        assert seat.desk.server_id == before["server"]
    assert before == after


async def test_the_reports_of_servers_that_ended_go_with_the_next_one(tmp_path: Path) -> None:
    async with seated(tmp_path):
        gone = (await told(tmp_path, "openai"))["server"]

    async with seated(tmp_path) as seat:
        await settled(tmp_path, f"{ONE} AND server = ?", "openai", seat.desk.server_id)
        left = seat.rows("SELECT DISTINCT server FROM provider_reports")
        reports = await seat.desk.ledger.read(provider_rows.reports)
        reporters = await seat.desk.ledger.read(provider_rows.reporters)

    assert left == [{"server": seat.desk.server_id}]
    assert gone not in {report.server for report in reports}
    assert [reporter.id for reporter in reporters] == [seat.desk.server_id]
