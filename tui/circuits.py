"""View 3: which models are usable now, since when, what happens next, and doing it by hand."""

import os
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from . import acting, breakers, circuit, circuit_orders
from .actions import Action
from .asking import ask, fill
from .breakers import Circuit
from .circuit_orders import Act, Order
from .configured import Configured, reading
from .dialogs import Values
from .extra import Extra
from .figures import count_of
from .holders import HOLDERS, Holders
from .rows import Column, Look, Row
from .view import Contents, View

NO_CIRCUITS = """
  No circuit yet.

  There is one per provider and model, from its first call on. It opens after five failures in a
  row (two for local programs), calls then skip it, and one probe decides when it closes.
"""


def steering(name: Act, key: str, title: str, word: str) -> Action:
    return Action(name=name, key=key, title=title, word=word, needs_row=True, steers=True)


class CircuitsView(View):
    NAME = "circuits"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        steering("reset", "r", "Reset the circuit", "reset"),
        steering("trip", "t", "Trip the circuit", "trip"),
        steering("hold", "h", "Hold the circuit", "hold"),
        steering("unhold", "u", "Lift the hold", "lift"),
        steering("probe", "p", "Let the next call probe it", "probe"),
        Action(name="other", key="n", title="Name any circuit", word="name", steers=True),
    )

    _reading: Extra | None = None

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return breakers.columns_for(width)

    def reads(self) -> Mapping[str, Extra]:
        if self._reading is None:
            self._reading = reading(self.watching.home, os.environ)
        return {"holders": HOLDERS, "file": self._reading}

    @property
    def holders(self) -> Holders:
        found = self.store.snapshot.extra.get("holders")
        return found if isinstance(found, Holders) else breakers.NOBODY

    def circuits(self, look: Look) -> list[Circuit]:
        file = self.store.snapshot.extra.get("file")
        models = file.models if isinstance(file, Configured) else None
        return breakers.circuits(self.store, look, models)

    def circuit(self, key: str) -> Circuit | None:
        found = self.circuits(self.watching.look())
        return next((one for one in found if one.name == key), None)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        keep, known = self.kept(look), self.circuits(look)
        seen = [one for one in known if keep(breakers.fields_of(one, look.now))]

        def row_at(index: int) -> Row:
            return breakers.circuit_row(seen[index], columns, look, self.holders)

        return Contents(
            keys=[one.name for one in seen],
            row_at=row_at,
            status=f"{count_of(len(seen), 'circuit')}, shared by all servers",
            empty=NO_CIRCUITS,
            fields=lambda: (breakers.fields_of(one, look.now) for one in known),
            record_at=lambda index: breakers.record_of(seen[index], look.now),
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        for one in self.circuits(look):
            if one.name == key:
                return circuit.detail_lines(one, self.store, self.holders, look, width)
        return ["this circuit is gone"]

    def do_trip(self, key: str) -> None:
        self._confirmed("trip", key)

    def do_reset(self, key: str) -> None:
        self._confirmed("reset", key)

    def do_unhold(self, key: str) -> None:
        self._confirmed("unhold", key)

    def do_probe(self, key: str) -> None:
        self._confirmed("probe", key)

    def do_hold(self, key: str) -> None:
        if order := self._order("hold", key):
            fill(self, circuit_orders.holding(order.name), partial(self._hold, order))

    def _hold(self, order: Order, values: Values) -> None:
        self._carry_out(circuit_orders.held(order, values))

    def do_other(self, key: str) -> None:
        names = [one.name for one in self.circuits(self.watching.look())]
        fill(self, circuit_orders.naming(names), self._named)

    def _named(self, values: Values) -> None:
        self._carry_out(circuit_orders.named_order(values))

    def _confirmed(self, act: Act, key: str) -> None:
        if order := self._order(act, key):
            ask(self, circuit_orders.question(order), partial(self._carry_out, order))

    def _order(self, act: Act, key: str) -> Order | None:
        """What is undone is what keeps calls away, which may be the circuit of the provider."""
        one = self.circuit(key)
        if one is None:
            return None
        row = breakers.ruling(one, self.watching.look().now)
        model = one.model
        if row is not None and act not in ("trip", "hold"):
            model = row.model
        return Order(act=act, provider=one.provider, model=model)

    def _carry_out(self, order: Order) -> None:
        acting.act(self.watching, order.kind, order.argument(), what=order.words)
