"""Reads that only one view needs: done while that view is on the screen, and not before.

A view names its own in `READS`; what they found is in `snapshot.extra` under the same names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..server.errors import ConfigError
from ..server.ledger import closeup
from ..server.ledger.driver import Connection
from .clean import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """`read(db, now)` runs in the feed's thread, inside its short transaction; it fetches all it
    wants and may raise what reading the ledger raises, or ConfigError, which is kept as its text
    in an `Unread`. At most every `every_s`; with `unasked` also when the ledger did not change,
    for what is read from files."""

    read: Callable[[Connection, float], object]
    every_s: float = 0.0
    unasked: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """Reading failed: why."""

    why: str


# name -> read; the owners of views add theirs
EXTRAS: dict[str, Extra] = {
    "corrections": Extra(read=lambda db, now: closeup.corrections(db)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was read, when, and at which version of the data."""

    extra: Extra
    at: float
    version: int
    value: object


class Extras:
    """What was read for a view, kept until it is due again or the view asks something else."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    def due(self, wanted: Mapping[str, Extra], now: float, version: int) -> bool:
        """Is anything to be read, also if nothing else is?"""
        return any(self.is_due(name, extra, now, version) for name, extra in wanted.items())

    def is_due(self, name: str, extra: Extra, now: float, version: int) -> bool:
        held = self.held.get(name)
        if held is None or held.extra is not extra:
            return True
        if 0 <= now - held.at < extra.every_s:
            return False
        return extra.unasked or held.version != version

    def read(
        self, db: Connection, wanted: Mapping[str, Extra], now: float, version: int
    ) -> Mapping[str, object]:
        """All that is wanted, read again where it is due."""
        self.held = {
            name: Held(extra=extra, at=now, version=version, value=found(extra, db, now))
            if self.is_due(name, extra, now, version)
            else self.held[name]
            for name, extra in wanted.items()
        }
        return {name: held.value for name, held in self.held.items()}


def found(extra: Extra, db: Connection, now: float) -> object:
    try:
        return extra.read(db, now)
    except ConfigError as error:
        return Unread(clean(str(error)))
