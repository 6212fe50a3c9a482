"""The process that keeps one engine: starts it, says in the ledger where it is, and ends it.

`python -m ….server.engines.keeper FD`: an order as JSON on stdin, and the engine's lock as an
inherited descriptor. It outlives the server that started it, and ends the engine on its own when
nobody has used it for the idle time, when the last server that used it is gone, or when it is asked
to. The lock is let go when everything is over; if it is killed, the kernel takes the engine along.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...providers import engines
from ...providers.setup import Setup
from .. import processes
from ..errors import LedgerUnavailable
from ..ledger import engine_rows, owners
from ..ledger.engine_rows import EngineRow, State
from ..ledger.seldom import Seldom
from ..redact import Redactor
from . import health
from .leash import leashed
from .logs import Log
from .stalls import Stall

TICK_S = 0.1
LOOK_S = 1.0  # at the users
END_S = 5.0
TRIES = 3
WHY: Mapping[str, str] = {
    "idle": "nobody used it for its idle time",
    "asked": "it was asked to end",
    "unused": "no server that used it runs any more",
    "homeless": "its home was removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to keep. `path` is its model's."""

    id: str
    setup: Setup
    home: str
    path: str
    linger_s: float

    @classmethod
    def read(cls, text: str) -> "Order":
        given: dict[str, Any] = json.loads(text)
        said: dict[str, Any] = given.pop("setup")
        for name in ("command", "arguments"):
            said[name] = tuple(said[name])
        return cls(setup=Setup(**said), **given)


