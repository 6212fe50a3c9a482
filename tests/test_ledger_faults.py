"""Whatever becomes of the ledger: calls that cost money are refused in a sentence that helps, calls
that cost nothing go on, and nothing that was noted is lost."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from hardship import as_any_user, overwrite, small_disk
from ledger_rows import COST, count, filled, spent
from seats import Inside, budget, chain, scripted, seated, write_config

from roundhouse_mcp.server.ledger import places
from roundhouse_mcp.server.ledger.driver import connect
from roundhouse_mcp.server.ledger.migrations import version_of
from roundhouse_mcp.server.ledger.schema import MIGRATIONS, VERSION

pytestmark = pytest.mark.anyio
PAID = scripted("paid", "text=Dear.")
FREE = scripted("free", "text=Welcome.", price=("0", "0"))
CONFIG = (chain("paid", "free"), PAID, FREE, budget("5"))


@asynccontextmanager
async def seat_at(home: Path) -> AsyncGenerator[Inside]:
    async with seated(home, *CONFIG) as seat:
        yield seat


async def only_free(seat: Inside, caplog: pytest.LogCaptureFixture) -> str:
    """Checks that the paid model is refused and the free one answers; the refusal."""
    asked = seat.desk.http.mock.seen["paid"]
    said = await seat.refused("complete", prompt="Hi", model="paid/m")
    named = await seat.said("complete", prompt="Hi", model="free/m")
    chosen = await seat.said("complete", prompt="Hi")

    assert "code: ledger_unavailable" in said
    assert named["text"] == chosen["text"] == "Welcome."
    assert seat.desk.http.mock.seen["paid"] == asked
    assert not [record for record in caplog.records if record.exc_info]
    assert "Traceback" not in said
    return said


def no_database(home: Path) -> None:
    (home / "ledger.db").write_bytes(b"a shopping list " * 600)


def no_header(home: Path) -> None:
    overwrite(filled(home, 50), 0.0, 100)


def damaged_within(home: Path) -> None:
    overwrite(filled(home, 300), 0.2, 100_000)


def money_changed(home: Path) -> None:
    change(filled(home, 5), "UPDATE budget_windows SET spent_nano = 0")


def no_number(home: Path) -> None:
    change(filled(home, 5), "UPDATE meta SET value = 'twelve' WHERE key = 'commits'")


def no_meta(home: Path) -> None:
    change(filled(home, 5), "DELETE FROM meta")


def change(path: Path, statement: str) -> None:
    with closing(connect(path)) as db:
        db.execute(statement)


@pytest.mark.parametrize(
    "spoil", [no_database, no_header, damaged_within, money_changed, no_number, no_meta]
)
async def test_a_damaged_ledger_stops_what_costs_money_and_names_the_repair(
    spoil: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(tmp_path)
    before = (tmp_path / "ledger.db").read_bytes()

    async with seat_at(tmp_path) as seat:
        said = await only_free(seat, caplog)
        report = await seat.refused("cost_report")

    assert "ledger.db" in said.split("\n")[0]
    assert "roundhouse ledger repair" in said
    assert "roundhouse ledger repair" in report
    assert (tmp_path / "ledger.db").read_bytes() == before


async def test_a_network_file_system_is_refused_with_the_directory_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"40 22 0:40 / {tmp_path} rw shared:2 - nfs4 server:/home rw\n"
    )
    monkeypatch.setattr(places, "MOUNTS", mounts)

    async with seat_at(tmp_path / "home") as seat:
        said = await only_free(seat, caplog)

    assert "network file system (nfs4)" in said
    assert "~/.roundhouse" in said
    assert not (tmp_path / "home" / "ledger.db").exists()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/u/.roundhouse/ledger.db", "nfs4"),
        ("/home/un/ledger.db", "ext4"),
        ("/mnt/c/with space/ledger.db", "9p"),
        ("/over/ledger.db", "tmpfs"),
    ],
)
def test_the_innermost_mount_says_what_a_file_system_is(path: str, kind: str) -> None:
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "40 22 0:40 / /home/u rw shared:2 master:1 - nfs4 server:/home rw\n"
        "41 22 0:41 / /mnt/c/with\\040space rw - 9p C: rw\n"
        "42 22 0:42 / /over rw - ext4 /dev/sdb rw\n"
        "43 42 0:43 / /over rw - tmpfs tmpfs rw\n"
        "44 nonsense\n"
    )

    assert places.kind_at(path, mounts) == kind


def test_local_fuse_file_systems_are_no_network() -> None:
    assert places.is_network("fuse.sshfs")
    assert not places.is_network("fuse.fuse-overlayfs")
    assert not places.is_network("fuseblk")


@pytest.mark.parametrize("calls", [0, 5])
async def test_a_directory_that_may_not_be_written_stops_what_costs_money(
    calls: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    write_config(home, *CONFIG)
    if calls:
        filled(home, calls)
    with as_any_user():
        home.chmod(0o500)
        try:
            async with seat_at(home) as seat:
                said = await only_free(seat, caplog)
        finally:
            home.chmod(0o700)

    assert "cannot be" in said.split("\n")[0]
    assert "Check who owns" in said


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes another user")
async def test_another_users_ledger_stops_what_costs_money(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path, 5)
    os.chown(path, 65534, 65534)
    before = path.read_bytes()

    with as_any_user():
        async with seat_at(tmp_path) as seat:
            said = await only_free(seat, caplog)

    assert "cannot be" in said.split("\n")[0]
    assert "Check who owns" in said
    assert path.read_bytes() == before


async def test_a_full_disk_stops_what_costs_money_until_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    with small_disk(home):
        async with seat_at(home) as seat:
            await seat.said("complete", prompt="Hi", model="paid/m")
            noted = count(home / "ledger.db", "calls")
            ballast = home / "ballast"
            fill(ballast)

            said = await only_free(seat, caplog)
            ballast.unlink()
            await seat.said("complete", prompt="Hi", model="paid/m")

        assert "is full" in said
        assert "Free some space" in said
        # The refused call itself may have found no room either; the free ones are noted late.
        assert count(home / "ledger.db", "calls") >= noted + 3


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


async def test_a_stopped_process_that_holds_the_gate_stops_only_what_costs_money(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with seat_at(tmp_path) as seat:
        await seat.said("complete", prompt="Hi", model="paid/m")
        async with stopped_holder(tmp_path / "ledger.gate"):
            with anyio.fail_after(4):
                said = await seat.refused("complete", prompt="Hi", model="paid/m", timeout_s=1)
            with anyio.fail_after(4):
                free = await seat.said("complete", prompt="Hi", model="free/m")
        await seat.said("complete", prompt="Hi", model="paid/m")
        (held,) = seat.rows("SELECT sum(reserved_nano) AS nano FROM budget_windows")

    assert "code: ledger_unavailable" in said
    assert "The ledger is busy" in said
    assert free["text"] == "Welcome."
    assert held["nano"] == 0
    assert not [record for record in caplog.records if record.exc_info]


@asynccontextmanager
async def stopped_holder(gate: Path) -> AsyncGenerator[None]:
    """Another process that took the gate and was then stopped."""
    command = [sys.executable, "-c", HOLD, str(gate)]
    async with await anyio.open_process(command, stderr=None) as holder:
        assert holder.stdout is not None
        assert (await holder.stdout.receive()).startswith(b"held")
        os.kill(holder.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            holder.kill()


HOLD = """
import sys, time
from pathlib import Path
from roundhouse_mcp.server.ledger.gate import Gate
with Gate(Path(sys.argv[1])).held(5):
    print("held", flush=True)
    time.sleep(60)
