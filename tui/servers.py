"""View 6: every server process on this ledger, how they differ, and what became of the dead."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from . import processes, records
from .actions import Action
from .contents import Contents
from .extra import Extra
from .processes import Seen
from .rows import Column, Look, Row
from .view import View

READ = "servers"
NO_SERVERS = """
  No server has run in the last 24 hours.

  Every editor starts its own: add Roundhouse to one, or run: roundhouse serve
"""


class ServersView(View):
    NAME = "servers"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action(name="log", key="L", title="Where its log is", word="log", needs_row=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._extra: Extra | None = None

    def reads(self) -> Mapping[str, Extra]:
        if self._extra is None:
            look = partial(processes.look_around, self.watching.home)
            self._extra = Extra(read=look, every_s=1.0, unasked=True)
        return {READ: self._extra}

    @property
    def seen(self) -> Seen:
        found = self.store.snapshot.extra.get(READ)
        return found if isinstance(found, Seen) else Seen()

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return processes.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        seen, keep = self.seen, self.kept(look)
        found = [
            process
            for process in processes.in_order(seen, look.now)
            if keep(processes.fields_of(process, seen, look.now))
        ]

        def row_at(index: int) -> Row:
            return processes.process_row(found[index], columns, seen, look)

        return Contents(
            keys=[process.id for process in found],
            row_at=row_at,
            status=processes.summary(seen, look.now),
            empty=NO_SERVERS,
            fields=lambda: [processes.fields_of(p, seen, look.now) for p in seen.processes],
            record_at=lambda index: records.server(found[index], seen, look.now),
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        for process in self.seen.processes:
            if process.id == key:
                return processes.detail_lines(process, self.seen, look)
        return ["this server ended more than 24 hours ago"]

    def do_log(self, key: str) -> None:
        """Says it, and copies a path."""
        for process in self.seen.processes:
            if process.id == key:
                if process.log_path:
                    self.watching.copy_to_clipboard(process.log_path)
                self.watching.say(f"its log: {processes.messages_at(process)}")
