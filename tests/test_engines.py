"""Engines of our own, with a small program in the place of a real one."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Inside, chain, rows, scripted, seated, settled, write_config

from roundhouse_mcp.server import processes
from roundhouse_mcp.server.desk import Desk
from roundhouse_mcp.server.engines.engines import Engines
from roundhouse_mcp.server.engines.loaded import loaded
from roundhouse_mcp.server.engines.stalls import Stall
from roundhouse_mcp.server.engines.unloading import is_gone

FAKE = Path(__file__).with_name("fake_engine.py")
WAIT_S = 20.0
TOOL = {"name": "look", "description": "", "parameters": {"type": "object"}}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="engines are started on POSIX")


def engine(*how: str, name: str = "own", more: str = "") -> str:
    words = [sys.executable, "-S", "-E", str(FAKE), "{port}", *how]
    quoted = ", ".join(f"'{word}'" for word in words)
    return f'[providers.{name}]\nengine = "command"\nmodels = ["m"]\ncommand = [{quoted}]\n{more}\n'


@asynccontextmanager
async def at(home: Path, *config: str) -> AsyncGenerator[Inside]:
    """A seat at a server with engines, which are gone when this is left."""
    with anyio.fail_after(WAIT_S):
        async with seated(home, *config, environ={"PATH": os.environ["PATH"]}) as seat:
            try:
                yield seat
            finally:
                with anyio.CancelScope(shield=True):
                    await put_out(home)


async def put_out(home: Path) -> None:
    for row in rows(home, "SELECT * FROM engines"):
        stall = Stall.of(home, row["name"])
        stall.ask_to_stop(row["id"])
        assert await is_gone(stall)


def alive(row: dict[str, Any]) -> bool:
    return processes.since(row["pid"]) == row["since"]


async def until(home: Path, state: str, name: str = "own") -> dict[str, Any]:
    """The engine's row once it is in this state."""
    (row,) = await settled(home, "SELECT * FROM engines WHERE name = ? AND state = ?", name, state)
    return row


async def test_an_engine_is_started_by_its_first_call_kept_for_the_next_and_unloaded(
    tmp_path: Path,
) -> None:
    async with at(tmp_path, engine()) as seat:
        first = await seat.said("complete", prompt="Hi", model="own")
        (row,) = seat.rows("SELECT * FROM engines")
        asked = {"prompt": "Hi", "tools": [TOOL], "tool_choice": "required"}
        second = await seat.said("complete", model="own/m", **asked)
        (running,) = await loaded(seat.desk)
        call = Stall.of(tmp_path, "own").join_calls()  # as another server's
        refused = await seat.refused("unload_model", model="own")
        still = alive(row)
        other = await seat.refused("complete", prompt="Hi", model="own/other")
        forced = await seat.said("unload_model", model="own", force=True)
        idle = await seat.said("unload_model", model="own")

    assert call is not None
    os.close(call)
    assert first["text"] == second["text"] == "Steam is up."
    assert (first["provider"], first["model"], first["cost_usd"]) == ("own", "m", 0)
    assert second["warnings"] == ["own/m had to call a tool and did not"]
    assert (running.provider, running.model, running.pid) == ("own", "m", row["pid"])
    assert running.memory is not None
    assert running.memory > 1_000_000
    assert running.users == (seat.desk.server_id,)
    assert "is in use by calls that run now" in refused
    assert "The engine own has no model 'other'. It has m." in other
    assert (still, alive(row)) == (True, False)
    assert (forced["unloaded"], idle["unloaded"]) == (True, False)
    assert f"(process {row['pid']}) ended, freeing" in forced["detail"]
    assert idle["detail"] == "own is not loaded; its engine does not run"


async def test_all_who_ask_at_once_share_one_engine(tmp_path: Path) -> None:
    ports: list[int] = []

    async def ask(desk: Desk) -> None:
        others, setup = Engines(desk), desk.registry.named("own").provider.setup
        assert setup is not None
        async with others.used(setup, lambda _: None) as place:
            ports.append(place.port)

    async with at(tmp_path, engine()) as seat, anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(ask, seat.desk)
    log = (tmp_path / "logs" / "engine-own.log").read_text("utf-8")

    assert ports == [ports[0]] * 4
    assert log.count("roundhouse: starting") == 1


