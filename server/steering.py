"""Circuits set by hand, from a command line, the terminal interface or a request to a server:
trip, reset, hold and unhold, and probe, which lets the next call test one. What is said is
understood first, then done in one transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from . import asks, circuits
from .circuits import Circuit, Key, Policy, Refusal
from .errors import BadRequest, NotFound
from .ledger import circuit_rows, owners
from .ledger.driver import Connection
from .moments import clock
from .registry import Registry
from .settings import CircuitSettings
from .telling import plain

Act = Literal["trip", "reset", "hold", "unhold", "probe"]
ACTS: Mapping[str, Act] = {each: each for each in get_args(Act)}
WHOLE = "*"
LONGEST_S = 366 * 86_400.0
LONGEST_NOTE = 200
SHOWN_AS: Mapping[Act, Refusal] = {"trip": "circuit_open", "hold": "hold"}
DONE: Mapping[Act, str] = {
    "trip": "is tripped",
    "reset": "is reset",
    "hold": "is on hold",
    "unhold": "is not on hold any more",
    "probe": "waits no longer",
}
ALREADY: Mapping[Act, str] = {
    **DONE,
    "reset": "was closed already",
    "unhold": "was not on hold",
    "probe": "was not waiting",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do to which circuits. The model `*` is the whole provider: reset and unhold then
    reach each of its models. `known` are the models its row and its programs name; `until` is
    epoch seconds and `note` the user's reason, both of a hold alone; `mark` is that of the
    provider's key."""

    act: Act
    provider: str
    model: str
    until: float | None
    policy: Policy
    known: frozenset[str]
    mark: str = ""
    note: str | None = None

    @property
    def name(self) -> str:
        return self.provider if self.model == WHOLE else f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What came of it: how many circuits changed, and in words how things stand now."""

    changed: int
    said: str

    def as_data(self) -> dict[str, Any]:
        return {"ok": True, "changed": self.changed, "said": self.said}


def understood(
    act: str,
    argument: Mapping[str, Any],
    registry: Registry,
    settings: CircuitSettings,
    now: float,
) -> Order:
    """An order from strangers' words. Raises BadRequest and NotFound, with near matches."""
    known = ACTS.get(act)
    if known is None:
        raise BadRequest(f"circuits cannot be told to {act[:40]!r}")
    name, model = argument.get("provider"), argument.get("model") or WHOLE
    if not isinstance(name, str) or not isinstance(model, str):
        raise BadRequest("a circuit is named by provider and model")
    row = registry.named(name)
    asks.model_name(model)
    return Order(
        act=known,
        provider=name,
        model=row.same(model, row.models) or model,
        until=moment(argument.get("until"), now),
        policy=circuits.policy(settings, local=row.provider.local),
        known=frozenset(row.models if row.named(model) is None else (*row.models, model)),
        mark=row.key.mark if row.key else "",
        note=noted(argument.get("note")),
    )


def noted(note: object) -> str | None:
    """Raises BadRequest for what is no text."""
    if note is None:
        return None
    if not isinstance(note, str):
        raise BadRequest("note is the reason of a hold, as text")
    return plain(note).strip()[:LONGEST_NOTE] or None


def moment(until: object, now: float) -> float | None:
    """Raises BadRequest for a time that is none, is over, or that nobody will see."""
    if until is None:
        return None
    if isinstance(until, bool) or not isinstance(until, int | float):
        raise BadRequest("until is epoch seconds")
    if not now < until <= now + LONGEST_S:
        raise BadRequest("until lies in the past, or more than a year away")
    return float(until)


def steer(
    db: Connection, order: Order, *, now: float, by: str, jitter: float, run_dir: Path
) -> Steered:
    """Carries an order out. Raises NotFound, and writes nothing, for a model nobody has heard
    of: no call would ever meet its circuit."""
    rows = circuit_rows.load(db)
    check_model(db, order, rows)
    changed = sum(
        changes(db, order, key, now=now, by=by, jitter=jitter) for key in reached(order, rows)
    )
    rows = circuit_rows.load(db)
    return Steered(changed=changed, said=standing(rows, order, changed, now, run_dir))


def check_model(db: Connection, order: Order, rows: Collection[Key]) -> None:
    if order.model == WHOLE or order.model in order.known:
        return
    seen = {model for name, model in rows if name == order.provider and model != WHOLE}
    seen |= circuit_rows.models_used(db, order.provider)
    if order.model in seen:
        return
    names = sorted(order.known | seen)
    near = get_close_matches(order.model, names, n=1)
    hint = f"Did you mean {order.provider}/{near[0]}? " if near else ""
    raise NotFound(
        f"no call has used a model {order.model[:80]!r} of {order.provider}, and it is not listed",
        next_step=f"{hint}Known: {', '.join(names[:20]) or 'none'}.",
    )


def reached(order: Order, rows: Mapping[Key, Circuit]) -> Sequence[Key]:
    """The circuits an order is about. Undoing needs a row to undo. A call that is to test a model
    passes the provider's circuit first."""
    key = (order.provider, order.model)
    if order.act == "probe" and order.model != WHOLE:
        return [each for each in circuits.keys(*key) if each in rows]
    if order.act in ("trip", "hold"):
        return (key,)
    if order.model == WHOLE:
        return sorted(each for each in rows if each[0] == order.provider)
    return (key,) if key in rows else ()


def changes(db: Connection, order: Order, key: Key, *, now: float, by: str, jitter: float) -> bool:
    match order.act:
        case "trip":
            return circuit_rows.trip(db, key, now=now, by=by, policy=order.policy, jitter=jitter)
        case "reset":
            clean = is_clean(circuit_rows.find(db, key))
            return not clean and circuit_rows.reset(db, key, now=now, by=by)
        case "hold":
            until, note = order.until, order.note
            return circuit_rows.hold(db, key, now=now, by=by, until=until, note=note)
        case "unhold":
            return circuit_rows.unhold(db, key, now=now, by=by)
        case "probe":
            return circuit_rows.make_due(db, key, now=now, by=by)


def is_clean(circuit: Circuit) -> bool:
    """Would a reset change nothing anybody can see?"""
    return circuit.state == "closed" and not circuit.failures and circuit.cooldown_until is None


def standing(
    rows: Mapping[Key, Circuit], order: Order, changed: int, now: float, run_dir: Path
) -> str:
    """What was done, and how calls meet it now."""
    alive = partial(owners.alive, run_dir)
    found, due = circuits.judge(
        rows, order.provider, order.model, now, alive=alive, mark=order.mark
    )
    if found.kind != "refused":
        open_to = "the next call tests it" if due else "calls may use it"
        return f"{done(order, changed)}; {open_to}"
    lifted = f"`roundhouse circuit unhold {order.name}`"
    until = f"calls pass it by until {clock(found.until, now) if found.until else lifted}"
    if found.reason == SHOWN_AS.get(order.act):
        return f"{order.name} {found.detail}; {until}"
    return f"{done(order, changed)}, but it {found.detail}; {until}"


def done(order: Order, changed: int) -> str:
    several = f" ({changed} circuits)" if changed > 1 else ""
    return f"{order.name} {DONE[order.act] if changed else ALREADY[order.act]}{several}"
