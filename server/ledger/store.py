"""The ledger every process of this machine shares: the seam between async code and SQLite.

An operation is a function whose first argument is a connection. Writing operations run on one
thread, gathered into transactions that are begun while holding the gate; reading ones run on
another. Both finish whatever becomes of the task that asked, so whoever may be cancelled chooses
ids before asking and closes what it may have opened in a shielded block.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar, cast

from ..errors import LedgerUnavailable
from .driver import Connection
from .errands import Awaited, Blocking, Errand, Lasting, Passing
from .reader import Reader
from .writer import REAP_EVERY_S, Writer

P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[Concatenate[Connection, P], T]

PATIENCE_S = 5.0
CLOSING_S = 5.0


class Ledger:
    """`home` holds ledger.db, ledger.gate and run/. Making one touches nothing; `start` and every
    first use start the threads. `owner` is alive while this is open."""

    def __init__(
        self,
        home: Path,
        clock: Callable[[], float] = time.time,
        *,
        patience_s: float = PATIENCE_S,
        reap_every_s: float = REAP_EVERY_S,
    ) -> None:
        self.home = home
        self.path = home / "ledger.db"
        self.run_dir = home / "run"
        self.owner = uuid.uuid4().hex
        self._writer = Writer(
            home, self.owner, clock, patience_s=patience_s, reap_every_s=reap_every_s
        )
        self._reader = Reader(self.path, self._writer)
        self._closed = False

    @property
    def alarms(self) -> tuple[str, ...]:
        """What happened to the file that its user should know: replaced, rolled back."""
        return tuple(self._writer.alarms)

    def start(self) -> None:
        """Open, migrate and reap in the background. Failures surface with the first use."""
        if self._closed:
            raise LedgerUnavailable("The ledger is closed: this server is shutting down.")
        for thread in (self._writer.thread, self._reader.thread):
            if thread.ident is None:
                thread.start()

    async def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in a transaction and return its result after COMMIT. An exception of its own
        undoes what it wrote, except a Declined: that is a decision, and what it wrote stays. When
        the store fails: LedgerUnavailable, and nothing was written."""
        return cast(T, await self._answer(self._writer, lambda db: operation(db, *args, **kwargs)))

    async def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it on a read-only connection, in one short transaction; it must fetch all rows."""
        return cast(T, await self._answer(self._reader, lambda db: operation(db, *args, **kwargs)))

    def write_soon(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run it after what was asked before, without waiting. While the store fails it is kept
        in memory and tried again."""
        self._ask(self._writer, Lasting(lambda db: operation(db, *args, **kwargs)))

    def write_or_drop(
        self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """The same, but forgotten if the store fails: for what is soon out of date anyway."""
        self._ask(self._writer, Passing(lambda db: operation(db, *args, **kwargs)))

    def write_blocking(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write` for a thread without an event loop."""
        errand = Blocking(lambda db: operation(db, *args, **kwargs))
        self._ask(self._writer, errand)
        return cast(T, errand.future.result())

    def read_blocking(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`read` for a thread without an event loop."""
        errand = Blocking(lambda db: operation(db, *args, **kwargs))
        self._ask(self._reader, errand)
        return cast(T, errand.future.result())

    async def _answer(
        self, thread: Writer | Reader, operation: Callable[[Connection], object]
    ) -> object:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        self._ask(thread, Awaited(operation, loop, future))
        return await future

    def _ask(self, thread: Writer | Reader, errand: Errand) -> None:
        if self._closed or thread.thread.ident is None:
            self.start()
        thread.ask(errand)

    def close(self, timeout_s: float = CLOSING_S) -> bool:
        """Write what was asked so far, close, and let the owner go. False: not done in time, and
        the threads are left to end with the process."""
        if self._closed or self._writer.thread.ident is None:
            self._closed = True
            return True
        self._closed = True
        give_up = time.monotonic() + timeout_s
        for worker in (self._writer, self._reader):
            worker.end()
        for worker in (self._writer, self._reader):
            worker.thread.join(max(0.0, give_up - time.monotonic()))
        return not (self._writer.thread.is_alive() or self._reader.thread.is_alive())

    def __enter__(self) -> "Ledger":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
