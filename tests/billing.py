"""Real servers and a priced upstream that keeps the bill: is it ever more than the budget?

Each server is a `roundhouse serve` process spoken to over its pipes; eight calls at a time run in
each, some are cancelled, some servers are killed with everything they do and started again. The
upstream lives in this process, which nobody kills: it fails, breaks off, streams, and notes every
token it has made; in every second round it makes the whole answer whoever still listens. This is
`python -m tests.crash --rounds 20`.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from seats import budget, launch, rows, served, write_config
from upstream import USAGE, Request, Send, answer, event, head, upstream

LIMIT_NANO = 1_000_000_000
INPUT_NANO, OUTPUT_NANO = 100_000, 1_000_000  # a token, at $100 and $1,000 a million
CAP = 16  # tokens of output, so that a call may cost $0.018 and 64 of them more than the limit
LANES = 8
LINE_BYTES = 1 << 22
VERSION = "2025-06-18"
CONFIG = "[circuits]\nenabled = false\n[retries]\nbase_delay_ms = 5\n"


class Gone(Exception):
    """The server process ended."""


@dataclass(slots=True, kw_only=True)
class Bills:
    """What the upstream was asked for and billed, and what the ledger says of it. The first
    five must be 0: nano-dollars over the limit, billed requests that the ledger has at less than
    they cost or not at all, how much less, requests more than attempts, and what stays held."""

    over_nano: int = 0
    under_counted: int = 0
    under_counted_nano: int = 0
    unknown_requests: int = 0
    held: int = 0
    rounds: int = 0
    billed_nano: list[int] = field(default_factory=list[int])
    spent_nano: list[int] = field(default_factory=list[int])
    requests: int = 0
    killed: int = 0
    answers: dict[str, int] = field(default_factory=dict[str, int])
    attempts: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def wrong(self) -> bool:
        counted = self.over_nano, self.under_counted, self.under_counted_nano
        return any((*counted, self.unknown_requests, self.held))


@dataclass(slots=True)
class Biller:
    """The upstream's script. With `ahead` it makes, and bills, the whole answer whatever becomes
    of the connection; else it stops when its client hangs up."""

    dice: random.Random
    ahead: bool
    bill: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def nano(self) -> int:
        return sum(self.bill.values())

    async def __call__(self, request: Request, send: Send) -> None:
        name = f"r{len(self.bill)}"
        self.bill[name] = 0
        luck = self.dice.random()
        if luck < 0.1:
            await answer("{}", status=self.dice.choice((429, 503)))(request, send)
            return
        asked = request.json
        words = self.dice.randint(1, asked.get("max_completion_tokens") or asked["max_tokens"])
        read = len(json.dumps(asked["messages"])) // 4
        self.bill[name] = read * INPUT_NANO + (words * OUTPUT_NANO if self.ahead else 0)
        if luck < 0.15:
            await anyio.sleep(0.2)
        await send(head(200, {"content-type": "text/event-stream", "x-request-id": name}))
        for n in range(words):
            self.bill[name] += 0 if self.ahead else OUTPUT_NANO
            await send(event({"content": "word "}))
            await anyio.sleep(self.dice.uniform(0, 0.01))
            if luck > 0.95 and n > words // 2:
                return
        usage = {"prompt_tokens": read, "completion_tokens": words}
        said = USAGE.replace(
            b'{"prompt_tokens":7,"completion_tokens":5}', json.dumps(usage).encode()
        )
        await send(event({}, "stop") + said + b"data: [DONE]\n\n")


@dataclass(slots=True)
class Server:
    """A server process and the answers it owes."""

    process: Process
    answers: dict[int, anyio.Event] = field(default_factory=dict[int, anyio.Event])
    said: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    last: int = 0
    gone: bool = False

    async def tell(self, method: str, parameters: dict[str, Any], **more: int) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": parameters, **more}
        assert self.process.stdin is not None
        try:
            await self.process.stdin.send(json.dumps(message).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise Gone from error

    async def ask(
        self, method: str, parameters: dict[str, Any], *, patience_s: float | None = None
    ) -> dict[str, Any] | None:
        """The answer; None after cancelling the request when patience is at its end."""
        self.last = number = self.last + 1
        there = self.answers[number] = anyio.Event()
        await self.tell(method, parameters, id=number)
        with anyio.move_on_after(patience_s):
            await there.wait()
        if self.gone:
            raise Gone
        if number not in self.said:
            await self.tell("notifications/cancelled", {"requestId": number})
        return self.said.pop(number, None)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        with suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                message = json.loads(await lines.receive_until(b"\n", LINE_BYTES))
                if "result" in message or "error" in message:
                    self.said[message["id"]] = message
                    self.answers[message["id"]].set()
        self.gone = True
        for waiting in self.answers.values():
            waiting.set()


@asynccontextmanager
async def serving(home: Path) -> AsyncGenerator[Server]:
    how = launch(home)
    command = [how.command, *how.args]
    process = await anyio.open_process(command, env=how.env, stderr=subprocess.DEVNULL)
    server = Server(process)
    async with process, anyio.create_task_group() as group:
        group.start_soon(server.listen)
        about = {"name": "billing", "version": "1"}
        hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": about}
        await server.ask("initialize", hello)
        await server.tell("notifications/initialized", {})
        yield server
        if process.stdin is not None:
            await process.stdin.aclose()  # the client goes: the server settles and ends
        await process.wait()
        group.cancel_scope.cancel()


def outcome(message: dict[str, Any] | None) -> str:
    if message is None:
        return "cancelled"
    result = message.get("result")
    if result is None:
        return "error"
    if not result.get("isError"):
        return "answered"
    text = result["content"][0]["text"]
    return text.partition("code: ")[2].split()[0].strip(",.;)")


async def lane(server: Server, dice: random.Random, seen: Counter[str]) -> None:
    """One call after another until the budget is spent."""
    arguments = {"prompt": "hello " * dice.randint(1, 5), "max_tokens": CAP}
    call = {"name": "complete", "arguments": arguments}
    while seen["over_budget"] < LANES:
        patience = dice.uniform(0, 0.15) if dice.random() < 0.35 else None
        try:
            seen[outcome(await server.ask("tools/call", call, patience_s=patience))] += 1
        except Gone:
            return


async def drive(home: Path, dice: random.Random, seen: Counter[str], lives: int) -> None:
    """A server and, as often as it is killed, its successor."""
    for life in range(lives):
        async with serving(home) as server, anyio.create_task_group() as group:
            for _ in range(LANES):
                group.start_soon(lane, server, dice, seen)
            if life < lives - 1:
                await anyio.sleep(dice.uniform(0.05, 0.5))
                os.kill(server.process.pid, signal.SIGKILL)
                seen["killed"] += 1


async def one_round(
    home: Path, bills: Bills, *, servers: int, killed: int, seed: int, ahead: bool
) -> None:
    dice, seen = random.Random(seed), Counter[str]()
    biller = Biller(dice, ahead)
    async with upstream(biller) as at:
        price = str(INPUT_NANO // 1000), str(OUTPUT_NANO // 1000)
        write_config(home, served("paid", at.url, price=price), budget("1"), CONFIG)
        async with anyio.create_task_group() as group:
            for n in range(servers):
                group.start_soon(drive, home, dice, seen, 2 if n < killed else 1)
        async with serving(home) as last:  # reaps what the killed have left
            await last.ask("tools/call", {"name": "cost_report", "arguments": {}})
    compare(home, bills, biller)
    bills.killed += seen.pop("killed", 0)
    bills.answers = dict(Counter(bills.answers) + seen)


def compare(home: Path, bills: Bills, biller: Biller) -> None:
    """The bill against the ledger, in all and request by request."""
    (window,) = rows(home, "SELECT spent_nano, reserved_nano FROM budget_windows")
    held = rows(home, "SELECT * FROM reservations WHERE state = 'held'")
    attempts = rows(home, "SELECT provider_request_id AS id, cost_nano FROM attempts")
    charged = {row["id"]: row["cost_nano"] for row in attempts if row["id"]}
    less = [biller.bill[name] - nano for name, nano in charged.items() if nano < biller.bill[name]]
    bills.rounds += 1
    bills.held += len(held) + (window["reserved_nano"] != 0)
    bills.over_nano = max(bills.over_nano, biller.nano - LIMIT_NANO)
    bills.under_counted += len(less) + (biller.nano > window["spent_nano"])
    bills.under_counted_nano += sum(less)
    bills.unknown_requests += max(0, len(biller.bill) - len(attempts))
    bills.billed_nano.append(biller.nano)
    bills.spent_nano.append(window["spent_nano"])
    bills.requests += len(biller.bill)
    outcomes = rows(home, "SELECT outcome, cost_kind, count(*) AS n FROM attempts GROUP BY 1, 2")
    found = Counter({f"{row['outcome']}, {row['cost_kind']}": row["n"] for row in outcomes})
    bills.attempts = dict(Counter(bills.attempts) + found)


async def rounds(count: int, servers: int, killed: int, seed: int) -> Bills:
    """As many dollars, each spent by so many servers of which some are killed."""
    bills = Bills()
    for n in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as folder:
            ahead = n % 2 == 1
            await one_round(
                Path(folder), bills, servers=servers, killed=killed, seed=n, ahead=ahead
            )
    return bills
