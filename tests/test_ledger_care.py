"""`roundhouse ledger`: what it finds, what it mends, what it writes out."""

import csv
import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hardship import overwrite
from ledger_rows import COST, count, filled, spend, spent
from seats import stripped, write_config

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.ledger import places, searching
from roundhouse_mcp.server.ledger.driver import connect
from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.server.ledger.store import Ledger

CALLS = 300
PAGE = 4096
LONG_TEXT = "far more than fits on a page " * 1_000
Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(line: str) -> Result:
        env = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path)}
        return CliRunner().invoke(command_line(), ["ledger", *line.split()], env=env)

    return go


def change(path: Path, statement: str) -> None:
    with closing(connect(path)) as db:
        db.execute(statement)


def test_without_a_ledger_there_is_nothing_to_look_after(run: Run, tmp_path: Path) -> None:
    for command in ("check", "repair --yes", "vacuum", "export"):
        result = run(command)

        assert result.exit_code == 2
        assert "There is no ledger at" in result.output
    assert not list(tmp_path.iterdir())


def test_a_whole_ledger_checks_as_whole(run: Run, tmp_path: Path) -> None:
    filled(tmp_path, CALLS)

    assert run("check").exit_code == 0
    assert "there is nothing to repair" in run("repair --yes").output


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE budget_windows SET spent_nano = spent_nano - 1", "global/total says"),
        ("UPDATE budget_windows SET reserved_nano = 7", "reserved, its reservations say"),
        ("DELETE FROM reservations WHERE id = 'call-000007-1'", "are missing"),
        ("DELETE FROM budget_windows WHERE budget = 'global/total'", "are missing"),
        ("UPDATE usage_hour SET cost_nano = 1", "openai/m at 1970-01-12T13:00Z"),
        ("DELETE FROM attempts WHERE call_id = 'call-000000'", "openai/m at 1970-01-12T13:00Z"),
    ],
)
def test_totals_that_are_not_the_sum_of_their_rows_are_found_and_mended(
    run: Run, tmp_path: Path, statement: str, problem: str
) -> None:
    path = filled(tmp_path, CALLS)
    change(path, statement)

    found = run("check")
    mended = run("repair --yes")

    assert found.exit_code == 1
    assert problem in found.output
    assert "roundhouse ledger repair" in found.output
    assert mended.exit_code == 0, mended.output
    assert run("check").exit_code == 0, run("check").output
    assert spent(path) >= (CALLS - 1) * COST


