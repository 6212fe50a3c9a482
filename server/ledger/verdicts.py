"""The user's word on a call that asks to exceed a budget: given once, told in one sentence."""

import getpass
from collections.abc import Callable
from typing import Protocol

from ..errors import NotFound
from ..money import dollars
from . import approval_rows
from .approval_rows import Approval
from .driver import Connection


class Write(Protocol):
    """Some way to run a change of the ledger in a transaction."""

    def __call__(self, change: Callable[[Connection], Approval | None], /) -> Approval | None: ...


def answered(write: Write, number: int, *, approved: bool, now: float) -> Approval:
    """Raises NotFound for a question that is not open, and whatever `write` raises."""
    by = who()

    def change(db: Connection) -> Approval | None:
        return approval_rows.answer(db, number, approved=approved, by=by, now=now)

    found = write(change)
    if found is None:
        raise NotFound(
            f"no call asks for approval as {number}", next_step="`roundhouse approve` lists them."
        )
    return found


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "the command line"


def outcome(found: Approval, now: float) -> str:
    """Names come from strangers: whoever prints this cleans it."""
    name = f"{found.provider}/{found.model}"
    if found.is_first_use:
        verb = "Denied" if found.state == "denied" else "Approved"
        return f"{verb} {found.id}: {found.provider} for the project {found.project}, for good."
    said = f"{found.id}: {name} for {found.client}, up to {dollars(found.amount_nano)}"
    if found.state == "denied":
        return f"Denied {said}."
    if found.waits_until > now:
        return f"Approved {said}. The call goes on."
    return f"Approved {said}. The call gave up; it is good for 10 minutes when asked again."
