"""What several processes on one ledger may rely on."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from roundhouse_mcp.server.circuits import Circuit, Policy, opened
from roundhouse_mcp.server.ledger import circuit_rows
from roundhouse_mcp.server.ledger.driver import Connection, connect_read_only
from roundhouse_mcp.server.ledger.store import Ledger

WORKER = Path(__file__).with_name("ledger_worker.py")
DOLLAR = 1_000_000_000
NOW = 1_000_000.0
KEY = ("openai", "gpt-5")


class Worker:
    def __init__(self, command: str, home: Path, argument: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), command, str(home), argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@contextmanager
def workers(
    count: int, command: str, home: Path, argument: str = ""
) -> Generator[list[Worker], None, None]:
    """Processes that have all said they are ready."""
    started = [Worker(command, home, argument) for _ in range(count)]
    try:
        assert [worker.line() for worker in started] == ["ready"] * count
        yield started
    finally:
        for worker in started:
            worker.end()


def results(running: list[Worker]) -> list[str]:
    for worker in running:
        worker.go()
    return [worker.line() for worker in running]


def one(home: Path, query: str) -> tuple[object, ...]:
    with closing(connect_read_only(home / "ledger.db")) as db:
        row: tuple[object, ...] = db.execute(query).fetchone()
        return row


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_that_reserve_at_once_never_exceed_the_limit(
    processes: int, tmp_path: Path
) -> None:
    amount = 7_000_000  # does not divide a dollar: 142 fit, 143 do not

    with workers(processes, "reserve", tmp_path, f"{amount},{DOLLAR},200") as running:
        granted = sum(int(line) for line in results(running))

    assert granted == DOLLAR // amount
    committed = "SELECT DISTINCT spent_nano + reserved_nano FROM budget_windows"
    assert one(tmp_path, committed) == (granted * amount,)


def test_money_held_by_a_killed_process_is_presumed_by_the_next_one(tmp_path: Path) -> None:
    with workers(1, "die", tmp_path, "5000") as running:
        running[0].process.kill()
        running[0].process.wait(10)

    with Ledger(tmp_path, clock=lambda: NOW + 5) as ledger:
        ledger.write_blocking(lambda db: None)

    assert one(tmp_path, "SELECT state, cost_nano FROM reservations") == ("presumed", 5000)
    windows = "SELECT DISTINCT spent_nano, reserved_nano FROM budget_windows"
    assert one(tmp_path, windows) == (5000, 0)
    assert one(tmp_path, "SELECT kind, count(*) FROM budget_events") == ("presumed", 2)


def test_a_call_of_a_killed_process_is_lost_with_its_presumed_cost(tmp_path: Path) -> None:
    with workers(1, "die", tmp_path, "5000") as running:
        running[0].process.kill()
        running[0].process.wait(10)

    with Ledger(tmp_path, clock=lambda: NOW + 5) as ledger:
        ledger.write_blocking(lambda db: None)

    assert one(tmp_path, "SELECT count(*) FROM inflight") == (0,)
    call = "SELECT call_id, status, cost_nano, cost_kind, ended FROM calls"
    assert one(tmp_path, call) == ("call-held", "lost", 5000, "presumed", NOW + 5)
    attempt = "SELECT n, provider, outcome, cost_kind FROM attempts"
    assert one(tmp_path, attempt) == (1, "openai", "lost", "presumed")
    assert one(tmp_path, "SELECT id, ended FROM servers") == ("victim", NOW + 5)
    usage = "SELECT sum(calls), sum(errors), sum(cost_nano), sum(presumed_nano) FROM usage_hour"
    assert one(tmp_path, usage) == (1, 1, 5000, 5000)


def test_a_running_process_notices_the_death_of_another(tmp_path: Path) -> None:
    with Ledger(tmp_path, clock=lambda: NOW, reap_every_s=0) as ledger:
        with workers(1, "die", tmp_path, "5000") as running:
            ledger.write_blocking(lambda db: None)
            held = one(tmp_path, "SELECT state FROM reservations")
            running[0].process.kill()
            running[0].process.wait(10)
            ledger.write_blocking(lambda db: None)

        assert held == ("held",)
        assert one(tmp_path, "SELECT state FROM reservations") == ("presumed",)


def test_processes_that_start_at_once_all_find_the_schema(tmp_path: Path) -> None:
    home = tmp_path / "home"

    with workers(8, "migrate", home) as running:
        answers = results(running)

    assert answers == ["migrated"] * 8
    assert one(home, "PRAGMA integrity_check") == ("ok",)


def test_one_process_at_a_time_probes_an_open_circuit(tmp_path: Path) -> None:
    down = opened(Circuit(provider=KEY[0], model=KEY[1]), 0.0, policy=Policy(), jitter=0.5)

    def put(db: Connection) -> None:
        circuit_rows.write(db, Circuit(provider="", model=""), down, NOW, why="down", by="test")

    with Ledger(tmp_path, clock=lambda: NOW, patience_s=60) as ledger:
        ledger.write_blocking(put)
        with workers(4, "probe", tmp_path, "60") as running:
            lines = results(running)

    epochs = sorted(int(epoch) for line in lines for epoch in line.split(",") if epoch)
    assert epochs == list(range(2, max(epochs) + 1, 2))  # one winner each, and its end between
    assert len(epochs) >= 30