class Keeper:
    def __init__(self, order: Order, lock: int) -> None:
        home = Path(order.home)
        self.order = order
        self.setup = order.setup
        self.lock = lock
        self.stall = Stall.of(home, order.setup.name)
        self.token = secrets.token_urlsafe(24) if order.setup.engine.token else ""
        self.log = Log(home / "logs" / f"engine-{order.setup.name}.log", Redactor([self.token]))
        self.ledger = Seldom(home)
        self.child: subprocess.Popen[bytes] | None = None
        self.told = False
        self.row = EngineRow(
            name=order.setup.name,
            id=order.id,
            kind=order.setup.kind,
            model=order.setup.alias,
            path=order.path,
            mark=order.setup.mark,
            state="starting",
            keeper_pid=os.getpid(),
            keeper_since=processes.since(os.getpid()) or "",
            log_path=str(self.log.path),
            idle_s=order.setup.idle_s,
            started=time.time(),
            token=self.token,
        )

    def run(self) -> None:
        """From the first row to the last."""
        signal.signal(signal.SIGTERM, self.be_told)
        for unheard in (signal.SIGINT, signal.SIGHUP):
            signal.signal(unheard, signal.SIG_IGN)
        why = ""
        try:
            self.note("starting")
            why = self.start() or self.keep()
        except LedgerUnavailable as error:
            why = f"the ledger cannot be written ({error})"
        finally:
            self.end(why or "its keeper failed")

    def be_told(self, *_: object) -> None:
        self.told = True

    def note(self, state: State, **changes: Any) -> None:
        self.row = replace(self.row, state=state, **changes)
        self.ledger.write(engine_rows.put, self.row)

    def start(self) -> str:
        """Why it did not start; "" once it is healthy. A port that another program took in the
        meantime is changed for another."""
        give_up = time.monotonic() + self.setup.start_s
        for _ in range(TRIES):
            port = health.free_port()
            try:
                self.launch(port)
            except OSError as error:
                return f"{self.words(port)[0]} cannot be run ({error.strerror})"
            why, again = self.await_health(port, give_up)
            if not again:
                return why
            self.quit_child()
        return f"its port was taken {TRIES} times"

    def words(self, port: int) -> list[str]:
        return engines.command(self.setup, self.order.path, port)

    def launch(self, port: int) -> None:
        words = self.words(port)
        self.log.note(f"roundhouse: starting {' '.join(words)}")
        child = self.child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.order.home,
            env=engines.environment(self.setup, os.environ, self.token),
            process_group=0,
            preexec_fn=leashed(os.getpid()),
        )
        assert child.stdout is not None
        self.log.lines.clear()
        self.taking_down = self.log.follow(child.stdout)  # type: ignore[arg-type]
        self.note("starting", pid=child.pid, since=processes.since(child.pid), port=port)

    def await_health(self, port: int, give_up: float) -> tuple[str, bool]:
        """Why it did not come up ("" if it did), and whether another port may help."""
        assert self.child is not None
        look = partial(health.look, port, self.setup.engine.health, self.token)
        heard = "nothing"
        while self.child.poll() is None:
            heard = look()
            if heard == "":
                self.note("ready", ready=time.time())
                self.log.note(f"roundhouse: ready on port {port}")
                return "", False
            if self.is_over():
                return WHY["asked"], False
            if time.monotonic() > give_up:
                return f"it was not healthy within {self.setup.start_s:g} s ({heard})", False
            time.sleep(TICK_S / 2)
        self.taking_down.join(1.0)
        return self.death(), health.answers(port)

    def is_over(self) -> bool:
        """Was it asked to end, or has it nothing to end for?"""
        return self.told or self.stall.is_to_stop(self.order.id) or not self.stall.lock.exists()

    def keep(self) -> str:
        """Why it ended, or must end now."""
        assert self.child is not None
        used_at, used = self.stall.used_at(), time.monotonic()
        looked, alone_since = time.monotonic(), None
        while self.child.poll() is None:
            if self.is_over():
                return WHY["asked" if self.stall.lock.exists() else "homeless"]
            now = time.monotonic()
            fd = self.stall.stop_calls()
            if fd is None or self.stall.used_at() != used_at:
                used_at, used = self.stall.used_at(), now
            if now - looked >= LOOK_S or self.order.linger_s < LOOK_S:
                looked = now
                alone_since = None if self.has_users() else (alone_since or now)
            why = self.reason(now, used, alone_since) if fd is not None else ""
            if why:
                self.held = fd  # until the end: no call begins while it goes
                return WHY[why]
            if fd is not None:
                os.close(fd)
            time.sleep(TICK_S)
        self.taking_down.join(1.0)
        return self.death()

    def reason(self, now: float, used: float, alone_since: float | None) -> str:
        if now - used >= self.setup.idle_s:
            return "idle"
        if alone_since is not None and now - alone_since >= self.order.linger_s:
            return "unused"
        return ""

    def has_users(self) -> bool:
        alive: Callable[[str], bool] = partial(owners.alive, self.ledger.run_dir)
        with suppress(LedgerUnavailable):
            return bool(self.ledger.read(engine_rows.users, self.row.name, alive=alive))
        return True

    def death(self) -> str:
        """How the engine's process ended by itself, and what it said of that: once calls have
        reached it not, since that could be theirs."""
        assert self.child is not None
        code = self.child.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        said = self.log.complaint() if self.row.ready is None else ""
        return f"{how}: {said}" if said else how

    def end(self, why: str) -> None:
        """Ends the engine, then says so, then lets go of everything."""
        well = why in WHY.values()
        self.log.note(f"roundhouse: ending: {why}")
        with suppress(LedgerUnavailable):
            self.note("stopping", detail=why[: engine_rows.DETAIL])
        self.quit_child()
        self.stall.stop.unlink(missing_ok=True)
        with suppress(LedgerUnavailable):
            alive = partial(owners.alive, self.ledger.run_dir)
            self.ledger.write(engine_rows.forget_users, self.row.name, alive=alive)
            self.note("stopped" if well else "failed", ended=time.time(), token="")
        os.close(self.lock)

    def quit_child(self) -> None:
        child = self.child
        if child is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                child.wait(END_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    Keeper(Order.read(sys.stdin.read()), int(sys.argv[1])).run()
