"""Turns of writing, and who is alive."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from roundhouse_mcp.server.ledger import line
from roundhouse_mcp.server.ledger.gate import Gate, GateBusy
from roundhouse_mcp.server.ledger.owners import Owner, alive, lock_path, sweep

WAITS = """
import sys
from pathlib import Path
from roundhouse_mcp.server.ledger.gate import Gate
with Gate(Path(sys.argv[1])).held(60):
    pass
"""
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows stops no process")


@contextmanager
def killed_after() -> Generator[list[subprocess.Popen[bytes]], None, None]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def in_line(gate: Gate) -> int:
    return len(line.waiting(gate.lock.opened(), time.monotonic()))


def go_through(path: Path, name: str, turns: list[str]) -> None:
    with closing(Gate(path)) as gate, gate.held(5):
        turns.append(name)


def test_whoever_waits_at_the_gate_goes_before_one_who_has_just_been_through(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gate"
    turns: list[str] = []

    with closing(Gate(path)) as gate:
        with gate.held(5):
            waiter = threading.Thread(target=go_through, args=(path, "waiting", turns))
            waiter.start()
            while not in_line(gate):
                pass
        with gate.held(5):
            turns.append("again")
        waiter.join(5)

    assert turns == ["waiting", "again"]


def test_those_who_wait_go_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    path = tmp_path / "gate"
    turns: list[str] = []
    waiters: list[threading.Thread] = []

    with closing(Gate(path)) as gate:
        with gate.held(5):
            for name in "abcdef":
                waiters.append(threading.Thread(target=go_through, args=(path, name, turns)))
                waiters[-1].start()
                while in_line(gate) < len(waiters):
                    pass
        for waiter in waiters:
            waiter.join(5)
        left = in_line(gate)

    assert ("".join(turns), left) == ("abcdef", 0)


@needs_signals
@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_is_killed_or_stopped_in_the_line_holds_up_nobody(
    how: str, tmp_path: Path
) -> None:
    path = tmp_path / "gate"
    with closing(Gate(path)) as gate, killed_after() as started:
        with gate.held(5):
            other = subprocess.Popen([sys.executable, "-c", WAITS, str(path)])
            started.append(other)
            while not in_line(gate):
                assert other.poll() is None
            os.kill(other.pid, getattr(signal, how))
        began = time.monotonic()
        with gate.held(5):
            waited = time.monotonic() - began

    assert waited < 1


def test_a_line_of_nonsense_keeps_nobody_from_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "gate"
    path.write_bytes(b"\xff" * 10_000)

    with closing(Gate(path)) as gate, gate.held(1):
        gate.record(3)

        assert gate.count() == 3


def test_more_than_the_line_has_places_for_still_get_their_turns(tmp_path: Path) -> None:
    path = tmp_path / "gate"
    with closing(Gate(path)) as gate:
        fd = gate.lock.opened()
        crowd = [line.Line(time.monotonic() + 9) for _ in range(line.PLACES)]
        for one in crowd:
            one.stand(fd)
        late = line.Line(time.monotonic() + 10)
        late.stand(fd)

        with gate.held(1):
            assert late.place is None


def test_a_gate_that_does_not_open_is_given_up(tmp_path: Path) -> None:
    with closing(Gate(tmp_path / "gate")) as one, closing(Gate(tmp_path / "gate")) as two:
        with one.held(1), pytest.raises(GateBusy), two.held(0.01):
            pass
        with two.held(1):
            pass


def test_a_gate_file_that_was_replaced_is_the_new_one_for_everybody(tmp_path: Path) -> None:
    with closing(Gate(tmp_path / "gate")) as one, closing(Gate(tmp_path / "gate")) as two:
        with one.held(1):
            pass
        (tmp_path / "gate").unlink()

        with two.held(1), pytest.raises(GateBusy), one.held(0.01):
            pass


@pytest.mark.parametrize(("content", "count"), [(b"", 0), (b"garbage", 0), (b"0042", 42)])
def test_the_gate_remembers_the_number_of_the_last_commit(
    content: bytes, count: int, tmp_path: Path
) -> None:
    (tmp_path / "gate").write_bytes(content)

    with closing(Gate(tmp_path / "gate")) as gate, gate.held(1):
        found = gate.count()
        gate.record(7)

        assert (found, gate.count()) == (count, 7)


def test_an_owner_lives_until_it_lets_go(tmp_path: Path) -> None:
    owner = Owner.claim(tmp_path / "run")
    living = alive(tmp_path / "run", owner.id)

    owner.release()

    assert (living, alive(tmp_path / "run", owner.id)) == (True, False)


def test_nobody_of_that_name_is_dead(tmp_path: Path) -> None:
    assert not alive(tmp_path / "nowhere", "nobody")


def test_sweeping_removes_the_locks_of_the_dead_only(tmp_path: Path) -> None:
    owner = Owner.claim(tmp_path)
    lock_path(tmp_path, "dead").touch()

    sweep(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [f"{owner.id}.lock"]
    assert alive(tmp_path, owner.id)
    owner.release()
