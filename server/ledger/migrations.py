"""Bringing a ledger file to this version's schema, from any older one."""

from collections.abc import Iterator

from ..errors import LedgerUnavailable
from .driver import Connection, complete_statement
from .schema import MIGRATIONS, MIN_READER, MIN_WRITER, VERSION


def migrate(db: Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """All or nothing, in one transaction that locks out every other writer; call it while holding
    the gate. Does nothing but read when the schema is current. Raises LedgerUnavailable for a
    newer schema that says this program must not write, and for another program's database."""
    if version_of(db) == len(migrations):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        upgrade(db, migrations)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def version_of(db: Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def upgrade(db: Connection, migrations: tuple[str, ...]) -> None:
    found = version_of(db)
    if found > len(migrations):
        refuse_newer(db)
        return
    if found == 0 and db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        raise LedgerUnavailable(
            "The ledger file is a database of another program.",
            next_step="Move the file away; Roundhouse makes a new one.",
        )
    for script in migrations[found:]:
        for statement in statements(script):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(migrations)}")
    db.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [("min_reader", str(MIN_READER)), ("min_writer", str(MIN_WRITER))],
    )
    db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('commits', '0')")


def refuse_newer(db: Connection) -> None:
    """Raises LedgerUnavailable where what this program writes would leave totals behind that a
    newer one has added. For every transaction: a newer one may migrate the file at any time."""
    if needed_to_write(db) > VERSION:
        raise LedgerUnavailable(
            "The ledger was written by a newer Roundhouse than this one.",
            next_step="Restart the editor after upgrading.",
        )


def needed_to_write(db: Connection) -> int:
    row = db.execute("SELECT value FROM meta WHERE key = 'min_writer'").fetchone()
    return int(row[0]) if row else 0


def statements(script: str) -> Iterator[str]:
    """One by one: executescript would commit the transaction first."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if complete_statement(pending):
            if pending.strip(" \n;"):
                yield pending.strip()
            pending = ""
