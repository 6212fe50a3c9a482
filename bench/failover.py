"""An outage of the first provider: attempts at it while it is dead, and the time it costs callers.

    uv run python bench/failover.py [--scale 20] [--litellm PYTHON]

Twenty requests one after another, one every 4 s or as soon as the one before is answered; from 11 s
on the primary is dead for 60 s. All times are divided by --scale, reset time, time limits, backoff
and cooldowns with them (litellm's backoff through its environment variables; its window of a
minute is fixed). Three faults: nobody listens, HTTP 500, and no answer at all until a limit of 8 s.
The fallback answers after 100 ms, unscaled. Added: what a request took beyond the time its fallback
spent on it. Ours is `roundhouse serve` driven by the SDK's client over stdio; litellm.Router runs
in the interpreter given with --litellm, at its defaults and with `allowed_fails=1` and a cooldown
as long as our reset time. Exit code 1 if ours makes more than 7 attempts at the dead primary, or
adds more than 20 ms to any request it begins after its circuit opened.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from roundhouse_mcp.server.ledger.driver import connect_read_only

HERE = Path(__file__).parent
FAULTS = ("refused", "500", "hang")
REQUESTS, INTERVAL_S, BEGINS_S, OUTAGE_S = 20, 4.0, 11.0, 60.0
RESET_S, LIMIT_S, FALLBACK_S = 60.0, 8.0, 0.1
MOST_ATTEMPTS, MOST_ADDED_MS = 7, 20.0
LEAD_S = 0.3
CONFIG = """
[circuits]
reset_timeout_s = {reset}
[retries]
base_delay_ms = {base}
[routing.tasks.outage]
models = ["primary/m", "fallback/m"]
only = true
[providers.primary]
like = "openai"
base_url = "{primary}"
auth = "none"
local = false
models = ["m"]
timeout_s = {limit}
[providers.fallback]
like = "openai"
base_url = "{fallback}"
auth = "none"
local = false
models = ["m"]
"""
BACKOFF = {"INITIAL_RETRY_DELAY": 0.5, "MAX_RETRY_DELAY": 8.0, "JITTER": 0.75}  # litellm's own
Taken = list[tuple[float, float, bool]]  # began, ended, answered
Served = list[tuple[str, float, float, bool]]  # by whom, began, ended, dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """One outage in seconds of the monotonic clock."""

    start: float
    begin: float
    end: float
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Attempts at the dead primary, and the added milliseconds of the requests that began while it
    was dead, and after its circuit opened."""

    who: str
    fault: str
    attempts: int
    failed: int
    during: list[float]
    after: list[float]

    @property
    def good(self) -> bool:
        slow = max(self.after, default=float("inf")) > MOST_ADDED_MS
        return not slow and not self.failed and self.attempts <= MOST_ATTEMPTS


