"""What the feed tells the app."""

from dataclasses import dataclass

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


@dataclass
class Copied(Message):
    """What became of a copy, in words. Posted from a thread."""

    said: str
