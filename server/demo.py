"""`roundhouse demo`: the real server, a real MCP client, scripted providers, all six tools.

Starts `roundhouse serve` over stdio on a temporary home, as an editor would, and shows what each
tool answers. No key, no network, nothing left behind.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import click
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

CONFIG = """\
# Written by `roundhouse demo`. Every provider here is scripted and answers in process.
[routing.tasks]
code = { models = ["flaky/coder", "steady/coder"], only = true }

[providers.steady]
like = "mock"
local = false
base_url = "mock://steady?delay_ms=55&text=A%20roundhouse%20is%20where%20a%20railway\
%20keeps%20its%20engines%3A%20a%20half%20circle%20of%20stalls%20around%20a%20turntable%2C\
%20which%20swings%20each%20engine%20onto%20the%20track%20it%20needs."
models = ["writer", "coder"]
embedding_model = "finder"
priority = 1

[providers.flaky]
like = "mock"
local = false
base_url = "mock://flaky?status=503"
models = ["coder"]
priority = 2

[providers.lavish]
like = "mock"
local = false
base_url = "mock://lavish?text=This%20is%20never%20sent."
models = ["grand"]
priority = 3

[providers.attic]
like = "ollama"
base_url = "mock://attic?loaded=qwen3:8b"
models = ["qwen3:8b"]
priority = 9

[prices."steady/writer"]
input = "0.25"
output = "2.00"
[prices."steady/coder"]
input = "0.25"
output = "2.00"
[prices."steady/finder"]
input = "0.02"
[prices."flaky/coder"]
input = "0.10"
output = "0.40"
[prices."lavish/grand"]
input = "15.00"
output = "75.00"

[circuits]
failure_threshold = 4

