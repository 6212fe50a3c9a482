"""How `roundhouse serve` ends: exit code, time to exit, and what its ledger still holds.

    uv run python bench/signals.py [--runs 5]

Real clients end a server by closing its stdin, by SIGTERM, by SIGINT, or by SIGINT and SIGTERM
100 ms later. Each way is tried idle and with a call in flight on a scripted provider that never
finishes and costs money; then the ledger is read. Held reservations and rows in flight must be 0.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from roundhouse_mcp.server.ledger.driver import OperationalError, connect_read_only

HELD = "SELECT count(*) FROM reservations WHERE state = 'held'"
RUNNING = "SELECT count(*) FROM inflight"
CALLS = "SELECT status FROM calls"
KILL_S = 5.0
WAIT_S = 10.0
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
}
CONFIG = """
[providers.slow]
like = "mock"
base_url = "mock://slow?delay_ms=100&text={text}"
models = ["m"]
[prices."slow/m"]
input = "1"
output = "1"
[[budgets]]
scope = "global"
period = "day"
limit_usd = "1"
"""

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class End:
    code: int
    ms: float
    killed: bool
    held: int
    running: int
    statuses: tuple[str, ...]


def end_of_input(process: Process) -> None:
    assert process.stdin
    process.stdin.close()


def both(process: Process) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)


WAYS: Mapping[str, Callable[[Process], None]] = {
    "end of input": end_of_input,
    "SIGINT": lambda process: process.send_signal(signal.SIGINT),
    "SIGTERM": lambda process: process.send_signal(signal.SIGTERM),
    "SIGINT, SIGTERM 100 ms later": both,
}


def send(process: Process, number: int, method: str, **params: object) -> None:
    assert process.stdin
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    line = json.dumps({**message, "params": {**params, "_meta": META}})
    process.stdin.write(line.encode() + b"\n")
    process.stdin.flush()


def count(home: Path, query: str) -> int:
    with closing(connect_read_only(home / "ledger.db", busy_s=5.0)) as db:
        return db.execute(query).fetchone()[0]


def statuses(home: Path) -> tuple[str, ...]:
    with closing(connect_read_only(home / "ledger.db", busy_s=5.0)) as db:
        return tuple(row[0] for row in db.execute(CALLS))


def wait_until_held(home: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with suppress(OperationalError):  # the file or its tables are not there yet
            if count(home, HELD):
                return
        time.sleep(0.02)
    raise TimeoutError("the call never held money")


def one(way: Callable[[Process], None], *, busy: bool) -> End:
    """A server in a home of its own, ended in one way."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        text = "+".join(["word"] * 600)
        (home / "config.toml").write_text(CONFIG.format(text=text), encoding="utf-8")
        with subprocess.Popen(
            [sys.executable, "-m", "roundhouse_mcp.server", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ROUNDHOUSE_HOME": name},
        ) as process:
            return measured(process, way, home, busy=busy)


def measured(process: Process, way: Callable[[Process], None], home: Path, *, busy: bool) -> End:
    assert process.stdout
    send(process, 1, "server/discover")
    process.stdout.readline()
    if busy:
        asked = {"prompt": "go on", "model": "slow/m", "max_tokens": 2000}
        send(process, 2, "tools/call", name="complete", arguments=asked)
        wait_until_held(home)
    begun = time.perf_counter()
    way(process)
    hung = threading.Timer(KILL_S, process.kill)
    hung.start()
    code = process.wait()  # without a timeout: with one, Python polls and rounds up
    ms = (time.perf_counter() - begun) * 1000
    hung.cancel()
    killed = code == -signal.SIGKILL
    if not (home / "ledger.db").exists():
        return End(code, ms, killed, 0, 0, ())
    return End(code, ms, killed, count(home, HELD), count(home, RUNNING), statuses(home))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    bad = 0
    sys.stdout.write("| ended by | call in flight | exit code | ms to exit | held | in flight |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for name, way in WAYS.items():
        for busy in (False, True):
            ends = [one(way, busy=busy) for _ in range(runs)]
            codes = ", ".join(sorted({"killed" if e.killed else str(e.code) for e in ends}))
            times = [e.ms for e in ends]
            held, running = sum(e.held for e in ends), sum(e.running for e in ends)
            written = {status for e in ends for status in e.statuses}
            said = f"yes, then {', '.join(sorted(written)) or 'no row'}" if busy else "no"
            spread = f"{statistics.median(times):.0f} (most {max(times):.0f})"
            sys.stdout.write(f"| {name} | {said} | {codes} | {spread} | {held} | {running} |\n")
            bad += held + running + sum(e.killed or e.code != 0 for e in ends)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
