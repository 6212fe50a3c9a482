"""The seam between async code and SQLite."""

import asyncio
import os
import random
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.errors import LedgerUnavailable, NotFound
from roundhouse_mcp.server.ledger import records, reservations
from roundhouse_mcp.server.ledger.driver import Connection, IntegrityError, connect
from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.server.ledger.owners import alive
from roundhouse_mcp.server.ledger.store import Ledger

NOW = 1_000_000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "home", clock=lambda: NOW) as ledger:
        yield ledger


def put(db: Connection, name: str, value: int = 1) -> str:
    db.execute("INSERT INTO counters (name, value) VALUES (?, ?)", (name, value))
    return name


def names(db: Connection) -> list[str]:
    return sorted(records.counters(db))


def test_making_a_ledger_touches_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "home")

    ledger.close()

    assert list(tmp_path.iterdir()) == []


async def test_what_was_written_is_read_back(ledger: Ledger) -> None:
    answer = await ledger.write(put, "a", value=7)

    assert answer == "a"
    assert await ledger.read(records.counters) == {"a": 7}


def test_a_thread_without_a_loop_writes_and_reads(ledger: Ledger) -> None:
    ledger.write_blocking(put, "a")

    assert ledger.read_blocking(names) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_only_its_user_may_read_a_ledger(ledger: Ledger) -> None:
    ledger.write_blocking(put, "a")

    files = [path for path in ledger.home.rglob("*") if path.is_file()]
    assert ledger.home.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {"ledger.db", "ledger.db-wal", "ledger.gate"} <= {path.name for path in files}


async def test_an_operation_that_fails_undoes_only_itself(ledger: Ledger) -> None:
    def fail(db: Connection) -> None:
        put(db, "undone")
        raise ValueError("mine")

    with anyio.fail_after(20):
        answers = await asyncio.gather(
            ledger.write(put, "a"),
            ledger.write(fail),
            ledger.write(put, "b"),
            return_exceptions=True,
        )

    assert [answers[0], answers[2]] == ["a", "b"]
    assert isinstance(answers[1], ValueError)
    assert await ledger.read(names) == ["a", "b"]


async def test_a_broken_constraint_is_the_callers_mistake_not_the_stores(ledger: Ledger) -> None:
    await ledger.write(put, "a")

    with pytest.raises(IntegrityError):
        await ledger.write(put, "a")


async def test_a_decision_to_decline_keeps_what_it_wrote(ledger: Ledger) -> None:
    def decline(db: Connection) -> None:
        put(db, "noted")
        raise NotFound("no such call")

    with pytest.raises(NotFound):
        await ledger.write(decline)

    assert await ledger.read(names) == ["noted"]


async def test_reading_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        await ledger.read(put, "a")


async def test_a_write_whose_caller_was_cancelled_is_done_all_the_same(ledger: Ledger) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await ledger.write(put, "a")

    await ledger.write(put, "b")

    assert scope.cancelled_caught
    assert await ledger.read(names) == ["a", "b"]


async def test_cancelling_calls_at_any_moment_leaks_no_reservation(ledger: Ledger) -> None:
    window = Window(
        budget="global/total", scope="global", period="total", start=0, end=None, limit_nano=10**12
    )
    draw = random.Random(7)

    def reserve(db: Connection, name: str) -> None:
        reservations.reserve(
            db,
            reservation=name,
            call_id=name,
            attempt=1,
            owner=ledger.owner,
            amount_nano=1000,
            windows=[window],
            now=NOW,
            lease_until=NOW + 60,
        )

    async def call(delay: float) -> None:
        name = uuid.uuid4().hex
        try:
            with anyio.move_on_after(delay):
                await ledger.write(reserve, name)
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await ledger.write(reservations.release, name, NOW)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(call, draw.uniform(0, 0.03))

    def left(db: Connection) -> tuple[int, int]:
        (held,) = db.execute("SELECT count(*) FROM reservations WHERE state = 'held'").fetchone()
        return held, reservations.standing(db, window).committed_nano

    assert await ledger.read(left) == (0, 0)


def test_an_answer_that_comes_after_the_end_of_its_loop_is_dropped(ledger: Ledger) -> None:
    go = threading.Event()
    ledger.write_soon(lambda db: go.wait(5))

    async def leave() -> None:
        with anyio.move_on_after(0):
            await ledger.write(put, "a")

    anyio.run(leave)
    go.set()

    assert ledger.write_blocking(names) == ["a"]


def test_closing_writes_what_was_asked_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for n in range(200):
        ledger.write_soon(put, f"n{n}")

    closed = ledger.close()

    with Ledger(tmp_path) as again:
        assert closed
        assert len(again.read_blocking(names)) == 200


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    ledger.close()

    with pytest.raises(LedgerUnavailable, match="closed"):
        ledger.write_blocking(put, "a")


def test_a_clean_end_leaves_no_lock_and_no_log(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(put, "a")

    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"ledger.db", "ledger.gate"}


# What can be wrong with the file, the disk, the neighbours.


def not_a_database(home: Path) -> None:
    home.mkdir()
    (home / "ledger.db").write_bytes(b"this is a shopping list\n" * 200)


def another_programs(home: Path) -> None:
    home.mkdir()
    with closing(connect(home / "ledger.db")) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")


def no_directory(home: Path) -> None:
    home.write_text("a file")


