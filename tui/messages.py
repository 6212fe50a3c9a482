"""What the feed tells the app."""

from dataclasses import dataclass

from textual.message import Message

from .reader import Batch


@dataclass
class LedgerRead(Message):
    """A look at the ledger found something new. Posted from the feed's thread."""

    batch: Batch
