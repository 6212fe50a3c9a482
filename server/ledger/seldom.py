"""The ledger for a process that writes a row now and then, on no thread of its own.

It opens the file a server has made, and makes none. Nothing of money goes this way.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from .driver import Connection, connect, connect_read_only
from .failures import STORE_FAILURES, unavailable
from .gate import Gate

P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[Concatenate[Connection, P], T]

PATIENCE_S = 10.0


class Seldom:
    def __init__(self, home: Path, *, patience_s: float = PATIENCE_S) -> None:
        self.path = home / "ledger.db"
        self.run_dir = home / "run"
        self.patience_s = patience_s

    def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """In a transaction, while holding the gate. Raises LedgerUnavailable."""
        gate = Gate(self.path.with_name("ledger.gate"))
        try:
            self.path.stat()
            with (
                closing(gate),
                gate.held(self.patience_s),
                closing(connect(self.path, busy_s=self.patience_s)) as db,
            ):
                db.execute("BEGIN IMMEDIATE")
                found = operation(db, *args, **kwargs)
                db.execute("COMMIT")
                return found
        except STORE_FAILURES as error:
            raise unavailable(error, self.path) from error

    def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises LedgerUnavailable."""
        try:
            with closing(connect_read_only(self.path, busy_s=self.patience_s)) as db:
                return operation(db, *args, **kwargs)
        except STORE_FAILURES as error:
            raise unavailable(error, self.path) from error
