"""View 3: which models are usable now, since when, and what happens next."""

from . import breakers
from .figures import count_of
from .rows import Column, Look, Row
from .sieve import sieve
from .view import Contents, View

NO_CIRCUITS = """
  No circuit yet.

  There is one per provider and model, from its first call on. It opens after five failures in a
  row (two for local programs), calls then skip it, and one probe decides when it closes.
"""


class CircuitsView(View):
    NAME = "circuits"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return breakers.columns_for(width)

    def contents(self, columns: tuple[Column, ...], look: Look) -> Contents:
        keep = sieve(self.filter_text)
        seen = [c for c in breakers.circuits(self.store, look) if keep(breakers.fields_of(c))]

        def row_at(index: int) -> Row:
            return breakers.circuit_row(seen[index], columns, look)

        return Contents(
            keys=[circuit.name for circuit in seen],
            row_at=row_at,
            status=f"{count_of(len(seen), 'circuit')}, shared by all servers",
            empty=NO_CIRCUITS,
        )

    def detail(self, key: str, look: Look, width: int) -> list[str]:
        for circuit in breakers.circuits(self.store, look):
            if circuit.name == key:
                return breakers.detail_lines(circuit, self.store, look)
        return ["this circuit is gone"]
