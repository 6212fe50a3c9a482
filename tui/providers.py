"""View 4: the providers, as the configuration and the running servers see them."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from ..server.errors import ConfigError
from ..server.home import Home
from . import service_forms, service_rows, what_if
from .acting import Outcome, act
from .actions import Action
from .asking import ask, beside, fill
from .clean import clean
from .dialogs import Confirm, Form, Values
from .extra import Extra
from .rows import Column, Look, Row
from .service_actions import ACTIONS, EDITS
from .service_rows import fields_of, record_of
from .service_sheet import detail_lines, tester
from .services import Panorama, look_around
from .view import Contents, View

TEST_S = 32.0  # a server gives up after 30
TAKEN_UP = "running servers take it up by themselves"
NOTHING = """
  No server has told of its providers yet.

  The next server tells of them: start an editor, or

    roundhouse serve

  a adds a provider and its key now. Without a server:

    roundhouse providers list
"""


class ProvidersView(View):
    NAME = "providers"
    DETAILS = ("detail", "what-if")
    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS

    def __init__(self) -> None:
        super().__init__()
        self.question: Values | None = None
        self.plan: Mapping[str, Any] | None = None
        self._read: dict[str, Extra] = {}

    @property
    def home(self) -> Home:
        return Home(self.watching.home)

    def reads(self) -> Mapping[str, Extra]:
        """Also once a second when nothing is written: the file may be edited meanwhile."""
        if not self._read:
            read = partial(look_around, self.home)
            self._read = {self.NAME: Extra(read=read, every_s=0.5, unasked=True)}
        return self._read

    def panorama(self) -> Panorama:
        found = self.store.snapshot.extra.get(self.NAME)
        return found if isinstance(found, Panorama) else Panorama()

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return service_rows.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        keep, panorama = self.kept(look), self.panorama()
        circuits = service_rows.worst(self.store, look)
        kept = [service for service in panorama.configured if keep(fields_of(service))]
        notes = [] if self.filter_text else service_rows.notes(panorama)
        rules = [f"\n{n}" for n in range(len(notes))]

        def row_at(index: int) -> Row:
            if index >= len(kept):
                return Row(key=rules[index - len(kept)], rule=notes[index - len(kept)])
            return service_rows.service_row(kept[index], circuits, columns, look)

        return Contents(
            keys=[*(service.name for service in kept), *rules],
            row_at=row_at,
            status=service_rows.summary(panorama, self.size.width),
            empty=NOTHING,
            rules=frozenset(rules),
            fields=lambda: map(fields_of, panorama.configured),
            record_at=lambda index: record_of(kept[index]),
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        if self.which == "what-if":
            return what_if.lines(self.question, self.plan, width)
        panorama = self.panorama()
        service = panorama.named(key)
        if service is None:
            return ["this provider is gone"]
        return detail_lines(service, panorama, self.store, look, width)

    def may(self, action: Action, key: str) -> str:
        """The user's own files can be edited whatever is with the ledger."""
        if action.name in EDITS and not self.watching.read_only:
            return "nothing is selected" if action.needs_row and not key else ""
        if refusal := super().may(action, key):
            return refusal
        if action.name == "unload" and not self._loaded(key):
            return f"{key} has no model in memory that a server knows of"
        return ""

    def _loaded(self, key: str) -> bool:
        service = self.panorama().named(key)
        return service is not None and bool(service.facts.loaded)

    def do_toggle(self, key: str) -> None:
        service = self.panorama().named(key)
        if service is not None:
            on = not service.said.enabled
            self._change(key, {"enabled": on}, f"{key} is {'on' if on else 'off'}")

    def do_earlier(self, key: str) -> None:
        self._step(key, -1)

    def do_later(self, key: str) -> None:
        self._step(key, 1)

    def _step(self, key: str, by: int) -> None:
        panorama = self.panorama()
        service = panorama.named(key)
        if service is None:
            return
        after = service_forms.stepped(service, panorama.configured, by)
        if after is None:
            self.watching.say(f"{key} is {'first' if by < 0 else 'last'} already")
            return
        self._change(key, {"priority": after}, f"{key} has priority {after}")

    def _change(self, name: str, values: Mapping[str, Any], said: str) -> None:
        change = partial(service_forms.change, self.home, os.environ, name, values)
        beside(self, change, partial(self._changed, said))

    def _changed(self, said: str, wrong: str) -> None:
        if wrong:
            self.watching.say(wrong, "warning")
        else:
            self.watching.say(f"{said} in {self.home.config.name}: {TAKEN_UP}")

    def do_edit(self, key: str) -> None:
        try:
            form = service_forms.edit_form(self.home, os.environ, key)
        except (ConfigError, OSError) as error:
            self.watching.say(clean(str(error)), "warning")
            return
        self._ask(form, f"{key} is changed in {self.home.config.name}: {TAKEN_UP}")

    def do_add(self, key: str) -> None:
        form = service_forms.add_form(self.home, os.environ, self.panorama().others)
        self._ask(form, f"added to {self.home.config.name}: {TAKEN_UP}")

    def do_multiplier(self, key: str) -> None:
        service = self.panorama().named(key)
        if service is not None:
            form = service_forms.multiplier_form(self.home, os.environ, service)
            self._ask(form, f"the cost of {key} is changed in {self.home.config.name}")

    def do_key(self, key: str) -> None:
        form = service_forms.key_form(self.home, os.environ, key)
        self._ask(form, f"the key of {key} is in {self.home.keys.name}: {TAKEN_UP}")

    def _ask(self, form: Form, said: str) -> None:
        fill(self, form, lambda values: self.watching.say(said))

    def do_remove(self, key: str) -> None:
        question = Confirm(
            f"Remove {key} from {self.home.config.name}?",
            more=["One of ours goes back to its defaults; a key in keys.toml stays."],
            yes="Remove",
        )
        remove = partial(service_forms.remove, self.home, os.environ, key)
        ask(
            self,
            question,
            lambda: beside(self, remove, partial(self._changed, f"{key} is removed")),
        )

    def do_test(self, key: str) -> None:
        self._test(key, call=False)

    def do_test_call(self, key: str) -> None:
        question = Confirm(
            f"Ask {key} for one token?",
            more=["It counts like every call: budgets, circuits and costs."],
            yes="Ask",
        )

        ask(self, question, lambda: self._test(key, call=True))

    def _test(self, key: str, *, call: bool) -> None:
        panorama = self.panorama()
        service = panorama.named(key)
        server = tester(service, panorama) if service is not None else None
        where = f" in server {server.pid}" if server is not None else ""
        argument: dict[str, Any] = {"provider": key, **({"call": True} if call else {})}
        self._order("provider.test", argument, server.id if server else None, f"test {key}{where}")

    def do_unload(self, key: str) -> None:
        service = self.panorama().named(key)
        if service is None or not service.facts.loaded:
            return
        held = [server.id for server, report in service.seen if report is service.said]

        def unload(values: Values) -> None:
            argument = {"provider": key, "model": values["model"]}
            force = {"force": True} if values["force"] == "yes" else {}
            what = f"unload {key}/{values['model']}"
            self._order("provider.unload", argument | force, held[0], what)

        fill(self, service_forms.unload_form(service), unload)

    def do_what_if(self, key: str) -> None:
        form = Form(
            "Where would a call go?", what_if.fields(self.question or {}), done="Ask a server"
        )
        fill(self, form, self._wondered)

    def _wondered(self, values: Values) -> None:
        def answered(outcome: Outcome) -> None:
            if outcome.state == "done":
                self.question, self.plan = values, outcome.data
                self.which = "what-if"
                self._detailed(True)

        self._order("route", what_if.argument(values), None, "what-if", answered)

    def _order(
        self,
        kind: str,
        argument: Mapping[str, Any],
        target: str | None,
        what: str,
        then: Callable[[Outcome], None] | None = None,
    ) -> None:
        act(self.watching, kind, argument, target, what=what, then=then, answer_s=TEST_S)
