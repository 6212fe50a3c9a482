"""View 1: the calls of every server process, running and finished."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import ClassVar, cast

from textual.widgets import Input

from ..server.ledger.closeup import Correction
from ..server.ledger.watch import Finished, Running
from . import calls
from .actions import Action
from .figures import count_of, duration, percent
from .reader import alive
from .rows import Column, Look, Row
from .view import Contents, View

FINISHED = "\nfinished"
PANE_LINES = 14
ROWS = 200
NO_CALLS = "\n  No calls yet.\n\n  They appear here as soon as an agent uses a tool of Roundhouse."


class LiveView(View):
    NAME = "live"
    FOLLOWS = True
    SEARCHES = True
    READS: ClassVar[frozenset[str]] = frozenset(["corrections"])
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action(
            name="cancel", key="x", title="Cancel call", word="cancel", needs_row=True, steers=True
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, bool] = {}
        self._kept_for = ""
        self._rows: dict[str, Row] = {}
        self._rows_of: tuple[object, ...] = ()
        self._shown_for = (-1, "")
        self._older: tuple[Finished, ...] = ()
        self._shown: list[Finished] = []
        self._shown_keys: list[str] = []

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return calls.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        running = [call for call in self.store.snapshot.running if self._keeps(call)]
        finished, finished_keys = self._finished()
        held = (*self.store.snapshot.running, *self.store.finished)
        keys = [call.call_id for call in running]
        first = len(keys)
        corrections, heard = self._corrections(), self._heard(look)
        rows = self._rows_held(columns, look)
        if finished:
            keys += [FINISHED, *finished_keys]

        def row_at(index: int) -> Row:
            if index < first:
                call = running[index]
                return calls.running_row(call, columns, look, gone=call.server not in heard)
            if index == first:
                return Row(key=FINISHED, rule="finished")
            ended = finished[index - first - 1]
            row = rows.get(ended.call_id)
            if row is None:
                row = calls.finished_row(ended, columns, look, corrections.get(ended.call_id))
                rows[ended.call_id] = row
            return row

        return Contents(
            keys=keys,
            row_at=row_at,
            status=self._hour(look),
            empty=NO_CALLS,
            rules=frozenset([FINISHED]),
            fields=lambda: map(calls.fields_of, held),
            record_at=lambda at: asdict(running[at] if at < first else finished[at - first - 1]),
        )

    def _finished(self) -> tuple[list[Finished], list[str]]:
        """Those the filter keeps and their keys, looked for again when others have ended."""
        asked = (self.store.ended, self.filter_text)
        if self._shown_for != asked or self._older is not self.store.older:
            kept = [call for call in self.store.finished if self._keeps(call)]
            self._shown = [*kept, *self.store.older]
            self._shown_keys = [call.call_id for call in self._shown]
            self._shown_for, self._older = asked, self.store.older
        return self._shown, self._shown_keys

    def _rows_held(self, columns: tuple[Column, ...], look: Look) -> dict[str, Row]:
        """Rows of finished calls: they say the same until their columns or corrections change."""
        made_of = (columns, look.zone, self.store.snapshot.extra.get("corrections"))
        if self._rows_of != made_of or len(self._rows) > ROWS:
            self._rows_of, self._rows = made_of, {}
        return self._rows

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        from .call import Around, detail_lines  # not before it is needed

        self.watching.watch_call(key)
        found = self._call(key)
        if found is None:
            return ["this call is no longer held"]
        snapshot = self.store.snapshot
        around = Around(
            servers=snapshot.servers,
            gone=found.server not in self._heard(look),
        )
        return detail_lines(found, snapshot.detail, around, look, width, self._room())

    def _room(self) -> int:
        """Lines of the detail: a pane's, or what header and footer leave of a small screen."""
        if not self.has_class("small"):
            return PANE_LINES
        return max(1, self.size.height - 3 - self.has_class("bannered") - bool(self.query(Input)))

    def may(self, action: Action, key: str) -> str:
        refusal = super().may(action, key)
        if refusal or action.name != "cancel":
            return refusal
        return "" if self._in_flight(key) else "this call has ended"

    def do_cancel(self, key: str) -> None:
        from .acting import act
        from .dialogs import Confirm

        call = self._in_flight(key)
        if call is None:
            return
        name = calls.target(call) or "no model yet"
        asked = f"{call.tool} for {call.client}, {name}, {call.phase}"
        question = Confirm(
            f"Cancel call {key}?",
            more=(asked, "It ends at once; what was spent so far stays spent."),
            yes="Cancel the call",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                argument = {"call_id": call.call_id}
                what = f"cancel call {call.call_id}"
                act(self.watching, "cancel", argument, call.server, what=what)

        self.app.push_screen(question, answered)  # pyright: ignore[reportUnknownMemberType]

    def _corrections(self) -> Mapping[str, Correction]:
        found = self.store.snapshot.extra.get("corrections")
        rows = cast("list[Correction]", found) if isinstance(found, list) else []
        return {row.call_id: row for row in rows}

    def _heard(self, look: Look) -> frozenset[str]:
        """The servers heard from at the last look that succeeded."""
        at = min(look.now, self.watching.looked_at())
        servers = self.store.snapshot.servers
        return frozenset(server.id for server in servers if alive(server, at))

    def _in_flight(self, key: str) -> Running | None:
        return next((call for call in self.store.snapshot.running if call.call_id == key), None)

    def _call(self, key: str) -> Running | Finished | None:
        held = (*self.store.finished, *self.store.older)
        ended = (call for call in held if call.call_id == key)
        return self._in_flight(key) or next(ended, None)

    def _keeps(self, call: Running | Finished) -> bool:
        """The filter's answer, remembered per finished call."""
        if not self.filter_text:
            return True
        if self._kept_for != self.filter_text:
            self._kept_for = self.filter_text
            self._kept.clear()
            self._test = self.kept(self.watching.look())
        if isinstance(call, Running):
            return self._test(calls.fields_of(call))
        if call.call_id not in self._kept:
            self._kept[call.call_id] = self._test(calls.fields_of(call))
        return self._kept[call.call_id]

    def _hour(self, look: Look) -> str:
        hour = self.store.last_hour(look.now)
        if not hour.calls:
            return "no call ended in the last hour"
        more = "+" if hour.partial else ""
        return (
            f"1 h: {count_of(hour.calls, 'call')}{more}  {percent(hour.errors, hour.calls)} errors"
            f"  p50 {duration(hour.p50_s)}  p95 {duration(hour.p95_s)}"
        )
