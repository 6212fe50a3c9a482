"""Bringing a ledger file to this version."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from roundhouse_mcp.server.errors import LedgerUnavailable
from roundhouse_mcp.server.ledger.driver import Connection, OperationalError, connect
from roundhouse_mcp.server.ledger.migrations import migrate, needed_to_write, statements
from roundhouse_mcp.server.ledger.schema import MIGRATIONS, VERSION
from roundhouse_mcp.server.ledger.store import Ledger


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    db = connect(tmp_path / "ledger.db")
    yield db
    db.close()


def tables(db: Connection) -> set[str]:
    found = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {name for (name,) in found}


def version(db: Connection) -> int:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    return found


def test_a_new_file_gets_every_table_and_the_version(db: Connection) -> None:
    migrate(db)

    assert {"calls", "attempts", "reservations", "circuits", "usage_hour"} <= tables(db)
    assert version(db) == VERSION == len(MIGRATIONS)


def test_several_that_migrate_at_once_wait_for_each_other(tmp_path: Path) -> None:
    databases = [connect(tmp_path / "ledger.db") for _ in range(6)]
    at_once = threading.Barrier(len(databases))

    def together(db: Connection) -> int:
        at_once.wait(5)
        migrate(db)
        return version(db)

    with ThreadPoolExecutor(len(databases)) as pool:
        versions = list(pool.map(together, databases))

    for db in databases:
        db.close()
    assert versions == [VERSION] * len(databases)


def test_a_current_file_is_left_alone(db: Connection) -> None:
    migrate(db)
    before = db.total_changes

    migrate(db)

    assert db.total_changes == before


def test_an_older_file_gets_what_is_missing_and_keeps_its_rows(db: Connection) -> None:
    migrate(db)
    db.execute("INSERT INTO counters (name, value) VALUES ('kept', 1)")

    migrate(db, (*MIGRATIONS, "CREATE TABLE later (id INTEGER); CREATE INDEX i ON later (id);"))

    assert "later" in tables(db)
    assert version(db) == VERSION + 1
    assert db.execute("SELECT name FROM counters").fetchall() == [("kept",)]


def test_a_migration_that_fails_changes_nothing(db: Connection) -> None:
    migrate(db)

    with pytest.raises(OperationalError):
        migrate(db, (*MIGRATIONS, "CREATE TABLE later (id INTEGER); CREATE NONSENSE;"))

    assert "later" not in tables(db)
    assert version(db) == VERSION
    assert not db.in_transaction


def test_a_newer_file_that_only_added_things_is_used(db: Connection) -> None:
    migrate(db)
    db.execute(f"PRAGMA user_version = {VERSION + 3}")

    migrate(db)

    assert version(db) == VERSION + 3


def test_a_newer_file_this_program_must_not_write_says_what_to_do(db: Connection) -> None:
    migrate(db)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.execute("UPDATE meta SET value = ? WHERE key = 'min_writer'", (str(VERSION + 1),))

    with pytest.raises(LedgerUnavailable, match="newer Roundhouse") as refused:
        migrate(db)

    assert "Restart the editor after upgrading" in refused.value.next_step


def test_a_file_says_that_programs_without_its_totals_must_not_write(db: Connection) -> None:
    """Those of the first schema count calls in one table of totals, of three."""
    migrate(db, MIGRATIONS[:1])

    migrate(db)

    assert needed_to_write(db) > 1


def test_a_server_whose_file_a_newer_program_migrates_stops_writing_at_once(tmp_path: Path) -> None:
    newer = f"""
        ALTER TABLE counters ADD COLUMN added INTEGER;
        PRAGMA user_version = {VERSION + 1};
        UPDATE meta SET value = '{VERSION + 1}' WHERE key = 'min_writer';
    """
    count_one = "INSERT INTO counters (name, value) VALUES (?, 1)"
    with Ledger(tmp_path) as ledger:
        ledger.write_blocking(lambda db: db.execute(count_one, ("before",)))
        with closing(connect(tmp_path / "ledger.db")) as other:
            other.executescript(newer)

        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="newer Roundhouse") as refused:
                ledger.write_blocking(lambda db: db.execute(count_one, ("after",)))
            assert "Restart the editor" in refused.value.next_step
        found = ledger.read_blocking(lambda db: db.execute("SELECT name FROM counters").fetchall())

    assert found == [("before",)]


def test_a_script_is_split_into_its_statements() -> None:
    script = "CREATE TABLE a (b TEXT DEFAULT 'x;y'); -- no; end\nCREATE TABLE c (d);\n"

    assert list(statements(script)) == [
        "CREATE TABLE a (b TEXT DEFAULT 'x;y');",
        "-- no; end\nCREATE TABLE c (d);",
    ]
