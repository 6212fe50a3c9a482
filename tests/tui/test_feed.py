"""The feed: what it reads, which states it reports, and what it says about being there."""

import queue
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import seeds
from screens import HOME

from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.tui import reader as reader_module
from roundhouse_mcp.tui.feed import Feed
from roundhouse_mcp.tui.reader import Batch, Reader

WAIT_S = 5


class Clock:
    def __init__(self) -> None:
        self.now = seeds.NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(clock: Clock) -> Iterator[Reader]:
    reader = Reader(HOME, clock=clock)
    yield reader
    reader.close()


def look(reader: Reader) -> Batch:
    batch = reader.poll()
    assert batch is not None
    return batch


@contextmanager
def fed(clock: Clock) -> Generator[tuple[Feed, "queue.Queue[Batch]"]]:
    batches: queue.Queue[Batch] = queue.Queue()
    feed = Feed(Reader(HOME, clock=clock), batches.put)
    feed.start()
    try:
        yield feed, batches
    finally:
        feed.close()


def test_the_first_look_brings_everything_and_a_quiet_ledger_nothing(reader: Reader) -> None:
    seeds.seed(HOME)

    first = look(reader)

    assert first.afresh
    assert first.snapshot is not None
    assert len(first.finished) == 9
    assert first.snapshot.running_count == 4
    assert first.snapshot.today_nano == 4_820_000_000
    assert reader.poll() is None


def test_only_calls_that_ended_since_are_brought_again(reader: Reader) -> None:
    seeds.seed(HOME)
    look(reader)
    with seeds.ledger(HOME) as db:
        seeds.finished(db, "new", ago=1, took=1)

    batch = look(reader)

    assert [call.call_id for call in batch.finished] == ["new"]
    assert not batch.afresh


def test_a_gap_larger_than_a_chunk_jumps_to_the_newest_calls(reader: Reader) -> None:
    seeds.seed(HOME)
    look(reader)
    with seeds.ledger(HOME) as db:
        for number in range(6000):
            seeds.finished(db, f"n{number}", ago=1, took=1)

    batch = look(reader)

    assert batch.afresh
    assert len(batch.finished) == 5000
    assert batch.finished[-1].call_id == "n5999"


def test_the_selected_call_is_looked_at_closely(reader: Reader) -> None:
    seeds.seed(HOME)
    look(reader)
    reader.selected = "01K9X103"

    batch = look(reader)

    assert batch.snapshot is not None
    assert batch.snapshot.detail is not None
    assert [tried.outcome for tried in batch.snapshot.detail.attempts] == [
        "faulted",
        "faulted",
        "ok",
    ]
    assert batch.snapshot.detail.why["excluded"][0]["detail"] == "no tools"


def test_a_missing_ledger_is_a_state_and_is_noticed_when_it_appears(
    reader: Reader, clock: Clock
) -> None:
    assert look(reader).health.state == "missing"
    assert reader.poll() is None
    seeds.seed(HOME)
    clock.now += 3

    batch = look(reader)

    assert (batch.health.state, batch.health.readable) == ("ok", True)


def test_a_file_that_is_no_database_is_a_state(reader: Reader) -> None:
    HOME.mkdir()
    (HOME / "ledger.db").write_bytes(b"garbage" * 1000)

    assert look(reader).health.state == "not_database"


def test_a_folder_in_place_of_the_ledger_is_a_state(reader: Reader) -> None:
    (HOME / "ledger.db").mkdir(parents=True)

    assert look(reader).health.state == "failing"


@pytest.mark.parametrize(
    ("version", "min_reader", "state", "readable"),
    [(0, 1, "older", False), (9, 1, "newer", True), (9, 9, "newer", False)],
)
def test_a_ledger_of_another_version_is_a_state(
    reader: Reader, version: int, min_reader: int, state: str, readable: bool
) -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO meta VALUES ('min_reader', ?)", (str(min_reader),))

    health = look(reader).health

    assert (health.state, health.readable) == (state, readable)