def test_an_adjustment_of_a_cost_is_no_fault(run: Run, tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    change(
        path,
        "INSERT INTO adjustments (at, call_id, attempt, delta_nano, why, by)"
        " VALUES (1, 'call-000001', 1, 99, 'invoice', 'user')",
    )
    change(path, "UPDATE budget_windows SET spent_nano = spent_nano + 99")

    assert run("check").exit_code == 0


def test_transactions_that_are_gone_are_counted(run: Run, tmp_path: Path) -> None:
    filled(tmp_path, 3)
    gate = Gate(tmp_path / "ledger.gate")
    with closing(gate), gate.held(1):
        gate.record(12)

    result = run("check")

    assert result.exit_code == 1
    assert "the last 12 transactions are missing" in result.output


@pytest.mark.parametrize("at", [0.3, 0.5, 0.6, 0.8])
def test_a_damaged_file_is_put_aside_and_what_can_be_read_is_kept(
    run: Run, tmp_path: Path, at: float
) -> None:
    path = filled(tmp_path, CALLS)
    overwrite(path, at)
    damaged = path.read_bytes()

    found = run("check")
    result = run("repair --yes")

    assert found.exit_code == 1
    assert result.exit_code == 0, result.output
    (aside,) = tmp_path.glob("ledger-damaged-*.db")
    assert aside.read_bytes() == damaged
    assert str(aside) in result.output.replace("\n", "")
    assert run("check").exit_code == 0, run("check").output
    kept = count(path, "calls")
    assert kept == CALLS or "the rest is lost" in result.output
    assert kept > CALLS / 3
    assert spent(path) >= CALLS * COST


def pages_of_schema(path: Path) -> list[int]:
    with closing(connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = path.read_bytes()
    numbers = range(len(content) // PAGE)
    return [n for n in numbers if b"CREATE TABLE" in content[n * PAGE : (n + 1) * PAGE]]


@pytest.mark.parametrize("which", ["first", "schema", "every"])
def test_where_the_schema_is_destroyed_what_was_spent_is_found_page_by_page(
    run: Run, tmp_path: Path, which: str
) -> None:
    path = filled(tmp_path, CALLS)
    told = json.dumps({"why": LONG_TEXT})
    change(path, f"UPDATE decisions SET json = '{told}' WHERE call_id = 'call-000007'")
    schema = pages_of_schema(path)
    lost = {"first": [0], "schema": schema, "every": [0, *schema]}[which]
    with path.open("r+b") as file:
        for number in lost:
            file.seek(number * PAGE)
            file.write(bytes(PAGE))

    result = run("repair --yes")

    assert result.exit_code == 0, result.output
    assert "found page by page" in result.output
    assert run("check").exit_code == 0, run("check").output
    assert (count(path, "calls"), count(path, "attempts")) == (CALLS, CALLS)
    assert spent(path) == CALLS * COST
    with closing(connect(path)) as db:
        decisions = dict(db.execute("SELECT call_id, json FROM decisions").fetchall())
        by_model = db.execute("SELECT sum(calls), sum(cost_nano) FROM model_hour").fetchone()
    assert len(decisions) == CALLS
    assert json.loads(decisions["call-000007"]) == {"why": LONG_TEXT}
    assert by_model == (CALLS, CALLS * COST)


def test_what_only_the_log_holds_is_found_too(run: Run, tmp_path: Path) -> None:
    """The process was killed, and the file itself destroyed."""
    path, log = tmp_path / "ledger.db", tmp_path / "ledger.db-wal"
    filled(tmp_path, 3)
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(spend, 3)
        written = log.read_bytes()
    log.write_bytes(written)
    path.write_bytes(bytes(path.stat().st_size))
    log.write_bytes(written[:24] + bytes(8) + written[32:])  # SQLite does not take it any more

    assert run("repair --yes").exit_code == 0
    assert spent(path) == 4 * COST
    assert run("check").exit_code == 0, run("check").output


def test_of_two_states_of_a_reservation_the_later_is_kept(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    with closing(connect(path)) as db:
        one = searching.shape(db, "reservations")
        (row,) = db.execute("SELECT * FROM reservations").fetchall()
        held = tuple(
            None if name in ("closed", "cost_nano") else value
            for name, value in zip([c.name for c in one.columns], row, strict=True)
        )
        held = tuple("held" if value == "settled" else value for value in held)
        db.execute("DELETE FROM reservations")
        for each in (held, row, held):
            db.execute(one.statement(len(each)), each)

        assert db.execute("SELECT * FROM reservations").fetchall() == [row]


def test_a_file_that_is_no_database_gives_way_to_an_empty_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"a shopping list " * 600)

    result = run("repair --yes")

    assert result.exit_code == 0, result.output
    assert "nothing could be read" in result.output
    assert "does not count any more" in result.output
    assert count(path, "calls") == 0
    assert len(list(tmp_path.glob("ledger-damaged-*.db"))) == 1


def test_a_server_that_has_the_file_open_goes_on_with_the_new_one(run: Run, tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(lambda db: None)
        change(path, "UPDATE budget_windows SET reserved_nano = 7")

        assert run("repair --yes").exit_code == 0
        ledger.write_blocking(lambda db: db.execute("INSERT INTO counters VALUES ('here', 1)"))

        assert any("was replaced" in alarm for alarm in ledger.alarms)
        assert not any("rolled back" in alarm for alarm in ledger.alarms)
    assert count(path, "counters") == 1
    assert run("check").exit_code == 0


def test_vacuum_gives_space_back_and_keeps_every_row(run: Run, tmp_path: Path) -> None:
    path = filled(tmp_path, CALLS)
    before = path.stat().st_size
    change(path, "DELETE FROM decisions")

    result = run("vacuum")

    assert result.exit_code == 0
    assert path.stat().st_size < before
    assert count(path, "calls") == CALLS
    assert run("check").exit_code == 0


@pytest.mark.parametrize("table", ["calls", "attempts"])
def test_export_writes_every_row(run: Run, tmp_path: Path, table: str) -> None:
    filled(tmp_path, 2_300)

    lines = [json.loads(line) for line in run(f"export --of {table}").output.splitlines()]
    cells = list(csv.DictReader(io.StringIO(run(f"export --of {table} --csv").output)))

    assert len({line["call_id"] for line in lines}) == len(lines) == len(cells) == 2_300
    assert sum(line["cost_nano"] for line in lines) == 2_300 * COST
    assert cells[7]["cost_nano"] == str(COST)


def test_no_cell_of_an_export_is_a_formula(run: Run, tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    change(path, "UPDATE calls SET model = '=HYPERLINK(1)', task = '@x', error = '-1+1'")

    (cells,) = csv.DictReader(io.StringIO(run("export --csv").output))

    assert (cells["model"], cells["task"], cells["error"]) == ("'=HYPERLINK(1)", "'@x", "'-1+1")


def test_doctor_says_that_the_ledger_is_damaged_or_on_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(filled(tmp_path, 3), "UPDATE budget_windows SET spent_nano = 0")
    write_config(tmp_path)
    env = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path)}

    damaged = CliRunner().invoke(command_line(), ["doctor"], env=env).output
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"40 22 0:40 / {tmp_path} rw - cifs //server/home rw\n")
    monkeypatch.setattr(places, "MOUNTS", mounts)
    remote = CliRunner().invoke(command_line(), ["doctor"], env=env).output

    assert "reservations say $0.0015; run: roundhouse ledger repair" in damaged
    assert "is on a network file system (cifs); set ROUNDHOUSE_HOME" in remote
