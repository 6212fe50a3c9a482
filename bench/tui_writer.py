"""A server as the ledger sees it, for bench/tui.py: `python tui_writer.py HOME NUMBER WORK RATE`.

It writes through the ledger's own functions and prints one line per event once it is on disk:
a mark the screen will show, and the moment (time.monotonic). Ends with the end of its input.

    calls   RATE calls a second begin and end; each is in flight for a second
    rows    RATE calls in flight, all of which make progress five times a second
    flood   RATE calls a second end, many in a transaction, as in a soak
"""

import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from roundhouse_mcp.server.ledger import records, servers
from roundhouse_mcp.server.ledger.driver import Connection
from roundhouse_mcp.server.ledger.store import Ledger

BEAT_S = 2.0
CALL_S = 1.0
STEP_S = 0.2
TARGETS = (("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("groq", "llama-3.3-70b"))


class Writer:
    """One server process with calls of its own."""

    def __init__(self, home: Path, number: int) -> None:
        self.ledger = Ledger(home)
        self.id = f"bench-{number}-{uuid.uuid4().hex[:6]}"
        self.number = number
        self.count = 0
        self.begun: dict[str, float] = {}
        self.beat_at = 0.0
        self.ended = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()
        self.ledger.write_blocking(servers.register_server, self._row())

    def _wait(self) -> None:
        sys.stdin.read()
        self.ended.set()

    def _row(self) -> servers.ServerRow:
        now = time.time()
        return servers.ServerRow(
            id=self.id,
            owner=self.ledger.owner,
            pid=os.getpid(),
            host="bench",
            client=f"client-{self.number}",
            project="~/bench",
            version="0.1.0",
            config_hash="c",
            started=now,
            beat=now,
        )

    def mark(self, sign: str) -> str:
        """Eight cells, never the same twice: what a terminal shows in the column TASK."""
        self.count += 1
        return f"{sign}{self.number}{self.count:06d}"

    def in_flight(self, call_id: str, task: str, started: float) -> records.InflightRow:
        provider, model = TARGETS[self.count % len(TARGETS)]
        return records.InflightRow(
            call_id=call_id,
            tool="complete",
            server=self.id,
            owner=self.ledger.owner,
            client=f"client-{self.number}",
            project="~/bench",
            phase="stream",
            started=started,
            beat=started,
            task=task,
            strategy="priority",
            provider=provider,
            model=model,
            attempt=1,
            attempt_started=started,
            input_tokens=1200,
            reserved_nano=12_000_000,
        )

    def call(self, call_id: str, task: str, started: float) -> records.CallRow:
        provider, model = TARGETS[self.count % len(TARGETS)]
        return records.CallRow(
            call_id=call_id,
            tool="complete",
            server=self.id,
            client=f"client-{self.number}",
            project="~/bench",
            status="ok",
            started=started,
            ended=time.time(),
            task=task,
            strategy="priority",
            provider=provider,
            model=model,
            finish_reason="stop",
            attempts=1,
            input_tokens=1200,
            output_tokens=300,
            cost_nano=4_000_000,
            cost_kind="actual",
        )

    def write(self, mark: str, work: Callable[[Connection], object]) -> None:
        self.ledger.write_blocking(work)
        sys.stdout.write(f"{mark} {time.monotonic()!r}\n")
        sys.stdout.flush()

    def beat(self) -> None:
        if time.monotonic() - self.beat_at > BEAT_S:
            self.beat_at = time.monotonic()
            self.ledger.write_blocking(servers.beat_server, self.id, time.time())


def calls(writer: Writer, rate: float) -> None:
    due = time.monotonic() + writer.number / 4 / rate
    while not writer.ended.wait(max(0.0, min(due - time.monotonic(), 0.02))):
        writer.beat()
        now = time.monotonic()
        if now >= due:
            due += 1 / rate
            row = writer.in_flight(uuid.uuid4().hex, writer.mark("b"), time.time())
            writer.begun[row.call_id] = now
            writer.write(row.task or "", partial(records.begin, row=row))
        for call_id, began in [*writer.begun.items()]:
            if now - began >= CALL_S:
                del writer.begun[call_id]
                call = writer.call(call_id, writer.mark("e"), time.time() - CALL_S)
                writer.write(call.task or "", partial(records.finish, call=call, attempts=()))


def rows(writer: Writer, rate: float) -> None:
    """All in one transaction, as a server writes the progress of all its calls."""
    ids = [uuid.uuid4().hex for _ in range(int(rate))]
    for call_id in ids:
        row = writer.in_flight(call_id, writer.mark("b"), time.time())
        writer.ledger.write_blocking(records.begin, row)
    tokens = 0
    while not writer.ended.wait(STEP_S):
        writer.beat()
        tokens += 17
        made = [records.Progress(call_id=c, phase="stream", output_tokens=tokens) for c in ids]
        writer.ledger.write_blocking(records.beat_many, made, time.time())


def flood(writer: Writer, rate: float) -> None:
    def some(db: Connection) -> None:
        for _ in range(int(rate * STEP_S)):
            call = writer.call(uuid.uuid4().hex, "flood", time.time() - CALL_S)
            records.finish(db, call, ())

    due = time.monotonic()
    while not writer.ended.wait(max(0.0, due - time.monotonic())):
        writer.beat()
        due += STEP_S
        writer.write(f"f{writer.count}", some)
        writer.count += int(rate * STEP_S)


def main(home: str, number: str, work: str, rate: str) -> None:
    writer = Writer(Path(home), int(number))
    {"calls": calls, "rows": rows, "flood": flood}[work](writer, float(rate))

    def over(db: Connection) -> None:
        db.execute("DELETE FROM inflight WHERE server = ?", (writer.id,))
        servers.end_server(db, writer.id, time.time())

    writer.ledger.write_blocking(over)
    writer.ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
