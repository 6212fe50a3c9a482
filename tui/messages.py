"""What threads tell the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from textual.message import Message

from .reader import Batch
from .search import Found


@dataclass
class LedgerRead(Message):
    """A look at the ledger found something new. Posted from the feed's thread."""

    batch: Batch


@dataclass
class Searched(Message):
    """A search has found more, or is at its end. Posted from its thread."""

    found: Found


State = Literal["done", "failed", "no answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request. `said` is one clean sentence, `data` all a server answered."""

    state: State
    said: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


Then = Callable[[Outcome], None]


@dataclass
class Acted(Message):
    """A request ended. Posted from its thread; `number` is the app's own."""

    number: int
    what: str
    outcome: Outcome
    then: Then | None = None


@dataclass
class Copied(Message):
    """What became of a copy, in words. Posted from a thread."""

    said: str