async def test_an_engine_that_crashes_in_an_answer_fails_that_attempt_alone(tmp_path: Path) -> None:
    spare = scripted("spare", "text=spare", price=None, more="")
    config = (engine(), spare, chain("own", "spare"), "allow_unpriced = true\n")

    async with at(tmp_path, *config) as seat:
        fallen = await seat.said("complete", prompt="crash")
        died = await until(tmp_path, "failed")
        again = await seat.said("complete", prompt="Hi")
        (row,) = seat.rows("SELECT * FROM engines")

    assert (fallen["provider"], fallen["text"]) == ("spare", "spare")
    assert fallen["attempts"][0]["outcome"] == "interrupted"
    assert died["detail"] == "was ended by signal 9"
    assert (again["provider"], again["text"]) == ("own", "Steam is up.")
    assert row["pid"] != died["pid"]


async def test_an_engine_whose_keeper_is_killed_goes_with_it(tmp_path: Path) -> None:
    async with at(tmp_path, engine()) as seat:
        await seat.said("complete", prompt="Hi", model="own")
        (row,) = seat.rows("SELECT * FROM engines")
        os.kill(row["keeper_pid"], signal.SIGKILL)
        again = await seat.said("complete", prompt="Hi", model="own")
        (after,) = seat.rows("SELECT * FROM engines")

    assert again["text"] == "Steam is up."
    assert not alive(row)
    assert after["pid"] != row["pid"]


async def test_at_the_deadline_loading_goes_on_and_the_answer_can_be_read(tmp_path: Path) -> None:
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with at(tmp_path, engine("slow")) as seat:
        asked = {"prompt": "Hi", "model": "own", "timeout_s": 0.8}
        result = await seat.client.call_tool("complete", asked, progress_callback=note)
        late = result.structured_content
        assert late is not None
        (tmp_path / "GO").touch()
        whole = await seat.said("complete", call_id=late["call_id"])

    assert (late["text"], late["finish_reason"]) == ("", "timeout")
    assert "its program loads m (0 s)" in heard
    assert (whole["text"], whole["finish_reason"]) == ("Steam is up.", "stop")


async def test_a_changed_setup_replaces_the_engine_and_an_idle_one_ends(tmp_path: Path) -> None:
    async with at(tmp_path, engine()) as seat:
        await seat.said("complete", prompt="Hi", model="own")
        (first,) = seat.rows("SELECT * FROM engines")
        write_config(tmp_path, engine(more="idle_s = 0.2"))
        await seat.said("complete", prompt="Hi", model="own")
        second = await until(tmp_path, "stopped")

    assert second["pid"] != first["pid"]
    assert (alive(first), alive(second)) == (False, False)
    assert (second["detail"], second["token"]) == ("nobody used it for its idle time", "")


BAD = {
    "sick": "it was not healthy within 0.5 s (it is loading)",
    "bad-health": "it was not healthy within 0.5 s (it answers, but not with JSON)",
    "garbage": "it was not healthy within 0.5 s (it answers, but not in HTTP)",
    "deaf": "it was not healthy within 0.5 s (nothing answers)",
    "dies": "ended with status 1: fatal: the model file is cut short, with key [redacted]",
}


async def test_an_engine_that_does_not_start_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    config = [engine(how, name=how, more="start_timeout_s = 0.5") for how in BAD]

    async def ask(seat: Inside, how: str) -> None:
        said[how] = await seat.refused("complete", prompt="Hi", model=how)

    async with at(tmp_path, *config) as seat, anyio.create_task_group() as group:
        for how in BAD:
            group.start_soon(ask, seat, how)

    for how, why in BAD.items():
        log = tmp_path / "logs" / f"engine-{how}.log"
        assert f"{how}/m not started: {why}; its log is {log}" in said[how]
        assert log.is_file()
        assert "sk-notareal" not in log.read_text("utf-8")


async def test_a_port_that_another_program_took_is_changed_for_another(tmp_path: Path) -> None:
    async with at(tmp_path, engine("taken")) as seat:
        answer = await seat.said("complete", prompt="Hi", model="own")
        log = (tmp_path / "logs" / "engine-own.log").read_text("utf-8")

    assert answer["text"] == "Steam is up."
    assert log.count("roundhouse: starting") == 2
