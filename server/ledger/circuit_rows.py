"""Circuits as rows every process shares. Each writing function runs inside the caller's
transaction: it reads the row, applies the pure transition, writes what changed and an event."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter

from .. import circuits
from ..circuits import Circuit, Key, Kind, Policy
from .driver import Connection

COLUMNS = tuple(field.name for field in fields(Circuit))
values = attrgetter(*COLUMNS)
READ = f"SELECT {', '.join(COLUMNS)} FROM circuits"
WRITE = (
    f"INSERT OR REPLACE INTO circuits ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join('?' * len(COLUMNS))})"
)


def load(db: Connection) -> dict[Key, Circuit]:
    """All circuits; one that is missing is closed, with epoch 0."""
    found = [Circuit(**dict(zip(COLUMNS, row, strict=True))) for row in db.execute(READ).fetchall()]
    return {circuit.key: circuit for circuit in found}


def any_of(db: Connection, provider: str) -> bool:
    """Has anything ever gone wrong at this provider? Without a row all its circuits are closed,
    which is how nearly every call finds them."""
    query = "SELECT EXISTS (SELECT 1 FROM circuits WHERE provider = ?)"
    return bool(db.execute(query, (provider,)).fetchone()[0])


def models_used(db: Connection, provider: str) -> set[str]:
    """The provider's models that calls went to."""
    query = "SELECT DISTINCT model FROM usage_hour WHERE provider = ?"
    return {model for (model,) in db.execute(query, (provider,)).fetchall() if model}


def find(db: Connection, key: Key) -> Circuit:
    row = db.execute(f"{READ} WHERE provider = ? AND model = ?", key).fetchone()
    if row is None:
        return Circuit(provider=key[0], model=key[1])
    return Circuit(**dict(zip(COLUMNS, row, strict=True)))


def take_probe(
    db: Connection, key: Key, *, owner: str, lease_until: float, epoch: int, now: float
) -> int | None:
    """Become the one prober, if nobody was faster since `epoch` was read. The new epoch, under
    which the probe's result counts; None: another process is."""
    circuit = find(db, key)
    if circuit.epoch != epoch or circuit.state == "closed":
        return None
    after = circuits.probing(circuit, now, owner=owner, lease_until=lease_until)
    write(db, circuit, after, now, why="probe", by=owner)
    return after.epoch


def take_probes(
    db: Connection,
    wanted: Sequence[tuple[Key, int]],
    *,
    owner: str,
    lease_until: float,
    now: float,
) -> dict[Key, int] | None:
    """All the probes, given as (key, epoch read), or none of them; the new epochs."""
    if any(find(db, key).epoch != epoch for key, epoch in wanted):
        return None
    won = {
        key: take_probe(db, key, owner=owner, lease_until=lease_until, epoch=epoch, now=now)
        for key, epoch in wanted
    }
    return {key: epoch for key, epoch in won.items() if epoch is not None}


def record_success(db: Connection, key: Key, *, epoch: int, now: float, by: str) -> bool:
    """Whether anything had to be written: on the happy path this is one read. When a model last
    answered is in `attempts`; `last_ok_at` is only kept where the row is written anyway."""
    return change(db, key, lambda c: circuits.succeeded(c, epoch, now), now, why="success", by=by)


def record_failure(
    db: Connection,
    key: Key,
    *,
    epoch: int,
    now: float,
    error: str,
    policy: Policy,
    jitter: float,
    by: str,
) -> bool:
    """`error` is the kind of error as a word; `jitter` a draw in [0, 1)."""

    def transition(circuit: Circuit) -> Circuit:
        return circuits.failed(circuit, epoch, now, policy=policy, jitter=jitter, error=error)

    return change(db, key, transition, now, why=error, by=by)


def record_cooldown(
    db: Connection, key: Key, *, epoch: int, now: float, until: float | None, error: str, by: str
) -> bool:
    def transition(circuit: Circuit) -> Circuit:
        return circuits.cooled(circuit, epoch, now, until=until, error=error)

    return change(db, key, transition, now, why=error, by=by)


