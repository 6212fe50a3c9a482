"""Vectors kept in memory for clients that fetch them as a resource: a bounded number of them."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

KEPT = 32
KEPT_NUMBERS = 8_000_000  # of 8 bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """The vectors of one call, in the order of its texts."""

    provider: str
    model: str
    vectors: tuple["array[float]", ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.vectors))


class Vectors:
    """By call id; the oldest give way to new ones."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def keep(
        self, call_id: str, provider: str, model: str, vectors: Sequence[Sequence[float]]
    ) -> bool:
        """False where there are more numbers than are ever kept."""
        new = Kept(provider, model, tuple(array("d", vector) for vector in vectors))
        if new.size > KEPT_NUMBERS:
            return False
        self.kept[call_id] = new
        while len(self.kept) > KEPT or sum(k.size for k in self.kept.values()) > KEPT_NUMBERS:
            del self.kept[next(iter(self.kept))]
        return True

    def find(self, call_id: str) -> Kept | None:
        return self.kept.get(call_id)
