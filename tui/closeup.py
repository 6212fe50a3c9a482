"""One call looked at closely, as frozen data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..server.ledger import closeup
from ..server.ledger.closeup import Corrected, Host, Tried
from ..server.ledger.driver import Connection
from .clean import clean_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One call looked at closely. `why` is the decoded routing decision, None if there is none;
    `host` the server process it runs in, if that is known; `budgets` those it holds money in."""

    call_id: str
    attempts: tuple[Tried, ...] = ()
    why: Any = None
    corrected: tuple[Corrected, ...] = ()
    host: Host | None = None
    budgets: tuple[str, ...] = ()


def look_closely(db: Connection, call_id: str) -> Detail:
    raw = closeup.decision(db, call_id)
    return Detail(
        call_id=call_id,
        attempts=tuple(closeup.attempts(db, call_id)),
        why=clean_json(raw) if raw else None,
        corrected=tuple(closeup.corrected(db, call_id)),
        host=closeup.host(db, call_id),
        budgets=tuple(closeup.budgets(db, call_id)),
    )


def correction_of(corrected: Sequence[Corrected], attempt: int) -> int | None:
    """By how much an attempt's cost was corrected, in nano-dollars; None: it was not."""
    found = [each.delta_nano for each in corrected if each.attempt == attempt]
    return sum(found) if found else None
