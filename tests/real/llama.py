"""Starts and ends real llama.cpp servers, and asks them what they are doing."""

import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2

START_S = 30.0
WAIT_S = 5.0
POLL_S = 0.05
SERVER = Path(__file__).with_name("llama_server.py")
MODEL = Path(__file__).with_name("tiny_gguf.py")

Kind = Literal["chat", "embedding"]


@dataclass(frozen=True, slots=True)
class Llama:
    """A running server on loopback."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def busy_slots(self) -> int:
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.url}/slots")
        slots: list[dict[str, Any]] = answer.json()
        return sum(bool(slot["is_processing"]) for slot in slots)

    async def wait_for_slots(self, busy: int) -> None:
        with anyio.fail_after(WAIT_S):
            while True:
                if await self.busy_slots() == busy:
                    return
                await anyio.sleep(POLL_S)

    async def healthy(self) -> bool:
        try:
            async with httpx2.AsyncClient(trust_env=False) as http:
                answer = await http.get(f"{self.url}/health")
        except httpx2.TransportError:
            return False
        return answer.status_code == 200


def write_model(path: Path) -> None:
    subprocess.run([sys.executable, str(MODEL), str(path)], check=True, timeout=START_S)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def is_free(port: int) -> bool:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def llama(model: Path, kind: Kind, port: int | None = None) -> AsyncGenerator[Llama]:
    """A server that answers, until the end of the block. Raises TimeoutError if it never does."""
    server = Llama(port or free_port())
    command = [sys.executable, str(SERVER), str(model), str(server.port), kind]
    with model.with_suffix(f".{kind}.log").open("wb") as log:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        with anyio.fail_after(START_S):
            while not await server.healthy():
                assert process.returncode is None, "llama.cpp ended before it answered"
                await anyio.sleep(POLL_S)
        yield server
    finally:
        process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()
