"""Engines under SIGKILL: do two ever run, does one stay behind, does the next call work?

    PYTHONPATH=tests python -m tests.engine_kills --rounds 200 [--seed 1] [--servers 3]

Servers make calls at one engine (fake_engine.py). In each round one process is killed at whatever
it is doing, three times: a server, the engine, or the process that keeps it; or the engine is
unloaded by force, or left alone until it is idle. Then a call must be answered, and at no look may
two engines run. At the end all servers are killed, and the engine must be gone soon after its idle
time.

Prints what was found as JSON. Exit code 1 for any of it. Reads /proc: for Linux.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio

from roundhouse_mcp.server import processes

from .billing import Gone, Server, serving
from .fake_engine import __file__ as FAKE
from .seats import QUIET, rows

IDLE_S = 1.0
PATIENCE_S = 20.0
LOOK_S = 0.05
ACTS = ("server", "engine", "keeper", "unload", "idle", "nothing")


@dataclass(slots=True, kw_only=True)
class Findings:
    """The first three must be 0."""

    unanswered: int = 0
    several: int = 0
    left_behind: int = 0
    answers: int = 0
    starts: int = 0
    acts: dict[str, int] = field(default_factory=dict[str, int])
    words: list[str] = field(default_factory=list[str])

    @property
    def wrong(self) -> bool:
        return bool(self.unanswered or self.several or self.left_behind)


def configured(home: Path) -> None:
    words = [sys.executable, "-S", "-E", FAKE, "{port}", f"of={home}"]
    (home / "config.toml").write_text(
        f'{QUIET}[circuits]\nenabled = false\n[providers.own]\nengine = "command"\n'
        f'models = ["m"]\nidle_s = {IDLE_S}\ncommand = {json.dumps(words)}\n',
        encoding="utf-8",
    )
    (home / "config.toml").chmod(0o600)


def running(home: Path) -> list[int]:
    """The engines of this home, as the kernel knows them."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"of={home}" in (entry / "cmdline").read_bytes().decode("utf-8", "replace"):
                found.append(int(entry.name))
    return [pid for pid in found if processes.since(pid) is not None]


def call(prompt: str) -> dict[str, Any]:
    return {"name": "complete", "arguments": {"prompt": prompt, "model": "own", "timeout_s": 15}}


async def answered(server: Server, prompt: str) -> str:
    """The text, or the words of the error."""
    said = await server.ask("tools/call", call(prompt), patience_s=PATIENCE_S)
    result = (said or {}).get("result", {})
    return str(result.get("structuredContent", {}).get("text") or result.get("content"))


async def act(name: str, home: Path, server: Server) -> None:
    found = rows(home, "SELECT * FROM engines")
    if name == "server":
        with suppress(ProcessLookupError):  # it was killed before
            server.process.kill()
    elif name == "unload":
        arguments = {"model": "own", "force": True}
        with suppress(Gone):
            await server.ask("tools/call", {"name": "unload_model", "arguments": arguments})
    elif name == "idle":
        await anyio.sleep(IDLE_S * random.uniform(0.9, 1.3))
    elif name in ("engine", "keeper") and found:
        pid, since = ("pid", "since") if name == "engine" else ("keeper_pid", "keeper_since")
        if processes.since(found[0][pid]) == found[0][since]:
            os.kill(found[0][pid], signal.SIGKILL)


async def play(home: Path, rounds: int, count: int, dice: random.Random) -> Findings:
    findings = Findings()
    for _ in range(rounds):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(serving(home)) for _ in range(count)]
            await one_round(home, servers, dice, findings)
            for server in servers:
                with suppress(ProcessLookupError):
                    server.process.kill()
    for _ in range(round((IDLE_S + PATIENCE_S) / LOOK_S)):
        if not running(home):
            break
        await anyio.sleep(LOOK_S)
    findings.left_behind = len(running(home))
    findings.starts = (home / "logs" / "engine-own.log").read_text("utf-8").count("starting")
    return findings


async def one_round(
    home: Path, servers: list[Server], dice: random.Random, findings: Findings
) -> None:
    async def ask(server: Server) -> None:
        with suppress(Gone):
            await answered(server, dice.choice(("Hi", "Hi", "crash")))

    async def look() -> None:
        while True:
            if len(running(home)) > 1:
                findings.several += 1
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as looking:
        looking.start_soon(look)
        for _ in range(3):
            name = dice.choice(ACTS)
            findings.acts[name] = findings.acts.get(name, 0) + 1
            async with anyio.create_task_group() as group:
                for server in servers:
                    group.start_soon(ask, server)
                await anyio.sleep(dice.uniform(0, 0.6))
                await act(name, home, servers[0])
            text = await answered(servers[-1], "Hi")
            findings.answers += 1
            if text != "Steam is up.":
                findings.unanswered += 1
                findings.words.append(f"after {name}: {text[:300]}")
        looking.cancel_scope.cancel()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        configured(home)
        dice = random.Random(said.seed)
        findings = anyio.run(play, home, said.rounds, said.servers, dice)
    sys.stdout.write(json.dumps(asdict(findings), indent=1) + "\n")
    return int(findings.wrong)


if __name__ == "__main__":
    sys.exit(main())
