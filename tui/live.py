"""View 1: the calls of every server process, running and finished."""

from dataclasses import asdict

from ..server.ledger.watch import Finished, Running
from . import call, calls
from .figures import count_of, duration, percent
from .rows import Column, Look, Row
from .view import Contents, View

FINISHED = "\nfinished"
NO_CALLS = "\n  No calls yet.\n\n  They appear here as soon as an agent uses a tool of Roundhouse."


class LiveView(View):
    NAME = "live"
    FOLLOWS = True
    SEARCHES = True

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, bool] = {}
        self._kept_for = ""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return calls.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        running = [call for call in self.store.snapshot.running if self._keeps(call)]
        finished = [call for call in self.store.finished if self._keeps(call)]
        finished += self.store.older
        held = (*self.store.snapshot.running, *self.store.finished)
        keys = [call.call_id for call in running]
        first = len(keys)
        if finished:
            keys += [FINISHED, *(call.call_id for call in finished)]

        def row_at(index: int) -> Row:
            if index < first:
                return calls.running_row(running[index], columns, look)
            if index == first:
                return Row(key=FINISHED, rule="finished")
            return calls.finished_row(finished[index - first - 1], columns, look)

        return Contents(
            keys=keys,
            row_at=row_at,
            status=self._hour(look),
            empty=NO_CALLS,
            rules=frozenset([FINISHED]),
            fields=lambda: map(calls.fields_of, held),
            record_at=lambda at: asdict(running[at] if at < first else finished[at - first - 1]),
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        self.watching.watch_call(key)
        found = self._call(key)
        if found is None:
            return ["this call is no longer held"]
        return call.detail_lines(found, self.store.snapshot.detail, look, width)

    def _call(self, key: str) -> Running | Finished | None:
        found = (call for call in self.store.snapshot.running if call.call_id == key)
        held = (*self.store.finished, *self.store.older)
        ended = (call for call in held if call.call_id == key)
        return next(found, None) or next(ended, None)

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
