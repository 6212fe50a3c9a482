"""The one thread of a process that writes: takes the gate, then runs what has gathered by then in
one transaction, and answers after COMMIT."""

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Declined, LedgerUnavailable
from . import alarm_rows, soundness
from .driver import Connection, connect
from .errands import Errand, Lasting, answer
from .failures import STORE_FAILURES, damaged, is_store_failure, unavailable, word
from .gate import Gate
from .locks import open_lock
from .migrations import migrate, refuse_newer, version_of
from .owners import DIRECTORY_MODE, Owner, sweep
from .places import refuse_network
from .reaping import dead_owners, reap

logger = logging.getLogger(__name__)

BATCH = 64
REAP_EVERY_S = 2.0
RETRY_S = 1.0
KEPT = 10_000
DAMAGED = ("CORRUPT", "NOTADB")
NONSENSE = "its tables do not hold what they should"
EXAMINED_BYTES = 32 << 20  # takes 0.2 s
COUNT_COMMIT = (
    "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'commits' RETURNING value"
)


class Undone(Exception):
    """The store failed and SQLite undid the whole transaction. `cause` says how."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Writer:
    """Everything here but `ask` and `end` happens on its own thread."""

    def __init__(
        self,
        home: Path,
        owner: str,
        clock: Callable[[], float],
        *,
        patience_s: float,
        reap_every_s: float = REAP_EVERY_S,
    ) -> None:
        self.home = home
        self.path = home / "ledger.db"
        self.run_dir = home / "run"
        self.gate = Gate(home / "ledger.gate")
        self.owner = owner
        self.clock = clock
        self.patience_s = patience_s
        self.reap_every_s = reap_every_s
        self.errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self.kept: deque[Errand] = deque(maxlen=KEPT)
        self.opened = threading.Event()
        self.alarms: list[str] = []
        self.alarms_noted = 0
        self.damage: LedgerUnavailable | None = None
        self.examined: tuple[int, int] | None = None
        self.db: Connection | None = None
        self.inode: tuple[int, int] | None = None
        self.claim: Owner | None = None
        self.reaped_at = float("-inf")
        self.ending = False
        self.thread = threading.Thread(target=self.run, name="ledger-writer", daemon=True)

    def ask(self, errand: Errand) -> None:
        self.errands.put(errand)

    def end(self) -> None:
        """After what was asked so far: close."""
        self.errands.put(None)

    def run(self) -> None:
        self.serve([])
        self.opened.set()
        while not self.ending:
            self.serve(self.gather())
        self.shut()

    def gather(self) -> list[Errand]:
        """Wait for the first errand; kept ones are tried again every second meanwhile."""
        try:
            first = self.errands.get(timeout=RETRY_S if self.kept else None)
        except queue.Empty:
            return []
        if first is None:
            self.ending = True
            return []
        return [first]

    def serve(self, batch: list[Errand]) -> None:
        """Run a batch that grows while we wait for the gate. No failure ends the thread."""
        try:
            with self.gate_held():
                self.attempt(batch)
        except Exception as error:  # the outermost frame of this thread
            batch += self.waiting(BATCH)
            self.fail(batch, error.cause if isinstance(error, Undone) else error)
        answer(batch)

    def attempt(self, batch: list[Errand]) -> None:
        """With the gate held. After a failure the connection is not trusted again."""
        try:
            db = self.usable()
            batch[:0] = self.kept  # asked before anything new
            self.kept.clear()
            batch += self.waiting(BATCH - len(batch))
            self.commit(db, batch)
        except BaseException:
            self.drop()
            raise

    def waiting(self, most: int) -> Iterator[Errand]:
        """What has been asked by now."""
        for _ in range(most):
            try:
                errand = self.errands.get_nowait()
            except queue.Empty:
                return
            if errand is None:
                self.ending = True
                return
            yield errand

    @contextmanager
    def gate_held(self) -> Generator[None, None, None]:
        self.home.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with self.gate.held(self.patience_s):
            yield

    def usable(self) -> Connection:
        """The open connection; opened anew if the file was moved, deleted or replaced."""
        if self.db is not None and self.inode == inode(self.path):
            return self.db
        if self.db is not None:
            self.drop()
            self.alarm(f"{self.path} was replaced while it was open; using the new file")
        db = self.open()
        self.db, self.inode = db, inode(self.path)
        return db

    def open(self) -> Connection:
        if self.claim is not None and not self.claim.is_seen():
            self.claim.release()
            self.claim = None
        if self.claim is None:
            self.claim = Owner.claim(self.run_dir, self.owner)
            sweep(self.run_dir)
        refuse_network(self.path)
        # A file made here has our mode, and SQLite gives its -wal and -shm the same.
        os.close(open_lock(self.path))
        db = connect(self.path, busy_s=self.patience_s)
        try:
            self.prepare(db)
        except BaseException:
            db.close()
            raise
        self.reaped_at = float("-inf")
        return db

    def prepare(self, db: Connection) -> None:
        """Examine the file, once, and bring it to this version. Damage can raise anything."""
        try:
            if self.examined != inode(self.path):
                self.examine(db)
            migrate(db)
            self.check_count(db)
        except LedgerUnavailable:
            raise
        except Exception as error:
            if word(error) in DAMAGED:
                self.damage = unavailable(error, self.path)
            elif isinstance(error, STORE_FAILURES):
                raise
            else:
                self.damage = damaged(self.path, NONSENSE)
            raise self.damage from error
        self.examined, self.damage = inode(self.path), None

    def examine(self, db: Connection) -> None:
        """A file too large to be read through at a start is trusted."""
        if version_of(db) == 0 or self.path.stat().st_size > EXAMINED_BYTES:
            return
        wrong = soundness.structure(db) or soundness.budgets(db)
        if wrong:
            self.damage = damaged(self.path, wrong[0])
            raise self.damage
        for wrong in soundness.usage(db)[:1]:
            self.alarm(f"{self.path}: {wrong}; run `roundhouse ledger repair`")

    def check_count(self, db: Connection) -> None:
        (count,) = db.execute("SELECT value FROM meta WHERE key = 'commits'").fetchone()
        lost = self.gate.count() - int(count)
        if lost > 0:
            self.alarm(f"{self.path} was rolled back by {lost} transactions")
            self.remember(int(count))

    def remember(self, count: int) -> None:
        with suppress(OSError):  # only the alarm above depends on it
            self.gate.record(count)

    def alarm(self, text: str) -> None:
        logger.warning("%s", text)
        self.alarms.append(text)

    def commit(self, db: Connection, batch: Sequence[Errand]) -> None:
        """One transaction for all; an errand that fails undoes only itself. Raises Undone when
        nothing of the batch was written."""
        chores = self.chores(db)
        if not (batch or chores or self.alarms_noted < len(self.alarms)):
            return
        try:
            db.execute("BEGIN IMMEDIATE")
            refuse_newer(db)
            for errand in (*chores, *batch):
                perform(db, errand)
            self.note_alarms(db)
            (count,) = db.execute(COUNT_COMMIT).fetchone()
            db.execute("COMMIT")
        except Exception as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise error if isinstance(error, Undone) else Undone(error) from error
        self.remember(int(count))
        self.alarms_noted = len(self.alarms)

    def note_alarms(self, db: Connection) -> None:
        for text in self.alarms[self.alarms_noted :]:
            alarm_rows.note(db, text, self.clock())

    def chores(self, db: Connection) -> list[Errand]:
        now = time.monotonic()
        if now - self.reaped_at < self.reap_every_s:
            return []
        self.reaped_at = now
        if not dead_owners(db, self.run_dir, self.owner):
            return []
        return [Lasting(lambda db: reap(db, self.run_dir, self.owner, self.clock()))]

    def fail(self, batch: list[Errand], error: Exception) -> None:
        """Nothing of the batch was written: lasting errands are kept, the others told why."""
        if word(error) in DAMAGED:
            self.examined = None
        failure = unavailable(error, self.path) if isinstance(error, STORE_FAILURES) else error
        if not isinstance(failure, Declined):
            logger.error("the ledger failed", exc_info=error)
            failure = LedgerUnavailable(f"The ledger {self.path} failed: {error}.")
        self.kept.extend(errand for errand in batch if errand.lasting and not self.ending)
        batch[:] = [errand for errand in batch if not errand.lasting or self.ending]
        for errand in batch:
            errand.error = failure

    def drop(self) -> None:
        """Close the connection; the next batch opens a new one."""
        db, self.db = self.db, None
        if db is not None:
            with suppress(*STORE_FAILURES):
                db.close()

    def shut(self) -> None:
        """What was kept gets a last try; then the owner's lock goes."""
        if self.kept:
            self.serve([])
        if self.kept:
            logger.error("%d ledger writes could not be made", len(self.kept))
        if self.db is not None:
            with suppress(*STORE_FAILURES), self.gate_held():
                self.drop()
            self.drop()
        self.gate.close()
        if self.claim is not None:
            self.claim.release()


def perform(db: Connection, errand: Errand) -> None:
    """Run one errand in its own savepoint. A Declined is a decision: what it wrote stays. Any
    other exception undoes the errand. Raises Undone if SQLite has undone everything."""
    db.execute("SAVEPOINT errand")
    errand.error = None
    try:
        errand.result = errand.operation(db)
    except Declined as declined:
        errand.error = declined
    except Exception as error:  # an operation's fault is its caller's, never this thread's
        if not db.in_transaction or is_store_failure(error):
            raise Undone(error) from error
        db.execute("ROLLBACK TO errand")
        errand.error = error
    db.execute("RELEASE errand")


def inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_dev
