"""View 2: every budget in its open window, most urgent first, and the calls that ask for more."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import ClassVar

from ..server.ledger.approval_rows import Approval
from ..server.ledger.watch import Spending
from . import budget, budget_forms, limits, questions, spending
from .actions import Action
from .asking import ask, beside, fill
from .budget import MONEY, WEEK, Money, Week
from .configured import Configured, reading
from .dialogs import Confirm, Values
from .extra import Extra
from .figures import count_of, money
from .holders import HOLDERS, Holders
from .rows import Column, Look, Row
from .view import Contents, View

RULE = "\nbudgets"
UNKNOWN = Configured(models={}, problem="not read yet")


class BudgetsView(View):
    NAME = "budgets"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action(name="add", key="a", title="Add a budget", word="add", steers=True),
        Action(
            name="edit", key="E", title="Change a budget", word="edit", needs_row=True, steers=True
        ),
        Action(
            name="remove",
            key="X",
            title="Remove a budget",
            word="remove",
            needs_row=True,
            steers=True,
        ),
        Action(
            name="approve",
            key="A",
            title="Approve a call",
            needs_row=True,
            steers=True,
        ),
        Action(
            name="deny",
            key="D",
            title="Deny a call",
            needs_row=True,
            steers=True,
        ),
    )

    _reading: Extra | None = None

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return spending.columns_for(width)

    def reads(self) -> Mapping[str, Extra]:
        if self._reading is None:
            self._reading = reading(self.watching.home, os.environ)
        return {"money": MONEY, "week": WEEK, "holders": HOLDERS, "file": self._reading}

    @property
    def money(self) -> Money:
        found = self.store.snapshot.extra.get("money")
        return found if isinstance(found, Money) else Money()

    @property
    def week(self) -> Week:
        found = self.store.snapshot.extra.get("week")
        return found if isinstance(found, Week) else Week()

    @property
    def holders(self) -> Holders:
        found = self.store.snapshot.extra.get("holders")
        return found if isinstance(found, Holders) else Holders({})

    @property
    def file(self) -> Configured:
        found = self.store.snapshot.extra.get("file")
        return found if isinstance(found, Configured) else UNKNOWN

    def spendings(self, look: Look) -> list[Spending]:
        return limits.merged(self.store.snapshot.spendings, self.file, look.now)

    def asked(self, key: str, look: Look) -> Approval | None:
        """The open question a row is about."""
        number = questions.number_of(key)
        waiting = questions.open_ones(self.money.questions, look.now)
        return next((one for one in waiting if one.id == number), None)

    def head(self, look: Look, width: int, height: int) -> list[str]:
        problem = self.file.problem
        if self.file is UNKNOWN or not problem:
            return []
        return [f" ! {problem} · shown is what the servers last used"]

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        keep = self.kept(look)
        waiting = questions.open_ones(self.money.questions, look.now)
        waiting = [one for one in waiting if keep(questions.fields_of(one))]
        known = self.spendings(look)
        urgent = spending.by_urgency(self.store.snapshot, look.now, known)
        seen = [pair for pair in urgent if keep(spending.fields_of(pair[0]))]
        records: list[Mapping[str, object]] = [questions.record_of(one) for one in waiting]
        rows: list[Callable[[], Row]] = [
            partial(questions.question_row, one, columns, look) for one in waiting
        ]
        keys = [questions.key_of(one) for one in waiting]
        if waiting and seen:
            rows.append(partial(Row, key=RULE, rule="budgets"))
            keys.append(RULE)
            records.append({})
        rows += [partial(spending.spending_row, *pair, columns, look) for pair in seen]
        records += [asdict(one) for one, _ in seen]
        return Contents(
            keys=keys + [one.budget for one, _ in seen],
            row_at=lambda index: rows[index](),
            status=questions.summary(len(waiting)) + spending.summary(seen),
            empty=self.nothing(),
            rules=frozenset([RULE]),
            fields=lambda: map(spending.fields_of, known),
            record_at=lambda index: records[index],
        )

    def nothing(self) -> str:
        """Without a budget: what one would be good for, judged by the last days."""
        said = "\n  No budget: nothing is limited.\n\n"
        found = budget.suggestion(self.week)
        if found is None:
            return f"{said}  a adds one. Nothing was spent in the last 7 days to judge it by."
        day, nano = found
        return (
            f"{said}  The dearest of the last 7 days cost {money(day.cost_nano)}"
            f" ({count_of(day.calls, 'call')}).\n"
            f"  a adds a budget; a suggestion: {budget_forms.dollars_of(nano)} a day."
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        if asked := self.asked(key, look):
            return questions.detail_lines(asked, look)
        for one in self.spendings(look):
            if one.budget == key:
                return budget.detail_lines(
                    one, self.store.snapshot, self.money, self.week, self.holders, look, width
                )
        if questions.number_of(key) is not None:
            return ["this question was answered, or its time is over"]
        return ["this budget has no open window"]

    def may(self, action: Action, key: str) -> str:
        if refusal := super().may(action, key):
            return refusal
        question = questions.number_of(key) is not None
        if action.name in ("approve", "deny") and not question:
            return "no call asks in this row"
        if action.name in ("edit", "remove"):
            if question:
                return "this row is a question; A approves, D denies"
            if self.file.problem:
                return "config.toml has not been understood"
            if self.file.budget(key) is None:
                return "it is not in config.toml"
        return ""

    def do_add(self, key: str) -> None:
        found = budget.suggestion(self.week)
        nano = found[1] if found is not None and not self.file.budgets else None
        fill(self, budget_forms.adding(self.watching.home, self.file, nano), self._added)

    def _added(self, values: Values) -> None:
        self._tell((True, f"added the budget {values['scope']}/{values['period']}"))

    def do_edit(self, key: str) -> None:
        if known := self.file.budget(key):
            form = budget_forms.changing(self.watching.home, known)
            fill(self, form, lambda values: self._tell((True, f"the budget {key} is changed")))

    def do_remove(self, key: str) -> None:
        if known := self.file.budget(key):
            more = ["It goes from config.toml; no call is limited by it any more."]
            question = Confirm(f"Remove the budget {key}?", more=more, yes="Remove")
            work = partial(budget_forms.removed, self.watching.home, known)
            ask(self, question, partial(beside, self, work, self._tell))

    def do_approve(self, key: str) -> None:
        self._answer(key, approved=True)

    def do_deny(self, key: str) -> None:
        self._answer(key, approved=False)

    def _answer(self, key: str, *, approved: bool) -> None:
        asked = self.asked(key, self.watching.look())
        if asked is None:
            self._tell((False, "it was answered already, or its time is over"))
            return
        verb = "Approve" if approved else "Deny"
        over = [] if asked.is_first_use else [f"It exceeds the budget {asked.budget}."]
        more = [f"{questions.sentence(asked)}.", *over]
        question = Confirm(f"{verb} what the call asks?", more=more, yes=verb)

        def work() -> budget_forms.Done:
            now = self.watching.look().now
            return budget_forms.answered(self.watching.home, asked.id, approved=approved, now=now)

        ask(self, question, partial(beside, self, work, self._tell))

    def _tell(self, outcome: budget_forms.Done) -> None:
        done, said = outcome
        self._reading = None
        self.reads_changed()
        self.watching.say(said, "information" if done else "error")
