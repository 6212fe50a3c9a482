"""A budget worth ten calls, and a hundred calls at once from several server processes.

    uv run python bench/overshoot.py [--servers 4] [--calls 25]

Each server is a real `roundhouse serve` on one home; the model is scripted, its price is real.
Prints how many calls were answered and refused, and what was spent of what was allowed.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

CONFIG = """
[providers.paid]
like = "mock"
base_url = "mock://paid?text=one%20two%20three%20four&delay_ms=20"
models = ["m"]
local = false
[prices."paid/m"]
input = "0"
output = "1000"
[[budgets]]
scope = "global"
period = "total"
limit_usd = "{limit}"
"""
CALL_USD = 0.005  # the five tokens of the scripted answer at $1,000 per million


async def ask(client: Client, seen: Counter[str], spent: list[float]) -> None:
    arguments = {"prompt": "hello", "model": "paid/m", "max_tokens": 5}
    result = await client.call_tool("complete", arguments)
    said = result.structured_content
    if result.is_error or said is None:
        text = "".join(getattr(block, "text", "") for block in result.content)
        seen["over_budget" if "code: over_budget" in text else text] += 1
        return
    seen["answered"] += 1
    spent.append(float(said["cost_usd"]))


async def server(home: Path, calls: int, seen: Counter[str], spent: list[float]) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve"],
        env={**os.environ, "ROUNDHOUSE_HOME": str(home)},
    )
    async with Client(parameters) as client, anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(ask, client, seen, spent)


async def main(servers: int, calls: int) -> None:
    limit = CALL_USD * 10
    seen, spent = Counter[str](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "config.toml").write_text(CONFIG.format(limit=f"{limit:.3f}"), encoding="utf-8")
        (home / "config.toml").chmod(0o600)
        async with anyio.create_task_group() as group:
            for _ in range(servers):
                group.start_soon(server, home, calls, seen, spent)
    counts = ", ".join(f"{count} {what}" for what, count in seen.most_common())
    sys.stdout.write(f"{servers} servers x {calls} calls: {counts}\n")
    sys.stdout.write(f"spent ${sum(spent):.6f} of ${limit:.6f}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--calls", type=int, default=25)
    given = parser.parse_args()
    anyio.run(main, given.servers, given.calls)