class Upstreams:
    """The process of failing_upstream.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "failing_upstream.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        primary, fallback = self.process.stdout.readline().split()
        self.primary = f"http://127.0.0.1:{primary}/v1"
        self.fallback = f"http://127.0.0.1:{fallback}/v1"

    def ask(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def scenario(self, fault: str, scale: float) -> Times:
        """Plans an outage that begins soon, and forgets what was served before."""
        start = time.monotonic() + LEAD_S
        begin = start + BEGINS_S / scale
        end = begin + OUTAGE_S / scale
        assert self.ask(f"{fault} {begin} {end} {FALLBACK_S}") == "ready\n"
        self.log()
        return Times(start=start, begin=begin, end=end, interval_s=INTERVAL_S / scale)

    def log(self) -> Served:
        return [tuple(row) for row in json.loads(self.ask("log"))]


async def ours(upstreams: Upstreams, fault: str, scale: float, home: Path) -> Outcome:
    settings = CONFIG.format(
        primary=upstreams.primary,
        fallback=upstreams.fallback,
        reset=RESET_S / scale,
        limit=LIMIT_S / scale,
        base=max(1, round(50 / scale)),
    )
    (home / "config.toml").write_text(settings, encoding="utf-8")
    (home / "config.toml").chmod(0o600)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve"],
        env={"PATH": os.environ["PATH"], "ROUNDHOUSE_HOME": str(home)},
    )
    async with Client(server) as client:
        for model in ("primary/m", "fallback/m") * 3:
            await client.call_tool("complete", {"prompt": "hello", "model": model})
        times = upstreams.scenario(fault, scale)
        taken = await requests(client, times)
    log = upstreams.log()
    made, trip = ledger(home, times)
    seen = sum(dead for *_, dead in log)
    assert fault == "refused" or seen == made, f"the upstream saw {seen} of {made} attempts"
    return outcome("roundhouse", fault, made, times, taken, log, trip)


async def requests(client: Client, times: Times) -> Taken:
    taken: Taken = []
    for n in range(REQUESTS):
        await anyio.sleep(max(0.0, times.start + n * times.interval_s - time.monotonic()))
        began = time.monotonic()
        result = await client.call_tool("complete", {"prompt": "hello", "task": "outage"})
        taken.append((began, time.monotonic(), not result.is_error))
    return taken


def ledger(home: Path, times: Times) -> tuple[int, float]:
    """Attempts at the primary while it was dead, and when its circuit opened (monotonic)."""
    wall = time.time() - time.monotonic()
    with closing(connect_read_only(home / "ledger.db", busy_s=5.0)) as db:
        made = db.execute(
            "SELECT count(*) FROM attempts WHERE provider = 'primary' AND outcome != 'ok'"
            " AND started BETWEEN ? AND ?",
            (times.begin + wall, times.end + wall),
        ).fetchone()[0]
        opened = db.execute(
            "SELECT min(at) FROM circuit_events WHERE provider = 'primary' AND to_state = 'open'"
        ).fetchone()[0]
    return made, float("inf") if opened is None else opened - wall


def theirs(
    upstreams: Upstreams, fault: str, scale: float, python: str, who: str, router: dict[str, Any]
) -> Outcome:
    given = {
        "primary": upstreams.primary,
        "fallback": upstreams.fallback,
        "timeout_s": LIMIT_S / scale,
        "router": router,
        "requests": REQUESTS,
        "interval_s": INTERVAL_S / scale,
    }
    scaled = {name: str(seconds / scale) for name, seconds in BACKOFF.items()}
    with subprocess.Popen(
        [python, str(HERE / "litellm_failover.py"), json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **scaled},
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        times = upstreams.scenario(fault, scale)
        taken, connected = json.loads(process.communicate(f"{times.start}\n")[0])
    log = upstreams.log()
    made = sum(dead for *_, dead in log)
    if fault == "refused":
        made = sum(times.begin <= at < times.end for at in connected)
    return outcome(who, fault, made, times, taken, log, float("inf"))


def outcome(
    who: str, fault: str, made: int, times: Times, taken: Taken, log: Served, trip: float
) -> Outcome:
    """Added is what a request took beyond the time the upstream that answered it spent on it."""
    during: list[float] = []
    after: list[float] = []
    for began, ended, _ in taken:
        spent = sum(b - a for _, a, b, dead in log if not dead and began <= a and b <= ended)
        ms = (ended - began - spent) * 1000
        if times.begin <= began < times.end:
            during.append(ms)
        if trip < began:
            after.append(ms)
    failed = sum(not answered for *_, answered in taken)
    return Outcome(who=who, fault=fault, attempts=made, failed=failed, during=during, after=after)


def line(outcome: Outcome) -> str:
    ms = sorted(outcome.during)
    after = f"{max(outcome.after):.1f} ({len(outcome.after)})" if outcome.after else "-"
    return (
        f"{outcome.fault:8} {outcome.who:20} {outcome.attempts:8d} {len(ms):8d} {outcome.failed:6d}"
        f" {statistics.median(ms):9.1f} {ms[-1]:8.1f} {sum(ms):8.0f} {after:>15}\n"
    )


HEAD = (
    f"{'fault':8} {'':20} {'attempts':>8} {'requests':>8} {'failed':>6} {'added p50':>9} {'max':>8}"
    f" {'sum':>8} {'max after trip':>15}\n"
)


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def main(scale: float, litellm: str | None) -> int:
    upstreams = Upstreams()
    tuned = {"allowed_fails": 1, "cooldown_time": RESET_S / scale}
    routers: dict[str, dict[str, Any]] = {"litellm.Router": {}, "litellm.Router tuned": tuned}
    good = True
    say(f"times in ms, an outage of {OUTAGE_S / scale:g} s\n{HEAD}")
    try:
        for fault in FAULTS:
            with tempfile.TemporaryDirectory() as home:
                own = await ours(upstreams, fault, scale, Path(home))
            say(line(own))
            good = good and own.good
            for who, router in routers.items() if litellm else ():
                say(line(theirs(upstreams, fault, scale, litellm or "", who, router)))
    finally:
        upstreams.process.terminate()
        upstreams.process.communicate()
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=20.0)
    parser.add_argument("--litellm", metavar="PYTHON")
    given = parser.parse_args()
    sys.exit(anyio.run(main, given.scale, given.litellm))
