"""llama.cpp as an engine of ours: shared by real servers, killed at every place, ended for good."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from roundhouse_mcp.server import processes
from roundhouse_mcp.server.engines.stalls import Stall

from ..billing import serving
from ..seats import QUIET, Seat, rows, settled, started
from .llama import MODEL, START_S

pytestmark = pytest.mark.real

WAIT_S = 90.0
IDLE_S = 3.0
BIG_BYTES = 100_000_000
CALL = {"name": "complete", "arguments": {"prompt": "Hi", "model": "own", "max_tokens": 4}}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Random weights of more than 100 MB."""
    path = tmp_path_factory.mktemp("big") / "big.gguf"
    subprocess.run([sys.executable, str(MODEL), str(path), "big"], check=True, timeout=START_S)
    assert path.stat().st_size > BIG_BYTES
    return path


def write(home: Path, model: Path, more: str = "") -> None:
    (home / "config.toml").write_text(
        f'{QUIET}[providers.own]\nengine = "llamacpp"\nmodel = "{model}"\ncontext = 2048\n'
        f'arguments = ["--threads", "1"]\n{more}\n',
        encoding="utf-8",
    )
    (home / "config.toml").chmod(0o600)


def cut_short(model: Path, short: Path) -> Path:
    short.write_bytes(model.read_bytes()[:200_000])
    return short


@asynccontextmanager
async def servers(home: Path, count: int) -> AsyncGenerator[list[Seat]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(started(home)) for _ in range(count)]


async def row_of(home: Path, state: str = "ready") -> dict[str, Any]:
    (row,) = await settled(home, "SELECT * FROM engines WHERE state = ?", state)
    return row


def alive(row: dict[str, Any]) -> bool:
    return processes.since(row["pid"]) == row["since"]


def kept(row: dict[str, Any]) -> bool:
    return processes.since(row["keeper_pid"]) == row["keeper_since"]


async def gone(home: Path, row: dict[str, Any], patience_s: float) -> float:
    """Seconds until neither the engine nor its keeper is there."""
    began = time.monotonic()
    while alive(row) or kept(row) or Stall.of(home, "own").is_kept():
        assert time.monotonic() - began < patience_s
        await anyio.sleep(0.05)
    return time.monotonic() - began


async def test_four_servers_share_one_engine_which_unloading_ends(
    tmp_path: Path, big: Path
) -> None:
    write(tmp_path, big)
    answers: list[dict[str, Any]] = []

    async def ask(seat: Seat) -> None:
        answers.append(await seat.said("complete", prompt="Hi", model="own", max_tokens=4))

    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 4) as seats:
            async with anyio.create_task_group() as group:
                for seat in seats:
                    group.start_soon(ask, seat)
            row = await row_of(tmp_path)
            users = rows(tmp_path, "SELECT * FROM engine_users")
            loaded = processes.tree_memory(row["keeper_pid"]) or 0
            done = await seats[3].said("unload_model", model="own")
            after = processes.tree_memory(row["keeper_pid"]) or 0
            again = await seats[1].said("complete", prompt="Hi", model="own", max_tokens=4)

    log = (tmp_path / "logs" / "engine-own.log").read_text("utf-8")
    assert [(a["provider"], a["model"], a["usage"]["output"]) for a in answers] == [
        ("own", "big", 4)
    ] * 4
    assert len(users) == 4
    assert log.count("roundhouse: starting") == 2  # one for all, and one after unloading
    assert done["unloaded"]
    assert loaded > BIG_BYTES
    assert loaded - after >= 0.9 * loaded
    assert not alive(row)
    assert again["usage"]["output"] == 4


async def test_killing_the_starter_leaves_the_engine_to_the_others(
    tmp_path: Path, model: Path
) -> None:
    write(tmp_path, model)
    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 1) as (other,):
            async with serving(tmp_path) as doomed:
                await doomed.ask("tools/call", CALL)
                row = await row_of(tmp_path)
                doomed.process.kill()
            answer = await other.said("complete", prompt="Hi", model="own", max_tokens=4)
            still = alive(row)
            left = await row_of(tmp_path)

    assert answer["usage"]["output"] == 4
    assert still
    assert left["pid"] == row["pid"]


