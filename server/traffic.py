"""The traffic of `roundhouse demo --tui`: three agents at work on scripted providers.

It runs in a process of its own, so that the interface over it stays quick: real servers over
stdio, each with a real client, as editors start them. It ends with the end of its input, and the
servers with it; nothing leaves the machine.
"""

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

STOP_S = 15.0
Job = tuple[float, Mapping[str, Any]]  # the pause before it comes again, about; what it asks
WORDS = (
    "A roundhouse is where a railway keeps its engines: a half circle of stalls around a"
    " turntable, which swings each engine onto the track it needs. Steam engines ran best in one"
    " direction, so they had to be turned; the stalls kept them warm, fed and mended between two"
    " journeys, and one look from the turntable told which engine was free."
)
# name -> how it answers, its models, price in and out per million tokens, more lines
PROVIDERS: Mapping[str, tuple[str, str, tuple[str, str], str]] = {
    "steady": (
        f"delay_ms=70&text={quote(WORDS)}",
        "writer coder",
        ("2.50", "12"),
        "priority = 1\n",
    ),
    "swift": (f"delay_ms=15&text={quote(WORDS[:180])}", "tiny coder", ("0.10", "0.40"), ""),
    "slow": (
        f"delay_ms=240&text={quote(WORDS)}",
        "thinker",
        ("15", "75"),
        "priority = 8\nconcurrency = 1\n",
    ),
    "flaky": ("status=503", "coder", ("0.50", "2"), "priority = 7\n"),
    "lavish": ("text=Never%20sent", "grand", ("60", "240"), "priority = 9\n"),
}
HEAD = """\
# Written by `roundhouse demo --tui`. Every provider here is scripted and answers in process.
[routing.tasks]
code = { models = ["flaky/coder", "steady/coder", "swift/coder"] }
docs = { models = ["steady/writer", "swift/tiny"] }
review = { models = ["slow/thinker", "steady/coder"] }
title = { models = ["swift/tiny"] }

[[budgets]]
scope = "global"
period = "day"
limit_usd = "0.50"
[[budgets]]
scope = "client:zed"
period = "day"
limit_usd = "0.03"
[[budgets]]
scope = "task:review"
period = "month"
limit_usd = "0.20"
[[budgets]]
scope = "provider:lavish"
period = "day"
limit_usd = "0.01"

[providers.attic]
like = "mock"
base_url = "mock://attic?delay_ms=45&loaded=qwen3:8b"
models = ["qwen3:8b"]
priority = 9
"""
PRICE = '[prices."{}/{}"]\ninput = "{}"\noutput = "{}"\n'
AGENTS: Mapping[str, Sequence[Job]] = {
    "cursor": (
        (1.0, {"task": "code", "prompt": "Rename this function, and say why."}),
        (2.0, {"task": "title", "prompt": "A title for this change."}),
        (3.0, {"task": "code", "prompt": "Write the test that fails first."}),
    ),
    "claude-code": (
        (2.0, {"task": "review", "prompt": "What may go wrong in this patch?"}),
        (1.0, {"task": "docs", "prompt": "Explain the turntable to a newcomer."}),
        (2.0, {"task": "code", "prompt": "Find the slowest query."}),
    ),
    "zed": (
        (2.0, {"task": "docs", "prompt": "Shorten this paragraph."}),
        (9.0, {"model": "lavish/grand", "prompt": "Write a long novel.", "max_tokens": 4000}),
        (3.0, {"model": "attic/qwen3:8b", "prompt": "Sort these words."}),
    ),
}


def config() -> str:
    """The configuration of the house these agents share."""
    rows = [HEAD]
    for name, (script, models, price, more) in PROVIDERS.items():
        listed = ", ".join(f'"{model}"' for model in models.split())
        rows.append(f'\n[providers.{name}]\nlike = "mock"\nlocal = false\n')
        rows.append(f'base_url = "mock://{name}?{script}"\nmodels = [{listed}]\n{more}')
        rows += (PRICE.format(name, model, *price) for model in models.split())
    return "".join(rows)


@contextmanager
def traffic(*, keep: bool) -> Generator[Path]:
    """A home with servers under load, for as long as this lasts; with `keep` it stays."""
    home = Path(tempfile.mkdtemp(prefix="roundhouse-demo-"))
    try:
        (home / "config.toml").write_text(config(), encoding="utf-8")
        (home / "config.toml").chmod(0o600)
        command = [sys.executable, "-m", __name__, str(home)]
        with (home / "traffic.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            )
        try:
            yield home
        finally:
            stop(process)
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Its input ends, and it ends its servers; if it does not, it is killed, and their input
    ends with it."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def work(home: Path) -> None:
    """Three agents, each with a server of its own, until the input ends."""
    import anyio
    from anyio import to_thread

    async with anyio.create_task_group() as group:
        for name, jobs in AGENTS.items():
            group.start_soon(agent, home, name, jobs)
        await to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


async def agent(home: Path, name: str, jobs: Sequence[Job]) -> None:
    """Its jobs at the same time, each again after a pause."""
    import anyio

    chance = random.Random(name)

    async def again(client: Any, pause_s: float, asked: Mapping[str, Any]) -> None:
        while True:
            await client.call_tool("complete", dict(asked))
            await anyio.sleep(pause_s * chance.uniform(0.3, 1.7))

    async with connected(home, name) as client, anyio.create_task_group() as group:
        for pause_s, asked in jobs:
            group.start_soon(again, client, pause_s, asked)


@asynccontextmanager
async def connected(home: Path, name: str) -> AsyncGenerator[Any]:
    from mcp import Client, StdioServerParameters

    from .demo import environment

    arguments = ["-m", "roundhouse_mcp.server", "serve", "--client", name]
    server = StdioServerParameters(
        command=sys.executable, args=arguments, env=environment(home), cwd=home
    )
    async with Client(server) as client:
        yield client


def main(home: Path) -> None:
    import anyio

    anyio.run(work, home)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