def a_directory_instead(home: Path) -> None:
    (home / "ledger.db").mkdir(parents=True)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (not_a_database, "ledger.db is not a database"),
        (another_programs, "database of another program"),
        (no_directory, "ledger.db cannot be opened"),
        (a_directory_instead, "ledger.db cannot be opened"),
    ],
)
async def test_a_store_that_cannot_be_used_is_one_clear_sentence(
    spoil: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    spoil(tmp_path / "home")

    with (
        Ledger(tmp_path / "home") as ledger,
        anyio.fail_after(20),
        pytest.raises(LedgerUnavailable, match=sentence) as refused,
    ):
        await ledger.write(put, "a")

    assert refused.value.next_step
    assert "\n" not in refused.value.message


async def test_the_sentence_about_a_foreign_file_names_file_and_command(tmp_path: Path) -> None:
    not_a_database(tmp_path / "home")

    with Ledger(tmp_path / "home") as ledger:
        with pytest.raises(LedgerUnavailable) as written:
            await ledger.write(put, "a")
        with pytest.raises(LedgerUnavailable) as read:
            await ledger.read(names)

    for refused in (written.value, read.value):
        assert str(tmp_path / "home" / "ledger.db") in refused.message
        assert "roundhouse ledger repair" in refused.next_step


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="the administrator may write everywhere",
)
def test_a_home_that_may_not_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with (
            Ledger(tmp_path) as ledger,
            pytest.raises(LedgerUnavailable, match="cannot be written"),
        ):
            ledger.write_blocking(put, "a")
    finally:
        tmp_path.chmod(0o700)


async def test_the_store_is_used_again_once_it_is_mended(tmp_path: Path) -> None:
    no_directory(tmp_path / "home")

    with Ledger(tmp_path / "home") as ledger:
        with pytest.raises(LedgerUnavailable):
            await ledger.write(put, "refused")
        ledger.write_soon(put, "kept")
        with pytest.raises(LedgerUnavailable):
            await ledger.write(put, "refused")
        (tmp_path / "home").unlink()

        assert await ledger.write(names) == ["kept"]


async def test_what_may_be_dropped_is_not_kept_for_better_times(tmp_path: Path) -> None:
    no_directory(tmp_path / "home")

    with Ledger(tmp_path / "home") as ledger:
        ledger.write_or_drop(put, "dropped")
        with pytest.raises(LedgerUnavailable):
            await ledger.write(put, "refused")
        (tmp_path / "home").unlink()
        ledger.write_or_drop(put, "done")

        assert await ledger.write(names) == ["done"]


def test_a_server_can_end_while_its_store_fails(tmp_path: Path) -> None:
    no_directory(tmp_path / "home")
    ledger = Ledger(tmp_path / "home")
    for n in range(3):
        ledger.write_soon(put, f"n{n}")
    with pytest.raises(LedgerUnavailable):
        ledger.write_blocking(put, "a")

    assert ledger.close(5)


async def test_a_full_disk_refuses_and_what_was_committed_stays(ledger: Ledger) -> None:
    def fill(db: Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
        for n in range(1000):
            put(db, f"{n}" * 100)

    await ledger.write(put, "a")

    with pytest.raises(LedgerUnavailable, match="is full") as refused:
        await ledger.write(fill)

    assert refused.value.retryable
    assert await ledger.write(put, "b") == "b"
    assert await ledger.read(names) == ["a", "b"]


async def test_text_that_was_damaged_is_a_damaged_ledger(ledger: Ledger) -> None:
    def damage(db: Connection) -> None:
        db.execute("INSERT INTO counters (name, value) VALUES (CAST(x'ff' AS TEXT), 1)")

    await ledger.write(damage)

    for ask in (ledger.read, ledger.write):
        with pytest.raises(LedgerUnavailable, match="is damaged"):
            await ask(names)


async def test_a_neighbour_that_holds_the_gate_is_named_after_a_while(tmp_path: Path) -> None:
    with (
        closing(Gate(tmp_path / "ledger.gate")) as gate,
        Ledger(tmp_path, patience_s=0.05) as ledger,
    ):
        with gate.held(1), pytest.raises(LedgerUnavailable, match="has held") as refused:
            await ledger.write(put, "a")

        assert refused.value.retryable
        assert await ledger.write(put, "b") == "b"


async def test_a_file_moved_away_while_open_is_noticed_and_made_anew(ledger: Ledger) -> None:
    await ledger.write(put, "old")
    await ledger.read(names)

    for path in list(ledger.home.glob("ledger.db*")):
        path.rename(path.with_name(f"moved-{path.name}"))
    await ledger.write(put, "new")

    assert await ledger.read(names) == ["new"]
    assert any("replaced while it was open" in alarm for alarm in ledger.alarms)


async def test_after_its_home_was_removed_a_server_is_seen_alive_again(ledger: Ledger) -> None:
    await ledger.write(put, "old")
    await anyio.to_thread.run_sync(shutil.rmtree, ledger.home)

    await ledger.write(put, "new")

    assert alive(ledger.run_dir, ledger.owner)
    assert await ledger.read(names) == ["new"]


def test_a_file_put_back_from_a_copy_is_noticed(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(put, "a")
    shutil.copy(tmp_path / "ledger.db", tmp_path / "copy.db")
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(put, "b")
        ledger.write_blocking(put, "c")
    shutil.move(tmp_path / "copy.db", tmp_path / "ledger.db")

    with Ledger(tmp_path) as ledger:
        found = ledger.write_blocking(names)
        alarms = ledger.alarms
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(names)

        assert found == ["a"]
        assert len(alarms) == 1
        assert "rolled back by" in alarms[0]
        assert ledger.alarms == ()