async def test_killing_the_engine_in_an_answer_fails_that_call_and_the_next_one_works(
    tmp_path: Path, model: Path
) -> None:
    write(tmp_path, model)
    words = ""

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if message is not None and "characters" in message:
            (row,) = rows(tmp_path, "SELECT * FROM engines")
            if not killed:
                killed.append(row)
                os.kill(row["pid"], signal.SIGKILL)

    killed: list[dict[str, Any]] = []
    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 1) as (seat,):
            asked = {"prompt": "Go on", "model": "own", "max_tokens": 1800}
            result = await seat.client.call_tool("complete", asked, progress_callback=note)
            words = str(result.content)
            answer = await seat.said("complete", prompt="Hi", model="own", max_tokens=4)
            row = await row_of(tmp_path)

    assert killed
    assert result.is_error
    assert "interrupted" in words
    assert answer["usage"]["output"] == 4
    assert row["pid"] != killed[0]["pid"]


async def test_no_engine_outlives_all_servers_by_more_than_the_idle_time(
    tmp_path: Path, model: Path
) -> None:
    write(tmp_path, model, f"idle_s = {IDLE_S}")
    with anyio.fail_after(WAIT_S):
        async with serving(tmp_path) as one, serving(tmp_path) as other:
            await one.ask("tools/call", CALL)
            await other.ask("tools/call", CALL)
            row = await row_of(tmp_path)
            one.process.kill()
            other.process.kill()
        took = await gone(tmp_path, row, IDLE_S + 5.0)

    assert took < IDLE_S + 2.0
    assert rows(tmp_path, "SELECT * FROM engines")[0]["state"] == "stopped"


async def test_killing_everything_but_the_engine_takes_the_engine_along(
    tmp_path: Path, model: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    write(tmp_path, model)
    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 1) as (seat,):
            await seat.said("complete", prompt="Hi", model="own", max_tokens=4)
            row = await row_of(tmp_path)
            os.kill(row["keeper_pid"], signal.SIGKILL)
            await gone(tmp_path, row, 5.0)
            answer = await seat.said("complete", prompt="Hi", model="own", max_tokens=4)

    assert answer["usage"]["output"] == 4


async def test_a_file_cut_short_is_refused_in_its_words_with_the_path_of_the_log(
    tmp_path: Path, model: Path
) -> None:
    write(tmp_path, cut_short(model, tmp_path / "short.gguf"))
    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 1) as (seat,):
            words = await seat.refused("complete", prompt="Hi", model="own")
            again = await seat.refused("complete", prompt="Hi", model="own")

    assert "model is corrupted or incomplete; its log is " in words
    assert str(tmp_path / "logs" / "engine-own.log") in words
    assert "model is corrupted or incomplete" in again


async def test_an_engine_holds_a_model_to_a_schema_and_embeds_in_a_section_of_its_own(
    tmp_path: Path, model: Path
) -> None:
    embedder = f'[providers.vectors]\nengine = "llamacpp"\nmodel = "{model}"\nembeddings = true\n'
    write(tmp_path, model, embedder)
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    with anyio.fail_after(WAIT_S):
        async with servers(tmp_path, 1) as (seat,):
            held = await seat.said(
                "complete", prompt="Hi", model="own", output_schema=schema, privacy="local"
            )
            vectors = await seat.said("embed", texts=["rails", "tea"], model="vectors")
            wrong = await seat.refused("embed", texts=["tea"], model="vectors", dimensions=32)
            done = await seat.said("unload_model", model="vectors")

    assert isinstance(held["structured"]["sure"], bool)
    assert (vectors["dimensions"], vectors["count"]) == (64, 2)
    assert "does not make vectors of 32 dimensions" in wrong
    assert done["unloaded"]
