"""Turns of writing, and who is alive."""

import threading
from contextlib import closing
from pathlib import Path

import pytest

from roundhouse_mcp.server.ledger.gate import Gate, GateBusy
from roundhouse_mcp.server.ledger.owners import Owner, alive, lock_path, sweep


def test_whoever_waits_at_the_gate_goes_before_one_who_has_just_been_through(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gate"
    turns: list[str] = []

    def other() -> None:
        with closing(Gate(path)) as gate, gate.held(5):
            turns.append("waiting")

    with closing(Gate(path)) as gate:
        with gate.held(5):
            waiter = threading.Thread(target=other)
            waiter.start()
            while gate.turnstile.take():  # until the other one stands in it
                gate.turnstile.give_back()
        with gate.held(5):
            turns.append("again")
        waiter.join(5)

    assert turns == ["waiting", "again"]


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