def record_hold(
    db: Connection,
    key: Key,
    *,
    epoch: int,
    now: float,
    reason: str,
    error: str,
    by: str,
    until: float | None = None,
    mark: str | None = None,
) -> bool:
    def transition(circuit: Circuit) -> Circuit:
        return circuits.held(
            circuit, epoch, now, reason=reason, by=by, until=until, error=error, mark=mark
        )

    return change(db, key, transition, now, why=error or reason, by=by)


def record_neutral(db: Connection, key: Key, *, epoch: int, now: float, by: str) -> bool:
    """A result that says nothing: only a probe notices."""
    return change(
        db, key, lambda c: circuits.neutral_probe(c, epoch, now), now, why="no verdict", by=by
    )


def record(
    db: Connection,
    key: Key,
    kind: Kind,
    *,
    epoch: int,
    now: float,
    by: str,
    policy: Policy,
    jitter: float,
    error: str = "",
    until: float | None = None,
    hold: str | None = None,
    mark: str | None = None,
) -> bool:
    """Whichever of the above `kind` names."""
    match kind:
        case "success":
            return record_success(db, key, epoch=epoch, now=now, by=by)
        case "failure":
            return record_failure(
                db, key, epoch=epoch, now=now, error=error, policy=policy, jitter=jitter, by=by
            )
        case "cooldown":
            return record_cooldown(db, key, epoch=epoch, now=now, until=until, error=error, by=by)
        case "hold":
            reason = hold or "config"
            return record_hold(
                db,
                key,
                epoch=epoch,
                now=now,
                reason=reason,
                error=error,
                by=by,
                until=until,
                mark=mark,
            )
        case "neutral":
            return record_neutral(db, key, epoch=epoch, now=now, by=by)


# By hand.


def trip(db: Connection, key: Key, *, now: float, by: str, policy: Policy, jitter: float) -> bool:
    def transition(circuit: Circuit) -> Circuit:
        return circuits.tripped(circuit, now, policy=policy, jitter=jitter)

    return change(db, key, transition, now, why=circuits.TRIPPED, by=by)


def reset(db: Connection, key: Key, *, now: float, by: str) -> bool:
    return change(db, key, lambda c: circuits.reset(c, now), now, why="reset by hand", by=by)


def hold(
    db: Connection,
    key: Key,
    *,
    now: float,
    by: str,
    until: float | None = None,
    note: str | None = None,
) -> bool:
    def transition(circuit: Circuit) -> Circuit:
        return circuits.held(
            circuit, circuit.epoch, now, reason="manual", by=by, until=until, note=note
        )

    return change(db, key, transition, now, why=note or "manual", by=by)


def make_due(db: Connection, key: Key, *, now: float, by: str) -> bool:
    """The state stays open, so no event is written: the probe will be one."""
    return change(db, key, lambda c: circuits.due(c, now), now, why="probe asked for", by=by)


def unhold(db: Connection, key: Key, *, now: float, by: str, why: str = "lifted by hand") -> bool:
    return change(db, key, lambda c: circuits.lifted(c, now), now, why=why, by=by)


def change(
    db: Connection,
    key: Key,
    transition: Callable[[Circuit], Circuit],
    now: float,
    *,
    why: str,
    by: str,
) -> bool:
    circuit = find(db, key)
    after = transition(circuit)
    if after == circuit:
        return False
    write(db, circuit, after, now, why=why, by=by)
    return True


def write(
    db: Connection, circuit: Circuit, after: Circuit, now: float, *, why: str, by: str
) -> None:
    db.execute(WRITE, values(after))
    was, is_now = shown(circuit, now), shown(after, now)
    if was == is_now:  # under a hold or cooldown the state may still change
        was, is_now = circuit.state, after.state
    if was != is_now:
        db.execute(
            "INSERT INTO circuit_events (at, provider, model, from_state, to_state, why, epoch, by)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (now, after.provider, after.model, was, is_now, why, after.epoch, by),
        )


def shown(circuit: Circuit, now: float) -> str:
    """The state in one word, as people see it."""
    if circuit.is_held(now):
        return "hold"
    return "cooldown" if circuit.cools(now) else circuit.state
