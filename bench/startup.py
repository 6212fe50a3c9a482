"""Process start to first response, beside a bare server on the same SDK under its stock runner.

    uv run python bench/startup.py [--runs 15]

Both are started with the same interpreter and environment, interleaved, each with a warm file
cache and compiled modules (PYTHONDONTWRITEBYTECODE is removed). Prints medians, the ratio,
resident memory after the first response, and the time from end of input to exit.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HELLO = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("hello", version="0")

@server.tool()
async def hello(name: str) -> str:
    "Say hello."
    return "hello " + name

server.run()
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
}
OPENINGS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "modern": ("server/discover", {"_meta": META}),
    "legacy": (
        "initialize",
        {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "0"},
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Run:
    first_ms: float
    cpu_ms: float
    rss_mib: float
    exit_ms: float


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1000


def measure(command: Sequence[str], era: str, environ: Mapping[str, str]) -> Run:
    method, params = OPENINGS[era]
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        first = time.perf_counter() - begun
        assert "result" in answer, answer
        spent, resident = cpu_ms(process.pid), resident_mib(process.pid)
        ending = time.perf_counter()
        process.stdin.close()
        process.wait(timeout=30)
    return Run(first * 1000, spent, resident, (time.perf_counter() - ending) * 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    home = tempfile.TemporaryDirectory()
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ["ROUNDHOUSE_HOME"] = home.name
    ours = [str(Path(sys.executable).with_name("roundhouse")), "serve"]
    bare = [sys.executable, "-c", HELLO]
    for era in OPENINGS:
        taken: dict[str, list[Run]] = {"bare": [], "ours": []}
        for command in (bare, ours):
            measure(command, era, environ)  # warms the file cache and the compiled modules
        for _ in range(runs):
            for name, command in (("bare", bare), ("ours", ours)):
                taken[name].append(measure(command, era, environ))
        report(era, taken)
    home.cleanup()


def report(era: str, taken: Mapping[str, Sequence[Run]]) -> None:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(run, field) for run in taken[name])

    for name in taken:
        figures = ", ".join(
            f"{label} {median(name, field):.0f}"
            for label, field in (
                ("first response ms", "first_ms"),
                ("CPU ms", "cpu_ms"),
                ("RSS MiB", "rss_mib"),
                ("exit ms", "exit_ms"),
            )
        )
        sys.stdout.write(f"{era} {name}: {figures}\n")
    ratio = median("ours", "first_ms") / median("bare", "first_ms")
    more = median("ours", "rss_mib") - median("bare", "rss_mib")
    sys.stdout.write(f"{era}: ratio {ratio:.3f}, resident memory {more:+.1f} MiB\n")


if __name__ == "__main__":
    main()
