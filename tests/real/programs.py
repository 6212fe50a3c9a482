"""Starts and ends the real servers of MLX and of Transformers, on the model tiny_hf.py writes."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

from .llama import free_port

START_S = 60.0
POLL_S = 0.1
MODEL = "tiny/scripted"
WRITER = Path(__file__).with_name("tiny_hf.py")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class Program:
    """A running server on loopback, and the file it logs to."""

    url: str
    log: Path

    def asked(self) -> int:
        """How many completions it was asked for."""
        return self.log.read_text("utf-8", "replace").count("POST /v1/chat/completions")

    async def healthy(self) -> bool:
        try:
            async with httpx2.AsyncClient(trust_env=False) as http:
                answer = await http.get(f"{self.url}/health")
        except httpx2.TransportError:
            return False
        return answer.status_code == 200


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; `uv sync --group local` installs it")


def write_model(home: Path) -> None:
    subprocess.run([sys.executable, str(WRITER), str(home)], check=True, timeout=START_S)


def model_path(home: Path) -> Path:
    return next((home / "hub").glob("models--*/snapshots/*"))


def mlx(home: Path, model: str = MODEL) -> tuple[Path, Sequence[str]]:
    return home, ("-m", "mlx_lm.server", "--model", model, "--log-level", "INFO", "--port")


def transformers(home: Path) -> tuple[Path, Sequence[str]]:
    """Its command is a script, which stands beside the interpreter."""
    start = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    return home, ("-c", start, "serve", "--host", "127.0.0.1", "--port")


@asynccontextmanager
async def running(home: Path, arguments: Sequence[str]) -> AsyncGenerator[Program]:
    """A server that answers, until the end of the block. Raises TimeoutError if it never does."""
    port = free_port()
    server = Program(f"http://127.0.0.1:{port}", home / f"server-{port}.log")
    with server.log.open("wb") as log:
        process = await anyio.open_process(
            [sys.executable, *arguments, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **OFFLINE, "HF_HOME": str(home)},
        )
    try:
        with anyio.fail_after(START_S):
            while not await server.healthy():
                assert process.returncode is None, server.log.read_text("utf-8", "replace")
                await anyio.sleep(POLL_S)
        yield server
    finally:
        process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()
