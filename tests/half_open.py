"""Several server processes on one ledger, and an endpoint that dies and returns: who tests it?

    uv run python tests/half_open.py --periods 200 [--servers 8] [--seed 1]

Every server is a real `roundhouse serve` that calls one model again and again. The endpoint counts
the requests that arrive while its circuit is half open, by the circuit's epoch, and makes each of
these probes end differently: it succeeds, it fails, its caller's deadline passes, or the server
that sent it is killed with SIGKILL and another one is started. Exit code 1 if an epoch saw
two requests.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
from mcp import Client
from seats import launch, rows, served, write_config
from upstream import Request, Send, answer, silence, spoken, upstream

RESET_S = 0.3
PAUSE_S = 0.02
HEALTHY = 3  # calls answered before the endpoint dies again
DEADLINE_S = 0.5
ENDS = ("succeed", "fail", "late", "kill")
SHARES = (3, 2, 2, 3)
CONFIG = f"[circuits]\nreset_timeout_s = {RESET_S}\n[retries]\nper_provider = 1\n"
FAIL = answer('{"error": {"message": "scripted"}}', status=500)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """`probes` counts requests by the epoch in which they arrived half open; `endings` what became
    of them; `takeovers` are seconds from a kill to the next probe."""

    home: Path
    periods: int
    draw: random.Random
    alive: bool = True
    answered: int = 0
    probes: Counter[int] = field(default_factory=Counter[int])
    endings: Counter[str] = field(default_factory=Counter[str])
    arrived_open: int = 0
    killed_at: float | None = None
    takeovers: list[float] = field(default_factory=list[float])
    enough: anyio.Event = field(default_factory=anyio.Event)

    async def script(self, request: Request, send: Send) -> None:
        state, epoch, owner = self.circuit()
        if state == "half_open":
            await self.probed(epoch, owner, request, send)
            return
        self.arrived_open += state == "open"
        if not self.alive:
            await FAIL(request, send)
            return
        self.answered += 1
        self.alive = self.answered < HEALTHY
        await spoken("All ", "well.")(request, send)

    def circuit(self) -> tuple[str, int, str]:
        found = rows(self.home, "SELECT state, epoch, probe_owner FROM circuits WHERE model = 'm'")
        return tuple(found[0].values()) if found else ("closed", 0, "")

    async def probed(self, epoch: int, owner: str, request: Request, send: Send) -> None:
        self.probes[epoch] += 1
        if self.killed_at is not None:
            self.takeovers.append(anyio.current_time() - self.killed_at)
            self.killed_at = None
        if len(self.probes) >= self.periods:
            self.enough.set()
        end = self.draw.choices(ENDS, SHARES)[0]
        self.endings[end] += 1
        await anyio.sleep(0.05)  # time for a second probe, if there were one
        if end == "succeed":
            self.alive, self.answered = True, 0
            await spoken("Back ", "again.")(request, send)
        elif end == "fail":
            await FAIL(request, send)
        else:
            if end == "kill":
                self.kill(owner)
            await silence(request, send)

    def kill(self, owner: str) -> None:
        """Ends the server process that makes the probe, as nothing but SIGKILL does."""
        found = rows(self.home, "SELECT pid FROM servers WHERE owner = ?", owner)
        if found:
            self.killed_at = anyio.current_time()
            os.kill(found[0]["pid"], signal.SIGKILL)


async def work(endpoint: Endpoint) -> None:
    """A server that calls until there were enough periods; a new one when it was killed."""
    while not endpoint.enough.is_set():
        with suppress(Exception):  # whatever a client says of a server that is gone
            async with Client(launch(endpoint.home)) as client:
                while not endpoint.enough.is_set():
                    arguments = {"prompt": "Hi", "model": "flaky/m", "timeout_s": DEADLINE_S}
                    await client.call_tool("complete", arguments)
                    await anyio.sleep(PAUSE_S)


async def half_open(
    home: Path, *, servers: int, periods: int, seed: int, within_s: float
) -> Endpoint:
    """Runs until so many epochs saw a probe. Raises TimeoutError."""
    endpoint = Endpoint(home=home, periods=periods, draw=random.Random(seed))
    async with upstream(endpoint.script) as server:
        write_config(home, CONFIG, served("flaky", server.url, more="local = false"))
        with anyio.fail_after(within_s):
            async with anyio.create_task_group() as group:
                for _ in range(servers):
                    group.start_soon(work, endpoint)
    return endpoint


def report(endpoint: Endpoint) -> str:
    takeovers = sorted(endpoint.takeovers)
    ends = ", ".join(f"{n} {end}" for end, n in sorted(endpoint.endings.items()))
    lines = [
        f"epochs half open with a probe: {len(endpoint.probes)}",
        f"requests in one of them, at most: {max(endpoint.probes.values())}",
        f"probes: {ends}",
        f"requests that arrived while it was open: {endpoint.arrived_open}",
    ]
    if takeovers:
        median, most = takeovers[len(takeovers) // 2] * 1000, takeovers[-1] * 1000
        lines.append(f"from a kill to the next probe: median {median:.0f} ms, most {most:.0f} ms")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--periods", type=int, default=200)
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = partial(
            half_open,
            Path(name),
            servers=given.servers,
            periods=given.periods,
            seed=given.seed,
            within_s=60 + 3 * given.periods,
        )
        endpoint = anyio.run(run)
        sound = [*rows(Path(name), "PRAGMA integrity_check")[0].values()] == ["ok"]
    sys.stdout.write(report(endpoint) + f"ledger sound: {sound}\n")
    return 0 if sound and max(endpoint.probes.values()) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
