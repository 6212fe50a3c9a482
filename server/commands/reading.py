"""The ledger as commands read it: as it lies there, without a server and without making one."""

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from ..errors import LedgerUnavailable
from ..home import Home
from ..ledger.driver import Connection, connect_read_only
from ..ledger.failures import STORE_FAILURES, is_missing, unavailable
from ..ledger.schema import VERSION
from ..ledger.watch import schema

T = TypeVar("T")
BUSY_S = 2.0


def read(home: Home, operation: Callable[[Connection], T], nothing: T) -> T:
    """What the operation finds, all of it at one moment; `nothing` where there is no ledger yet.
    Raises LedgerUnavailable."""
    if is_missing(home.ledger):
        return nothing
    try:
        with closing(connect_read_only(home.ledger, busy_s=BUSY_S)) as db:
            found = schema(db)
            if found.version == 0:
                return nothing
            if found.min_reader > VERSION:
                raise LedgerUnavailable(
                    f"{home.ledger} was written by a newer Roundhouse, and cannot be read by this",
                    next_step="Update this one.",
                )
            db.execute("BEGIN")
            return operation(db)
    except STORE_FAILURES as error:
        raise unavailable(error, home.ledger) from error
