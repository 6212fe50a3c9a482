"""CPU per `complete` over stdio with a local upstream, beside raw httpx2 and litellm.Router.

    uv run python bench/overhead.py [--calls 300] [--litellm PYTHON]

One upstream process streams the same 20-word answer to all. Raw is one pooled httpx2 client reading
the stream to its end; ours is the server process of `roundhouse serve` (from /proc), driven by the
SDK's client over stdio, ledger on disk, budget applied; litellm.Router runs under the interpreter
given with --litellm (its own environment) and streams the same answer. The three are interleaved
in rounds; figures are milliseconds of CPU per call, medians over the rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import httpx2
from mcp import Client, StdioServerParameters

HERE = Path(__file__).parent
CONFIG = """
[providers.local]
like = "openai"
base_url = "{url}"
auth = "none"
models = ["m"]
[prices."local/m"]
input = "1.00"
output = "2.00"
[[budgets]]
scope = "global"
period = "day"
limit_usd = "1000"
"""
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100,
    "stream": True,
}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def child_of(parent: int) -> int:
    """The pid of the server, which is our only child whose parent we are and runs serve."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                stat = (entry / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat[1]) == parent and b"roundhouse_mcp.server" in command:
                return int(entry.name)
    raise RuntimeError("the server process was not found")


async def raw_ms(client: httpx2.AsyncClient, url: str, calls: int) -> float:
    begun = time.process_time()
    for _ in range(calls):
        async with client.stream("POST", f"{url}/chat/completions", json=BODY) as response:
            async for _line in response.aiter_lines():
                pass
    return (time.process_time() - begun) / calls * 1000


async def ours_ms(client: Client, pid: int, calls: int) -> float:
    begun = cpu_s(pid)
    for _ in range(calls):
        result = await client.call_tool("complete", {"prompt": "hello", "model": "local/m"})
        assert not result.is_error, result.content
    return (cpu_s(pid) - begun) / calls * 1000


def started_litellm(python: str, url: str, calls: int, rounds: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [python, str(HERE / "litellm_calls.py"), url, str(calls), str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def theirs_ms(process: "subprocess.Popen[str]") -> float:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


async def measure(
    url: str, home: Path, calls: int, rounds: int, litellm: "subprocess.Popen[str] | None"
) -> None:
    (home / "config.toml").write_text(CONFIG.format(url=url), encoding="utf-8")
    (home / "config.toml").chmod(0o600)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve"],
        env={**os.environ, "ROUNDHOUSE_HOME": str(home)},
    )
    taken: dict[str, list[float]] = {"raw httpx2": [], "roundhouse": [], "litellm.Router": []}
    async with httpx2.AsyncClient() as raw, Client(server) as client:
        pid = child_of(os.getpid())
        await raw_ms(raw, url, 20)
        await ours_ms(client, pid, 20)
        for _ in range(rounds):
            taken["raw httpx2"].append(await raw_ms(raw, url, calls))
            taken["roundhouse"].append(await ours_ms(client, pid, calls))
            if litellm is not None:
                taken["litellm.Router"].append(theirs_ms(litellm))
    report({name: figures for name, figures in taken.items() if figures})


def report(taken: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(figures) for name, figures in taken.items()}
    for name, figures in taken.items():
        rounds = " ".join(f"{figure:.2f}" for figure in figures)
        sys.stdout.write(f"{name}: {medians[name]:.2f} ms CPU per call (rounds: {rounds})\n")
    over = medians["roundhouse"] - medians["raw httpx2"]
    sys.stdout.write(f"over raw: {over:.2f} ms\n")
    if "litellm.Router" in medians:
        share = medians["roundhouse"] / medians["litellm.Router"]
        sys.stdout.write(f"of litellm.Router: {share:.2f}\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", metavar="PYTHON")
    given = parser.parse_args()
    words = [sys.executable, str(HERE / "upstream_words.py")]
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as upstream,
    ):
        assert upstream.stdout
        url = f"http://127.0.0.1:{upstream.stdout.readline().strip()}/v1"
        litellm = None
        if given.litellm:
            litellm = started_litellm(given.litellm, url, given.calls, given.rounds)
        try:
            anyio.run(measure, url, Path(home), given.calls, given.rounds, litellm)
        finally:
            upstream.terminate()
            if litellm is not None:
                litellm.terminate()
                litellm.communicate()


if __name__ == "__main__":
    main()
