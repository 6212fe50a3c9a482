"""Asks servers to do what the user wants, and says what became of it.

A request is written in a thread of its own and followed until a server has answered or the user
has waited long enough; what nobody took by then is withdrawn. It ends as done, failed or no
answer, whatever happens to the servers meanwhile.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

from ..server.ledger import control_rows, owners, servers, visits
from ..server.ledger.control_rows import ANY, Control
from ..server.ledger.driver import Connection, Error, connect_read_only
from ..server.ledger.gate import GateBusy
from .clean import clean, scrub
from .messages import Acted, Outcome, Then
from .watching import Watching

BY = "tui"
ANSWER_S = 3.0
GATE_S = 2.0
LOOK_S = 0.05
NOBODY = "no server runs: nothing was asked · start an editor or: roundhouse serve"


def act(
    app: Watching,
    kind: str,
    argument: Mapping[str, Any],
    target: str | None = None,
    *,
    what: str = "",
    then: Then | None = None,
    answer_s: float = ANSWER_S,
) -> None:
    """Ask a server, or with None whichever comes first, to do something; never waits, never
    raises. `what` says it in words, such as `cancel call 01K9`; `then` gets the outcome on the
    app's own thread; `answer_s` is how long an answer may take."""
    what = clean(what or kind)
    if refusal := app.refuses_to_act():
        app.say(f"{what}: {refusal}", "warning")
        return
    number = app.begin_act(what)
    text = json.dumps(dict(argument))

    def run() -> None:
        request = Request(app.home, kind=kind, argument=text, target=target or ANY)
        outcome = request.carried_out(answer_s)
        app.post_message(Acted(number, what, outcome, then))

    threading.Thread(target=run, name="act", daemon=True).start()


class Request:
    """One request to the servers of a home. Blocks, so it belongs in a thread."""

    def __init__(self, home: Path, *, kind: str, argument: str, target: str = ANY) -> None:
        self.path, self.gate = home / "ledger.db", home / "ledger.gate"
        self.alive = partial(owners.alive, home / "run")
        self.kind, self.argument, self.target = kind, argument, target

    def carried_out(self, answer_s: float = ANSWER_S) -> Outcome:
        """Never raises; takes at most `answer_s` and the waits for the gate."""
        try:
            number = self._write(self._ask)
            if number is None:
                return Outcome(state="no answer", said=NOBODY)
            return self._followed(number, answer_s)
        except GateBusy:
            said = f"the ledger is busy: nobody could write for {GATE_S:g} s · try again"
        except (Error, OSError) as error:
            said = f"the ledger cannot be written ({clean(str(error))}) · roundhouse doctor"
        return Outcome(state="failed", said=said)

    def _write(self, change: Callable[[Connection], int | None]) -> int | None:
        return visits.write(self.path, self.gate, change, wait_s=GATE_S)

    def _ask(self, db: Connection) -> int | None:
        if not servers.living(db, self.alive):
            return None
        return control_rows.ask(
            db,
            by=BY,
            kind=self.kind,
            now=time.time(),
            target=self.target,
            argument=self.argument,
        )

    def _followed(self, number: int, answer_s: float) -> Outcome:
        """What nobody has taken, or one that is dead by now, is waited for `ANSWER_S` only."""
        began = left = time.monotonic()
        with closing(connect_read_only(self.path)) as db:
            while True:
                answer = control_rows.answer(db, number)
                if answer.result is not None:
                    return understood(answer.result)
                now = time.monotonic()
                if answer.taken_by is not None and answer.taken_by in servers.living(
                    db, self.alive
                ):
                    left = now
                if now - began >= answer_s or now - left >= min(answer_s, ANSWER_S):
                    break
                time.sleep(LOOK_S)
        if self._write(partial(self._withdraw, number)):
            said = f"no server answered within {answer_s:g} s: the request was withdrawn"
        else:
            with closing(connect_read_only(self.path)) as db:
                answer = control_rows.answer(db, number)
            if answer.result is not None:
                return understood(answer.result)
            said = f"server {clean(answer.taken_by or '')[-6:]} took it and has not answered yet"
        return Outcome(state="no answer", said=said)

    def _withdraw(self, number: int, db: Connection) -> int:
        now = time.time()
        mine = Control(
            id=number,
            created=now,
            by=BY,
            target=self.target,
            kind=self.kind,
            argument=self.argument,
        )
        if not control_rows.take(db, mine, BY, now):
            return 0
        control_rows.finish(db, number, json.dumps({"ok": False, "said": "withdrawn"}), now)
        return 1


def understood(result: str) -> Outcome:
    """What a server answered, every string in it clean."""
    try:
        found = scrub(json.loads(result))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Outcome(state="failed", said="the server answered something unreadable")
    data = cast("dict[str, Any]", found)
    said = str(data.get("said") or ("done" if data.get("ok") else "the server declined"))
    return Outcome(state="done" if data.get("ok") else "failed", said=said, data=data)
