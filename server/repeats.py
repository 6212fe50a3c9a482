"""Calls a caller marks with an `idempotency_key`: the same key means the same call, made once.

Within the process that made it the answer is shared. Another process is told about the first call:
answers are in no file, so it cannot have the text.
"""

import hashlib
import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from .asks import Ask
from .desk import Client, Desk
from .errors import BadRequest, Declined
from .ledger.driver import Connection
from .money import dollars
from .run import KEYS_S

LONGEST_KEY = 200


class Repeated(Declined):
    """`ended`: how that call ended; None while it runs."""

    code = "already_made"

    def __init__(self, message: str, *, next_step: str, ended: str | None) -> None:
        super().__init__(message, next_step=next_step)
        self.ended = ended


def check(key: str | None) -> str | None:
    if key is not None and not (key.isprintable() and 0 < len(key.strip()) <= LONGEST_KEY):
        raise BadRequest(f"idempotency_key must have 1 to {LONGEST_KEY} printable characters")
    return key


def name_of(key: str, client: Client, project: str) -> str:
    """What the key is kept under: every client and project has keys of its own."""
    return hashlib.sha256("\0".join((client.name, project, key)).encode()).hexdigest()


def fingerprint(ask: Ask, key: str) -> str:
    """Tells two requests apart without giving one away: keyed by what only the caller knows."""
    said = repr((ask.wish, replace(ask, timeout_s=None).call))
    return hmac.new(key.encode(), said.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def claim(
    db: Connection, name: str, print_: str, call_id: str, server: str, now: float
) -> tuple[str, str] | None:
    """The call and its fingerprint that hold the name already; None: it is ours now."""
    db.execute("DELETE FROM idempotency WHERE at < ?", (now - KEYS_S,))
    row = db.execute(
        "SELECT call_id, fingerprint FROM idempotency WHERE key = ?", (name,)
    ).fetchone()
    if row is not None:
        return row[0], row[1]
    db.execute(
        "INSERT INTO idempotency (key, fingerprint, call_id, server, at) VALUES (?, ?, ?, ?, ?)",
        (name, print_, call_id, server, now),
    )
    return None


def let_go(db: Connection, name: str, call_id: str) -> None:
    """The call was not made after all: its client is to ask again."""
    db.execute("DELETE FROM idempotency WHERE key = ? AND call_id = ?", (name, call_id))


@asynccontextmanager
async def claimed(
    desk: Desk, name: str, print_: str, call_id: str
) -> AsyncGenerator[tuple[str, str] | None]:
    """What `claim` finds. Whoever is cancelled meanwhile, or does not begin the call for another
    reason, lets go of the name; that is written after the claim, if the claim is."""
    try:
        yield await desk.ledger.write(claim, name, print_, call_id, desk.server_id, desk.clock())
    except BaseException:
        desk.ledger.write_soon(let_go, name, call_id)
        raise


def made_before(db: Connection, call_id: str) -> tuple[str, int | None] | None:
    """How that call ended and what it cost; None while it runs."""
    row = db.execute("SELECT status, cost_nano FROM calls WHERE call_id = ?", (call_id,)).fetchone()
    return None if row is None else (row[0], row[1])


def another() -> BadRequest:
    return BadRequest(
        "this idempotency_key belongs to another request",
        next_step="Take a new key for a new request.",
    )


def refusal(call_id: str, ended: tuple[str, int | None] | None) -> Repeated:
    """What another process is told."""
    if ended is None:
        how = "still runs"
    else:
        status, cost = ended
        how = f"ended as {status}, {'cost unknown' if cost is None else dollars(cost)}"
    return Repeated(
        f"another process made this call already: {call_id} {how}",
        next_step="Its answer is in that process alone; take a new key to ask again.",
        ended=None if ended is None else ended[0],
    )
