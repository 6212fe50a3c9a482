"""The one thread of a process that reads: short read-only transactions, which never wait for
writers and never hold up a checkpoint."""

import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .driver import Connection, connect_read_only
from .errands import Errand, answer
from .failures import STORE_FAILURES, is_store_failure, unavailable
from .writer import Writer, inode

T = TypeVar("T")


class Reader:
    """Everything here but `ask` and `end` happens on its own thread. It waits until the
    writer has opened the file, or found that it cannot, and reads nothing that it found damaged."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.writer = writer
        self.errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self.db: Connection | None = None
        self.inode: tuple[int, int] | None = None
        self.thread = threading.Thread(target=self.run, name="ledger-reader", daemon=True)

    def ask(self, errand: Errand) -> None:
        self.errands.put(errand)

    def end(self) -> None:
        self.errands.put(None)

    def run(self) -> None:
        self.writer.opened.wait()
        while (errand := self.errands.get()) is not None:
            try:
                errand.result = self.look(errand)
            except Exception as error:  # the outermost frame of this thread
                errand.error = unavailable(error, self.path) if at_fault(error) else error
                self.drop()
            answer([errand])
        self.drop()

    def look(self, errand: Errand) -> object:
        if self.writer.damage is not None:
            raise self.writer.damage
        if self.db is None or self.inode != inode(self.path):
            self.drop()
            self.db = connect_read_only(self.path)
            self.inode = inode(self.path)
        return snapshot(self.db, errand)

    def drop(self) -> None:
        db, self.db = self.db, None
        if db is not None:
            with suppress(*STORE_FAILURES):
                db.close()


def snapshot(db: Connection, errand: Errand) -> object:
    """Run a reading operation; all its statements see one state. It must fetch all it wants."""
    db.execute("BEGIN")
    try:
        return errand.operation(db)
    finally:
        if db.in_transaction:
            db.execute("COMMIT")


def at_fault(error: Exception) -> bool:
    return is_store_failure(error) or isinstance(error, OSError)
