"""What the steps of a call write and read: each function is one transaction on the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ..providers.errors import UpstreamError
from . import allowances, circuits
from .allowances import Allowance
from .budgets import Window
from .candidates import Room, Snapshot
from .circuits import Key, Policy
from .estimates import Measure
from .ledger import circuit_rows, estimate_rows, measures, owners, records, reservations
from .ledger.driver import Connection
from .ledger.records import AttemptRow, CallRow, InflightRow
from .ledger.reservations import Warned
from .reasons import Block

LEASE_S = 900.0
PROBE_S = 60.0


class NotAdmitted(Exception):
    """The circuit changed since the plan was made, or another process won its probe."""

    def __init__(self, block: Block) -> None:
        super().__init__(block.detail)
        self.block = block


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What a plan needs to see: `tokens` is the size of the call; `marks` are those of the keys it
    would use, by provider; `priced` are the models that cost something; `measuring` whether its
    strategy looks at speeds and loads; `turns_taken` are turns this process took and has not
    written."""

    keys: tuple[Key, ...]
    priced: tuple[Key, ...]
    windows: tuple[Window, ...]
    allowances: Mapping[str, Allowance]
    tokens: int
    marks: Mapping[str, str]
    measuring: bool
    turns_taken: int
    run_dir: Path
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An attempt about to be made. `reserve_nano` None: nothing to hold (no price, or free).
    `takes_turn`: the call's strategy draws, and this is its first attempt. `approval`: the user
    allowed the call to exceed its budgets."""

    inflight: InflightRow
    reservation: str
    reserve_nano: int | None
    windows: Sequence[Window]
    guarded: bool
    allowance: Allowance
    tokens: int
    mark: str
    takes_turn: bool
    approval: int | None
    run_dir: Path
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The circuits' epochs the attempt was admitted under, and budgets that just gave warning."""

    epochs: dict[Key, int]
    warned: tuple[Warned, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an attempt says of its circuits. `error` None is a success; `neutral` says nothing.
    `run_out_until`: the provider answered, and said that it takes no more until then."""

    error: UpstreamError | None
    neutral: bool
    epochs: dict[Key, int]
    policy: Policy
    jitter: float
    until: float | None
    mark: str = ""
    run_out_until: float | None = None
    blameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """An attempt that ended: its row, its money, its circuits. `speed` is milliseconds to the
    first token and for each token after it, of an answer that is long enough to tell; `lesson`
    what it says of the use of its model."""

    attempt: AttemptRow
    reservation: str
    money: Literal["settle", "release", "presume"]
    verdict: Verdict | None
    speed: tuple[float, float] | None
    lesson: Mapping[Measure, float]
    now: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A call that ended: its row, all its attempts, and the decision behind it as JSON."""

    call: CallRow
    attempts: Sequence[AttemptRow]
    decision: str | None
    refusal: "Refusal | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call that was planned, and then had no room in a budget."""

    window: Window
    needed_nano: int


def snapshot(db: Connection, looking: Looking) -> Snapshot:
    """Circuits, allowances, money and measures at one moment, for planning."""
    now = looking.now
    rows = circuit_rows.load(db)
    alive = partial(owners.alive, looking.run_dir)
    blocks = crowded(db, looking)
    due: set[Key] = set()
    for key in looking.keys if rows else ():
        mark = looking.marks.get(key[0], "")
        found, _ = circuits.judge(rows, *key, now, alive=alive, mark=mark)
        if found.kind == "probe_due":
            due.add(key)
        if found.reason is not None:
            blocks[key] = Block(reason=found.reason, detail=found.detail, until=found.until)
    return Snapshot(
        now=now,
        blocks=blocks,
        rooms=rooms(db, looking.windows),
        due=frozenset(due),
        turn=measures.turn(db) + looking.turns_taken,
        speeds=measures.all_speeds(db) if looking.measuring else {},
        loads=measures.loads(db) if looking.measuring else {},
        estimates=estimate_rows.of_models(db, looking.priced),
    )


def crowded(db: Connection, looking: Looking) -> dict[Key, Block]:
    """The providers whose allowance another call of this size would exceed."""
    used = measures.used(db, looking.allowances, looking.now)
    found = {
        (name, "*"): allowances.block(allowance, used[name], looking.tokens)
        for name, allowance in looking.allowances.items()
    }
    return {key: block for key, block in found.items() if block is not None}


def rooms(db: Connection, windows: Sequence[Window]) -> dict[str, Room]:
    standings = reservations.standings(db, list(windows))
    return {
        window.budget: Room(
            limit_nano=window.limit_nano,
            free_nano=max(0, window.limit_nano - standings[window.budget].committed_nano),
            resets_at=window.end,
        )
        for window in windows
    }


def open_attempt(db: Connection, opening: Opening) -> Opened:
    """Hold the money, pass the circuits and the allowance, and show the call as running.

    Raises OverBudget and NotAdmitted; after either, nothing is held."""
    row = opening.inflight
    assert row.provider is not None
    assert row.model is not None
    if opening.allowance.limited:
        used = measures.used_at(db, row.provider, opening.now)
        if full := allowances.block(opening.allowance, used, opening.tokens):
            raise NotAdmitted(full)
    warned: list[Warned] = []
    if opening.reserve_nano is not None:
        warned = reservations.reserve(
            db,
            reservation=opening.reservation,
            call_id=row.call_id,
            attempt=row.attempt,
            owner=row.owner,
            amount_nano=opening.reserve_nano,
            windows=opening.windows,
            now=opening.now,
            lease_until=opening.now + LEASE_S,
            provider=row.provider,
            model=row.model,
            approval=opening.approval,
        )
    epochs = admit(db, (row.provider, row.model), opening) if opening.guarded else {}
    records.begin(db, row)
    if opening.takes_turn:
        measures.take_turn(db)
    return Opened(epochs=epochs, warned=tuple(warned))


def admit(db: Connection, key: Key, opening: Opening) -> dict[Key, int]:
    """The epochs under which the attempt passes both its circuits, probes won included."""
    both = circuits.keys(*key)
    if not circuit_rows.any_of(db, key[0]):
        return dict.fromkeys(both, 0)
    rows = {each: circuit_rows.find(db, each) for each in both}
    alive = partial(owners.alive, opening.run_dir)
    found, due = circuits.judge(rows, *key, opening.now, alive=alive, mark=opening.mark)
    if found.reason is not None:
        raise NotAdmitted(Block(reason=found.reason, detail=found.detail, until=found.until))
    won = circuit_rows.take_probes(
        db,
        [(each, rows[each].epoch) for each in due],
        owner=opening.inflight.owner,
        lease_until=circuits.probe_lease(opening.now, PROBE_S),
        now=opening.now,
    )
    if won is None:
        raise NotAdmitted(Block(reason="half_open", detail="another call is testing it"))
    return {each: won.get(each, rows[each].epoch) for each in both}


def close_attempt(db: Connection, closing: Closing, ending: Ending | None) -> None:
    """Everything the end of an attempt changes; with the last one the call ends too."""
    match closing.money:
        case "settle":
            reservations.settle(
                db, closing.reservation, closing.attempt.cost_nano or 0, closing.now
            )
        case "release":
            reservations.release(db, closing.reservation, closing.now)
        case "presume":
            reservations.presume(db, closing.reservation, closing.now, by=closing.by)
    if ending is None or not end(db, ending):  # a call that ends brings all its attempts along
        records.add_attempt(db, closing.attempt)
    key = (closing.attempt.provider, closing.attempt.model)
    if closing.lesson:
        estimate_rows.learn(db, key, closing.lesson, closing.now)
    if closing.speed is not None:
        first_ms, token_ms = closing.speed
        measures.note_speed(db, key, first_ms=first_ms, token_ms=token_ms, now=closing.now)
    if closing.verdict is not None:
        judge(db, closing.attempt, closing.verdict, closing.now, closing.by)


def judge(db: Connection, attempt: AttemptRow, verdict: Verdict, now: float, by: str) -> None:
    if verdict.run_out_until is not None:
        key = (attempt.provider, attempt.model)
        circuit_rows.record_cooldown(
            db,
            key,
            epoch=verdict.epochs.get(key, 0),
            now=now,
            until=verdict.run_out_until,
            error="",
            by=by,
        )
    if verdict.error is None and not circuit_rows.any_of(db, attempt.provider):
        return
    touched = circuits.touched(
        attempt.provider, attempt.model, verdict.error, blameless=verdict.blameless
    )
    for key, kind in touched:
        circuit_rows.record(
            db,
            key,
            "neutral" if verdict.neutral else kind,
            epoch=verdict.epochs.get(key, 0),
            now=now,
            by=by,
            policy=verdict.policy,
            jitter=verdict.jitter,
            error=attempt.outcome,
            until=verdict.until,
            hold=verdict.error.hold if verdict.error else None,
            mark=verdict.mark or None,
        )


def waiting(db: Connection, call_id: str, next_try_at: float, trail: str) -> None:
    records.advance(
        db,
        call_id,
        phase="retry",
        next_try_at=next_try_at,
        first_token_at=None,
        output_tokens=0,
        reserved_nano=0,
        trail=trail,
    )


def end(db: Connection, ending: Ending) -> bool:
    """Writes the call with its attempts. False if it had ended before."""
    call, refusal = ending.call, ending.refusal
    ended = records.finish(db, call, ending.attempts, ending.decision)
    if ended and refusal is not None:
        reservations.refreshed(db, refusal.window, call.ended, call.server)
        reservations.event(
            db,
            refusal.window.budget,
            refusal.window.start,
            "refused",
            call.ended,
            call.server,
            call.call_id,
            refusal.needed_nano,
        )
    return ended


def show_budgets(db: Connection, windows: Sequence[Window], now: float, by: str) -> None:
    """Makes the rows of budgets nobody has used yet, so that they can be seen."""
    for window in windows:
        reservations.refreshed(db, window, now, by)
