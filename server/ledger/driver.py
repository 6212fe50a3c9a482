"""The one place that picks the SQLite driver, and how our connections are set up.

`pysqlite3` bundles a newer SQLite than many Pythons link (3.7.0 to 3.51.2 can corrupt a WAL file
under concurrent writers) and is used if installed. Its exceptions are not the standard module's,
so everybody imports them from here.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import pysqlite3 as sqlite3
    except ImportError:
        import sqlite3

Connection = sqlite3.Connection
Cursor = sqlite3.Cursor
Row = sqlite3.Row
Error = sqlite3.Error
DatabaseError = sqlite3.DatabaseError
OperationalError = sqlite3.OperationalError
IntegrityError = sqlite3.IntegrityError
InterfaceError = sqlite3.InterfaceError
ProgrammingError = sqlite3.ProgrammingError
complete_statement = sqlite3.complete_statement
sqlite_version = sqlite3.sqlite_version

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA journal_size_limit=67108864",
)
CACHED_STATEMENTS = 256


def connect(path: Path, *, busy_s: float = 5.0) -> Connection:
    """A connection that writes; transactions are begun by hand. Open and close it while holding
    the gate: both may checkpoint. The waiting time is a backstop behind the gate."""
    db = sqlite3.connect(
        path,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        for pragma in PRAGMAS:
            db.execute(pragma).fetchall()
    except BaseException:
        db.close()
        raise
    return db


def connect_read_only(path: Path, *, busy_s: float = 0.25, immutable: bool = False) -> Connection:
    """A connection that cannot write. Keep transactions short: an open one, an unfinished SELECT
    included, stops checkpoints. `immutable` reads a file on a read-only mount, perhaps stale."""
    mode = "mode=ro&immutable=1" if immutable else "mode=ro"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
        uri=True,
    )
    try:
        db.execute("PRAGMA query_only=1")
    except BaseException:
        db.close()
        raise
    return db