[[budgets]]
scope = "global"
period = "day"
limit_usd = "5.00"
[[budgets]]
scope = "provider:lavish"
period = "day"
limit_usd = "0.01"
"""
ABSENT = ("disabled", "key_missing", "not_running")
SHELF = [
    "How to make a sourdough starter",
    "Resetting a tripped circuit breaker in the house",
    "A field guide to alpine flowers",
    "Train timetables of the mountain railway",
]


class Stage:
    """Prints, in colour where the terminal has it; every line reads without."""

    def title(self, number: int, tool: str, words: str) -> None:
        head = click.style(f"\n{number}  {tool}", bold=True, fg="cyan")
        click.echo(f"{head}  {click.style(words, dim=True)}")

    def line(self, words: str, *, good: bool | None = None) -> None:
        mark = {True: click.style("✓", fg="green"), False: click.style("✗", fg="yellow")}
        click.echo(f"   {mark[good] + ' ' if good is not None else ''}{words}")


def structured(result: CallToolResult) -> dict[str, Any]:
    """The structured half of a success. Raises RuntimeError with the text of an error."""
    if result.is_error or result.structured_content is None:
        raise RuntimeError(error_of(result))
    return result.structured_content


def error_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def money(usd: float | None) -> str:
    return "cost unknown" if usd is None else f"${usd:.6f}"


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ROUNDHOUSE_")}
    return {**kept, "ROUNDHOUSE_HOME": str(home)}


class Demo:
    def __init__(self, client: Client, stage: Stage) -> None:
        self.client = client
        self.stage = stage

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)

    async def completion(self) -> None:
        self.stage.title(1, "complete", "a plain completion, with live progress")

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            if message:
                self.stage.line(click.style(f"… {message[-90:]}", dim=True))

        result = await self.client.call_tool(
            "complete",
            {"prompt": "What is a roundhouse?", "model": "steady/writer", "max_tokens": 400},
            progress_callback=progress,
        )
        said = structured(result)
        self.stage.line(said["text"], good=True)
        usage = said["usage"]
        self.stage.line(
            f"{said['provider']}/{said['model']}, {usage['input']} in, {usage['output']} out, "
            f"{money(said['cost_usd'])}, call {said['call_id']}"
        )

    async def fallback(self) -> None:
        self.stage.title(2, "complete", "task code prefers a provider that is down: fallback")
        said = structured(await self.call("complete", prompt="Reverse a list.", task="code"))
        for attempt in said["attempts"]:
            good = attempt["outcome"] == "ok"
            status = f" (HTTP {attempt['http_status']})" if "http_status" in attempt else ""
            name = f"{attempt['provider']}/{attempt['model']}"
            self.stage.line(f"{name}: {attempt['outcome']}{status}, {attempt['ms']} ms", good=good)

    async def circuit(self) -> None:
        self.stage.title(3, "complete", "it keeps failing, so its circuit opens for every process")
        structured(await self.call("complete", prompt="Sort a list.", task="code"))
        said = structured(await self.call("complete", prompt="Copy a list.", task="code"))
        attempts = len(said.get("attempts", [1]))
        self.stage.line(
            f"third call: {attempts} attempt, straight to {said['provider']}", good=True
        )

    async def budget(self) -> None:
        self.stage.title(4, "complete", "a budget of one cent a day refuses an expensive call")
        result = await self.call(
            "complete", prompt="Write a long novel.", model="lavish/grand", max_tokens=4000
        )
        first = error_of(result).splitlines()[0]
        self.stage.line(first, good=False if result.is_error else None)

    async def ranking(self) -> None:
        self.stage.title(5, "embed", "which text is closest to a question?")
        result = await self.call(
            "embed",
            texts=SHELF,
            query="the circuit breaker in my house tripped",
            model="steady/finder",
        )
        said = structured(result)
        for row in said["ranking"][:2]:
            best = True if row["rank"] == 1 else None
            self.stage.line(f"{row['score']:.3f}  {row['text']}", good=best)
        self.stage.line(
            f"{said['count']} vectors of {said['dimensions']}, {money(said['cost_usd'])}"
        )

    async def route(self) -> None:
        self.stage.title(6, "route_for_task", "why a call goes where it goes; costs nothing")
        result = await self.call("route_for_task", task="code", prompt="Reverse a list.")
        said = structured(result)
        for row in said["candidates"]:
            price = row["estimated_cost_usd"]
            words = f"{row['rank']}. {row['provider']}/{row['model']}: {row['why']}, {money(price)}"
            self.stage.line(words, good=True)
        for row in said["excluded"]:
            words = f"left out {row['provider']}/{row['model']}: {row['reason']}, {row['detail']}"
            if row["reason"] not in ABSENT:
                self.stage.line(words, good=False)
        absent = [row for row in said["excluded"] if row["reason"] in ABSENT]
        if absent:
            self.stage.line(f"and {len(absent)} providers without a key or not running here")

    async def health(self) -> None:
        self.stage.title(7, "provider_health", "what is up, what is not")
        said = structured(await self.call("provider_health"))
        shown = [row for row in said["providers"] if row["provider"] in ("steady", "flaky")]
        for row in shown:
            words = f"{row['provider']}: circuit {row['circuit']}, {row['calls']} attempts"
            self.stage.line(f"{words}, errors {row['error_rate']:.0%}", good=not row["error_rate"])

    async def costs(self) -> None:
        self.stage.title(8, "cost_report", "what it all cost, from the ledger every process shares")
        said = structured(await self.call("cost_report", group_by=["provider", "model"]))
        totals = said["totals"]
        self.stage.line(f"{totals['calls']} calls, {money(totals['cost_usd'])}", good=True)
        for row in said["groups"]:
            name = f"{row['provider']}/{row['model']}" if row["provider"] else "(refused)"
            self.stage.line(f"{name:<16} {row['calls']} calls  {money(row['cost_usd'])}")
        for row in said["budgets"]:
            spent = money(row["spent_usd"])
            self.stage.line(f"budget {row['budget']}: {spent} of ${row['limit_usd']:.2f}")

    async def unload(self) -> None:
        self.stage.title(9, "unload_model", "get a local model's memory back")
        said = structured(await self.call("unload_model", model="attic/qwen3:8b"))
        self.stage.line(said["detail"], good=said["unloaded"] or None)


async def play(home: Path, stage: Stage) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve", "--client", "demo"],
        env=environment(home),
    )
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        stage.line(f"connected over stdio, MCP {client.protocol_version}, {len(tools)} tools")
        demo = Demo(client, stage)
        for scene in (
            demo.completion,
            demo.fallback,
            demo.circuit,
            demo.budget,
            demo.ranking,
            demo.route,
            demo.health,
            demo.costs,
            demo.unload,
        ):
            await scene()


def demo(*, keep: bool) -> None:
    """Plays the demo; with `keep` its home stays, for `roundhouse watch`."""
    home = Path(tempfile.mkdtemp(prefix="roundhouse-demo-"))
    (home / "config.toml").write_text(CONFIG, encoding="utf-8")
    (home / "config.toml").chmod(0o600)
    stage = Stage()
    click.echo(
        click.style("Roundhouse demo", bold=True) + ": scripted providers, no keys, no network"
    )
    try:
        anyio.run(play, home, stage)
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    click.echo()
    if keep:
        click.echo(f"The ledger stays: ROUNDHOUSE_HOME={home} roundhouse watch")
    else:
        click.echo(
            "The temporary home is gone. Next: roundhouse doctor, then roundhouse keys set NAME."
        )
