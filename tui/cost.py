"""View 5: what was spent, on what, by whom, day by day."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeVar

from . import costs, spent
from .actions import Action
from .contents import Contents
from .costs import Costs, Measure, Question, Sums
from .extra import Extra
from .frame import DETAIL_ROOM
from .rows import Column, Look, Row
from .view import View

READ = "costs"
EVERY_S = 5.0
LONG_S = 30.0  # by what only the large rollups know: up to a second after a million calls
NO_COSTS = """
  Nothing was called in this time.

  p chooses another, esc goes back.
"""
READING = "\n  Adding up."

T = TypeVar("T")


class CostView(View):
    """Rows are opened with enter: `_path` are the questions on the way back."""

    NAME = "cost"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action(name="period", key="p", title="Another period", word="period"),
        Action(name="group", key="b", title="Group by something else", word="group by"),
        Action(name="measure", key="m", title="Measure something else", word="measure"),
        Action(name="open", key="enter", title="Open the row", word="drill down", needs_row=True),
        Action(name="detail", key="d", title="Open the detail", word="detail"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.question = Question()
        self.measure: Measure = "$"
        self._path: list[Question] = []
        self._extra: tuple[Question, Extra] | None = None

    def reads(self) -> Mapping[str, Extra]:
        if self._extra is None or self._extra[0] != self.question:
            look_up = partial(costs.look_up, self.question, self.watching.home)
            every_s = EVERY_S if self.question.is_light else LONG_S
            self._extra = self.question, Extra(read=look_up, every_s=every_s)
        return {READ: self._extra[1]}

    @property
    def costs(self) -> Costs | None:
        """None until what is asked now was read."""
        found = self.store.snapshot.extra.get(READ)
        return found if isinstance(found, Costs) and found.question == self.question else None

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return spent.columns_for(self.question.by, width)

    def head(self, look: Look, width: int, height: int) -> list[str]:
        found = self.costs
        if found is None or not found.rows:
            return []
        if width < DETAIL_ROOM[0] or height < DETAIL_ROOM[1]:
            return spent.small_picture(found, self.measure, width)
        plain = self.watching.ascii_only
        return spent.picture(found, self.measure, width=width, plain=plain)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        found = self.costs
        if found is None:
            return Contents(keys=[], row_at=lambda index: Row(key=""), status="", empty=READING)
        by, keep = self.question.by, self.kept(look)
        rows = [row for row in found.rows if keep(spent.fields_of(row, by))]
        rows.sort(key=lambda row: -costs.measured(row, self.measure))
        plain = self.watching.ascii_only

        def row_at(index: int) -> Row:
            return spent.cost_row(rows[index], columns, found, self.measure, plain=plain)

        return Contents(
            keys=[spent.key_of(row, by) for row in rows],
            row_at=row_at,
            status=spent.summary(found, self.measure),
            empty=NO_COSTS,
            fields=lambda: [spent.fields_of(row, by) for row in found.rows],
            record_at=lambda index: spent.record_of(rows[index], by),
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        row = self._row(key)
        return spent.detail_lines(row, self.costs) if row and self.costs else []

    def do_period(self, key: str) -> None:
        self._ask(replace(self.question, period=after(costs.PERIODS, self.question.period)))

    def do_group(self, key: str) -> None:
        self._ask(replace(self.question, by=after(costs.BY, self.question.by)))

    def do_measure(self, key: str) -> None:
        self.measure = after(costs.MEASURES, self.measure)
        self.show()

    def do_open(self, key: str) -> None:
        if row := self._row(key):
            self._path.append(self.question)
            self._ask(self.question.opened(row))

    def do_back(self, key: str = "") -> None:
        """One step: what the frame closes, then out of the row that was opened."""
        if self.filter_text or self.has_class("detailed") or self.query("#filter"):
            super().do_back(key)
        elif self._path:
            self._ask(self._path.pop())

    def _row(self, key: str) -> Sums | None:
        rows = self.costs.rows if self.costs else ()
        by = self.question.by
        return next((row for row in rows if spent.key_of(row, by) == key), None)

    def _ask(self, question: Question) -> None:
        self.question = question
        self.reads_changed()
        self.show()


def after(choices: Sequence[T], one: T) -> T:
    """The next; the first after the last, and after one that is not among them."""
    at = choices.index(one) + 1 if one in choices else 0
    return choices[at % len(choices)]
