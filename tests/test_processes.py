"""What the ledger says of each server process: written by the server, or by who found it dead."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import anyio
from seats import scripted, seated, settled, write_config

from roundhouse_mcp.server.home import Home, fingerprint
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.processes import in_flight, processes
from roundhouse_mcp.server.ledger.schema import V1, V2

WORKER = Path(__file__).with_name("ledger_worker.py")


async def test_a_server_run_fills_every_column(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1", price=("1", "2"))) as seat:
        await seat.said("complete", prompt="Hi", model="one/m")
        await settled(tmp_path, "SELECT 1 FROM servers WHERE calls = 1 AND client <> 'unknown'")
        found = await seat.desk.ledger.read(lambda db: processes(db, since=0))
        spent = seat.rows("SELECT sum(cost_nano) AS nano, max(ended) AS ended FROM calls")[0]

    (process,) = found
    assert (process.pid, process.client, process.project) == (os.getpid(), "mcp", os.getcwd())
    assert process.config_file == fingerprint(Home(tmp_path).config)
    assert (process.calls, process.lost, process.presumed_nano) == (1, 0, 0)
    assert (process.cost_nano, process.last_call) == (spent["nano"], spent["ended"])
    assert process.cost_nano > 0
    assert (process.ended, process.reaped_by) == (None, None)


async def test_a_server_that_takes_up_a_changed_file_says_so(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        before = await settled(tmp_path, "SELECT config_file FROM servers")
        write_config(tmp_path, scripted("one", "text=2"))
        await seat.said("complete", prompt="Hi", model="one/m")
        now = fingerprint(Home(tmp_path).config)

        with anyio.fail_after(20):
            await settled(tmp_path, "SELECT 1 FROM servers WHERE config_file = ?", now)

    assert before[0]["config_file"] not in ("", None, now)


async def test_a_killed_server_is_named_by_who_found_it_with_its_lost_call_and_money(
    tmp_path: Path,
) -> None:
    kill_one(tmp_path)
    async with seated(tmp_path, scripted("one", "text=1")) as seat:
        with anyio.fail_after(20):
            await settled(tmp_path, "SELECT 1 FROM servers WHERE reaped_by IS NOT NULL")
        found = await seat.desk.ledger.read(lambda db: processes(db, since=0))

    gone = next(process for process in found if process.id == "victim")
    assert gone.reaped_by == seat.desk.ledger.owner
    assert (gone.calls, gone.lost) == (1, 1)
    assert gone.presumed_nano == gone.cost_nano == 5000


def kill_one(home: Path) -> None:
    """A server process ends in the middle of a call that holds money."""
    command = [sys.executable, str(WORKER), "die", str(home), "5000"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.kill()


def test_an_older_ledger_is_given_the_sums_of_its_servers(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "ledger.db")) as db:
        migrate(db, (V1, V2))
        insert(db, "servers", id="s", owner="o", pid=1, host="h", client="c", started=1, beat=1)
        insert(db, "servers", id="quiet", owner="p", pid=2, host="h", client="c", started=2, beat=2)
        for number, (status, kind) in enumerate((("ok", "actual"), ("lost", "presumed"))):
            call = {"call_id": str(number), "status": status, "cost_kind": kind, "cost_nano": 7}
            insert(db, "calls", tool="complete", server="s", client="c", started=1, ended=2, **call)
        migrate(db)
        served, quiet = processes(db, since=0)

    assert (served.id, served.calls, served.lost) == ("s", 2, 1)
    assert (served.cost_nano, served.presumed_nano, served.last_call) == (14, 7, 2.0)
    assert (quiet.calls, quiet.last_call) == (0, None)


def test_calls_in_flight_are_counted_by_server(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "ledger.db")) as db:
        migrate(db)
        for number, server in enumerate("aab"):
            call = {"call_id": str(number), "tool": "t", "server": server, "owner": "o"}
            insert(db, "inflight", client="c", phase="wait", started=1, beat=1, **call)

        assert in_flight(db) == {"a": 2, "b": 1}


def insert(db: Connection, table: str, **values: object) -> None:
    defaults = {"project": "p"}
    if table == "servers":
        defaults |= {"version": "1", "config_hash": "c"}
    known = defaults | values
    marks = ", ".join("?" * len(known))
    db.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({marks})", tuple(known.values()))