def test_a_ledger_somebody_locks_keeps_what_was_read_and_recovers(
    reader: Reader, clock: Clock
) -> None:
    seeds.seed(HOME)
    with closing(sqlite3.connect(HOME / "ledger.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        other.execute("PRAGMA journal_mode=DELETE").fetchall()
        other.execute("BEGIN EXCLUSIVE")
        locked = look(reader)
        other.execute("COMMIT")

    assert (locked.health.state, locked.snapshot) == ("locked", None)
    clock.now += 1
    assert look(reader).health.state == "ok"


def test_a_replaced_file_is_reopened_and_begins_afresh(reader: Reader, clock: Clock) -> None:
    seeds.seed(HOME)
    look(reader)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (HOME / name).unlink(missing_ok=True)
    with seeds.ledger(HOME) as db:
        seeds.finished(db, "other", ago=1, took=1)
    clock.now += 3

    batch = look(reader)

    assert batch.afresh
    assert [call.call_id for call in batch.finished] == ["other"]
    assert batch.health.reopened_at == clock.now


def test_text_is_clean_however_it_is_stored(reader: Reader) -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.running(db, "x", client="\x1b]52;c;AA\x07", model="\u202eabc")
        db.execute("UPDATE inflight SET provider = CAST(x'ff1b5b' AS TEXT)")

    batch = look(reader)

    assert batch.snapshot is not None
    call = batch.snapshot.running[0]
    assert (call.client, call.model, call.provider) == ("␛]52;c;AA␇", "\ufffdabc", "\ufffd␛[")


def test_a_watcher_says_so_while_servers_live_and_takes_it_back(clock: Clock) -> None:
    seeds.seed(HOME)
    with fed(clock) as (feed, batches):
        batches.get(timeout=WAIT_S)
        batches.get(timeout=WAIT_S)  # our own lease changed the ledger
        leases = held_leases()

        assert leases == [(feed.watcher, seeds.NOW + 15)]
    assert held_leases() == []


def test_a_watcher_writes_nothing_when_no_server_lives(clock: Clock) -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("UPDATE servers SET beat = beat - 100")
    with fed(clock) as (_, batches):
        batches.get(timeout=WAIT_S)
        with seeds.ledger(HOME) as db:
            seeds.finished(db, "new", ago=1, took=1)
        batches.get(timeout=WAIT_S)

        assert held_leases() == []


def test_a_watcher_does_not_wait_for_a_busy_gate(clock: Clock) -> None:
    seeds.seed(HOME)
    gate = Gate(HOME / "ledger.gate")
    with closing(gate), gate.held(1.0), fed(clock) as (_, batches):
        batches.get(timeout=WAIT_S)
        with seeds.ledger(HOME) as db:
            seeds.finished(db, "new", ago=1, took=1)

        assert batches.get(timeout=WAIT_S).finished[0].call_id == "new"
        assert held_leases() == []


def held_leases() -> list[tuple[str, float]]:
    with closing(sqlite3.connect(HOME / "ledger.db")) as db:
        return db.execute("SELECT id, until FROM watchers").fetchall()


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import seeds
for number in range(20):
    with seeds.ledger(Path(sys.argv[2])) as db:
        seeds.running(db, f"w{number}")
    with seeds.ledger(Path(sys.argv[2])) as db:
        db.execute("DELETE FROM inflight WHERE call_id = ?", (f"w{number}",))
        seeds.finished(db, f"w{number}", ago=1, took=1)
"""


def test_what_another_process_writes_arrives_complete_and_in_order(clock: Clock) -> None:
    HOME.mkdir()
    with seeds.ledger(HOME):
        pass
    arguments = [str(Path(__file__).parent), str(HOME.absolute())]
    with fed(clock) as (_, batches):
        subprocess.run([sys.executable, "-c", WRITER, *arguments], check=True, timeout=30)
        seen: list[str] = []
        while len(seen) < 20:
            seen += [call.call_id for call in batches.get(timeout=WAIT_S).finished]

    assert seen == [f"w{number}" for number in range(20)]


def test_the_feed_needs_no_terminal_library() -> None:
    program = (
        "import sys, roundhouse_mcp.tui.feed, roundhouse_mcp.tui.store;"
        "sys.exit('textual' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_hasty_reader_brings_a_screenful_first_and_then_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader_module, "SCREENFUL", 3)
    seeds.seed(HOME)
    reader = Reader(HOME, clock=lambda: seeds.NOW, hasty=True)

    first, second, third = reader.poll(), reader.poll(), reader.poll()
    reader.close()

    assert first is not None
    assert second is not None
    assert (len(first.finished), first.afresh) == (3, True)
    assert second.finished[-3:] == first.finished
    assert (len(second.finished) > 3, second.afresh) == (True, True)
    assert third is None