"""


def set_aside(home: Path) -> None:
    (home / "aside").mkdir()
    for path in home.glob("ledger.db*"):
        path.rename(home / "aside" / path.name)


async def test_a_file_replaced_while_it_is_open_is_noticed_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with seat_at(tmp_path) as seat:
        await seat.said("complete", prompt="Hi", model="paid/m")
        set_aside(tmp_path)

        await seat.said("complete", prompt="Hi", model="paid/m")
        alarms = seat.desk.ledger.alarms

    assert any("was replaced while it was open" in alarm for alarm in alarms)
    assert count(tmp_path / "aside" / "ledger.db", "calls") == 1
    assert count(tmp_path / "ledger.db", "calls") == 1


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_eight_processes_migrate_at_once_and_lose_nothing(version: int, tmp_path: Path) -> None:
    path = filled(tmp_path, 40, version=version) if version else tmp_path / "ledger.db"

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(opened, [tmp_path] * 8))

    assert [process.stderr for process in done] == [""] * 8
    assert [process.stdout for process in done] == ["noted\n"] * 8
    with closing(connect(path)) as db:
        assert version_of(db) == VERSION
    assert count(path, "calls") == (40 if version else 0)
    assert count(path, "budget_events") == 0
    assert spent(path) == 40 * COST * bool(version)
    assert count(path, "counters") == 8


def opened(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(home)], capture_output=True, text=True, check=False
    )


OPEN = """
import os, sys
from pathlib import Path
from roundhouse_mcp.server.ledger.store import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    name = (str(os.getpid()),)
    ledger.write_blocking(lambda db: db.execute("INSERT INTO counters VALUES (?, 1)", name))
    print("noted")
"""
