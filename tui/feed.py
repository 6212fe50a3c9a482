"""The ledger looked at again and again, in a thread; no terminal library is needed for it."""

import os
import threading
import uuid
from collections.abc import Callable, Mapping

from ..server.ledger import watch
from ..server.ledger.driver import Error
from ..server.ledger.gate import GateBusy
from .extra import Extra
from .reader import Batch, Reader, alive

LOOK_S = 0.2
BLURRED_LOOK_S = 1.0
LEASE_RENEWAL_S = 5.0


class Feed:
    """Looks in a thread of its own until closed, and renews the lease that makes servers write
    streaming progress. `emit` is called in that thread."""

    def __init__(self, reader: Reader, emit: Callable[[Batch], None]) -> None:
        self.reader = reader
        self.emit = emit
        self.blurred = False
        self.look_s = LOOK_S
        self.watcher = uuid.uuid4().hex
        self.looked_at = reader.clock()
        self._leased_at = 0.0
        self._leased = False
        self._alive = False
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)

    def select(self, call_id: str | None) -> None:
        """Which call is looked at closely from now on."""
        if call_id != self.reader.selected:
            self.reader.selected = call_id
            self._wake.set()

    def want(self, extras: Mapping[str, Extra]) -> None:
        """What else to read from now on, for the view on the screen."""
        if extras != self.reader.wanted:
            self.reader.wanted = extras
            self._wake.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            batch = self.reader.poll()
            now = self.reader.clock()
            if self.reader.readable:
                self.looked_at = now
            if batch is not None:
                if batch.snapshot is not None:
                    self._alive = any(alive(server, now) for server in batch.snapshot.servers)
                self.emit(batch)
            self._renew(now)
            self._wake.wait(max(BLURRED_LOOK_S, self.look_s) if self.blurred else self.look_s)
        self._drop()
        self.reader.close()

    def _renew(self, now: float) -> None:
        """Only while servers live: a ledger nobody uses is not written."""
        if not self._alive or 0 <= now - self._leased_at < LEASE_RENEWAL_S:
            return
        self._leased_at = now
        try:
            watch.renew_lease(
                self.reader.path, self.reader.gate, watcher=self.watcher, pid=os.getpid(), now=now
            )
            self._leased = True
        except (Error, GateBusy, OSError):
            return

    def _drop(self) -> None:
        if not self._leased:
            return
        try:
            now = self.reader.clock()
            watch.drop_lease(self.reader.path, self.reader.gate, watcher=self.watcher, now=now)
        except (Error, GateBusy, OSError):
            return
