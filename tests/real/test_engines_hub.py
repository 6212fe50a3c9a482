"""MLX and Transformers as engines of ours, on the processor: load, stream, cancel, unload."""

import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client

from roundhouse_mcp.server import processes

from ..seats import QUIET, Seat, launch, settled
from .programs import MODEL, needs, write_model

pytestmark = [pytest.mark.real, pytest.mark.anyio]

WAIT_S = 180.0
MODULES = {"mlx": ("mlx_lm",), "transformers": ("transformers", "torch", "fastapi", "uvicorn")}


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("safetensors", "tokenizers")
    folder = tmp_path_factory.mktemp("hub")
    write_model(folder)
    return folder


@pytest.mark.parametrize("kind", MODULES)
async def test_a_model_of_the_cache_is_loaded_streamed_cancelled_and_unloaded(
    tmp_path: Path, downloads: Path, kind: str
) -> None:
    needs(*MODULES[kind])
    config = f'{QUIET}[providers.own]\nengine = "{kind}"\nmodel = "{MODEL}"\n'
    (tmp_path / "config.toml").write_text(config, "utf-8")
    (tmp_path / "config.toml").chmod(0o600)
    speaking = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if message is not None and "characters" in message:
            speaking.set()

    async def go_on(seat: Seat) -> None:
        asked = {"prompt": "Go on", "model": "own", "max_tokens": 12_000}
        await seat.client.call_tool("complete", asked, progress_callback=note)

    with anyio.fail_after(WAIT_S):
        async with at(tmp_path, downloads) as seat:
            began = time.monotonic()
            first = await seat.said("complete", prompt="Hi", model="own", timeout_s=170)
            loaded_s = time.monotonic() - began
            (row,) = await settled(tmp_path, "SELECT * FROM engines WHERE state = 'ready'")
            memory = processes.tree_memory(row["keeper_pid"]) or 0
            async with anyio.create_task_group() as group:
                group.start_soon(go_on, seat)
                await speaking.wait()
                group.cancel_scope.cancel()
            began = time.monotonic()
            after = await seat.said("complete", prompt="Hi", model="own")
            again_s = time.monotonic() - began
            long = await seat.refused("complete", prompt="word " * 200_000, model="own")
            done = await seat.said("unload_model", model="own")

    print_figures(kind, loaded_s=loaded_s, after_cancel_s=again_s, mb=memory / 1e6)
    assert (first["text"], first["model"]) == ("Steam is up.", MODEL)
    assert "warnings" not in first
    assert after["text"] == "Steam is up."
    assert f"tokens, and {MODEL} reads" in long
    assert done["unloaded"]
    assert processes.since(row["pid"]) != row["since"]
    assert processes.tree_memory(row["keeper_pid"]) is None


def print_figures(kind: str, **figures: float) -> None:
    """Shown with `pytest -s`, for bench/RESULTS.md."""
    words = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
    sys.stdout.write(f"\n{kind}: {words}\n")


@asynccontextmanager
async def at(home: Path, downloads: Path) -> AsyncGenerator[Seat]:
    async with Client(launch(home, HF_HOME=str(downloads))) as client:
        yield Seat(client, home)
