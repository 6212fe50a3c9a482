"""What the dead leave behind: money they held is presumed spent, their calls are lost."""

from dataclasses import dataclass
from pathlib import Path

from ..money import weakest
from .driver import Connection
from .owners import alive
from .records import AttemptRow, CallRow, InflightRow, columns, finish
from .reservations import presume

LEASE_GRACE_S = 3600.0
READ_INFLIGHT = f"SELECT {', '.join(columns(InflightRow))} FROM inflight WHERE owner = ?"
READ_ATTEMPTS = (
    f"SELECT {', '.join(columns(AttemptRow))} FROM attempts WHERE call_id = ? ORDER BY n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presumed:
    """A reservation of a dead owner, now counted as spent in full."""

    reservation: str
    call_id: str
    owner: str
    amount_nano: int


def dead_owners(db: Connection, run_dir: Path, own_owner: str) -> list[str]:
    """Owners with anything open who live no more."""
    owners = db.execute(
        "SELECT owner FROM reservations WHERE state = 'held' UNION SELECT owner FROM inflight"
        " UNION SELECT owner FROM servers WHERE ended IS NULL"
    ).fetchall()
    return [owner for (owner,) in owners if owner != own_owner and not alive(run_dir, owner)]


def reap(db: Connection, run_dir: Path, own_owner: str, now: float) -> list[Presumed]:
    """Close everything dead owners left open, inside the caller's transaction. As a backstop also
    reservations whose lease ended long ago, whoever holds them, unless their call still runs: then
    the clock has stepped."""
    presumed: list[Presumed] = []
    for owner in dead_owners(db, run_dir, own_owner):
        held = db.execute(
            "SELECT id, call_id FROM reservations WHERE state = 'held' AND owner = ?", (owner,)
        ).fetchall()
        presumed += presume_all(db, held, owner=owner, by=own_owner, now=now)
        names = columns(InflightRow)
        for values in db.execute(READ_INFLIGHT, (owner,)).fetchall():
            lose(db, InflightRow(**dict(zip(names, values, strict=True))), now)
        db.execute(
            "UPDATE servers SET ended = ?, reaped_by = ? WHERE owner = ? AND ended IS NULL",
            (now, own_owner, owner),
        )
    overdue = db.execute(
        "SELECT id, call_id FROM reservations WHERE state = 'held' AND lease_until < ?"
        " AND call_id NOT IN (SELECT call_id FROM inflight)",
        (now - LEASE_GRACE_S,),
    ).fetchall()
    return presumed + presume_all(db, overdue, owner=own_owner, by=own_owner, now=now)


def presume_all(
    db: Connection, held: list[tuple[str, str]], *, owner: str, by: str, now: float
) -> list[Presumed]:
    closed = [(each, call_id, presume(db, each, now, by=by)) for each, call_id in held]
    return [
        Presumed(reservation=each, call_id=call_id, owner=owner, amount_nano=amount)
        for each, call_id, amount in closed
        if amount is not None
    ]


def lose(db: Connection, running: InflightRow, now: float) -> None:
    """End a call whose server died: its attempts as far as known, and the call as `lost`."""
    names = columns(AttemptRow)
    attempts = [
        AttemptRow(**dict(zip(names, values, strict=True)))
        for values in db.execute(READ_ATTEMPTS, (running.call_id,)).fetchall()
    ]
    attempts += cut_off(db, running, {attempt.n for attempt in attempts}, now)
    costs = [attempt.cost_nano for attempt in attempts if attempt.cost_nano is not None]
    call = CallRow(
        call_id=running.call_id,
        tool=running.tool,
        server=running.server,
        client=running.client,
        project=running.project,
        task=running.task,
        strategy=running.strategy,
        privacy=running.privacy,
        provider=running.provider,
        model=running.model,
        status="lost",
        error_kind="lost",
        error=f"Its server{process(db, running.server)} ended before the call did.",
        attempts=len(attempts),
        started=running.started,
        first_token_at=running.first_token_at,
        ended=now,
        input_tokens=running.input_tokens,
        output_tokens=running.output_tokens or None,
        usage_estimated=True,
        cost_nano=sum(costs) if costs else None,
        cost_kind=weakest([attempt.cost_kind for attempt in attempts]),
        trail=running.trail,
    )
    finish(db, call, attempts)


def process(db: Connection, server: str) -> str:
    """` (pid 7990)`, of a server that is known."""
    row = db.execute("SELECT pid FROM servers WHERE id = ?", (server,)).fetchone()
    return f" (pid {row[0]})" if row else ""


def cut_off(db: Connection, running: InflightRow, known: set[int], now: float) -> list[AttemptRow]:
    """The attempts that were under way: one per reservation, or the one in flight without one."""
    reserved = db.execute(
        "SELECT attempt, provider, model, created, amount_nano, cost_nano FROM reservations"
        " WHERE call_id = ? AND state = 'presumed' ORDER BY attempt",
        (running.call_id,),
    ).fetchall()
    rows = [
        AttemptRow(
            call_id=running.call_id,
            n=n,
            provider=provider or running.provider or "",
            model=model or running.model or "",
            started=created,
            ended=now,
            outcome="lost",
            reserved_nano=amount,
            cost_nano=cost,
            cost_kind="presumed",
        )
        for n, provider, model, created, amount, cost in reserved
        if n not in known
    ]
    if running.attempt and running.attempt not in known | {row.n for row in rows}:
        rows.append(
            AttemptRow(
                call_id=running.call_id,
                n=running.attempt,
                provider=running.provider or "",
                model=running.model or "",
                started=running.attempt_started or running.started,
                ended=now,
                outcome="lost",
                cost_kind="unknown",
            )
        )
    return rows
