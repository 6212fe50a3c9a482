"""Circuits as table rows and as lines of detail."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from ..server.ledger.watch import Breaker
from . import glyphs
from .figures import count_of, duration, span
from .holders import Holders
from .rows import Cells, Column, Look, Row, Tone, row_of
from .sieve import Value
from .store import Store

NAME = Column(key="name", title="CIRCUIT", width=14, flex=True)
STATE = Column(key="state", title="STATE", width=9)
LAST_OK = Column(key="ok", title="LAST OK", width=7, align="right")
WIDE = (
    NAME,
    STATE,
    Column(key="now", title="WHAT HAPPENS NOW", width=18),
    Column(key="evidence", title="EVIDENCE", width=29),
    LAST_OK,
    Column(key="next", title="NEXT", width=18),
)
NARROW = (
    NAME,
    STATE,
    Column(key="evidence", title="EVIDENCE", width=23),
    LAST_OK,
    Column(key="next", title="NEXT", width=17),
)
TINY = (NAME, STATE, Column(key="next", title="NEXT", width=17))
ALL_MODELS = "*"
NOBODY = Holders({})

Kind = Literal["open", "half_open", "held", "cooling", "closed", "no_data"]
SHOWN: dict[Kind, tuple[str, Tone, str]] = {
    "open": (f"{glyphs.OPEN} OPEN", "err", "calls skip it"),
    "half_open": (f"{glyphs.HALF} HALF", "warn", "1 probe at a time"),
    "held": (f"{glyphs.HELD} HELD", "warn", "calls skip it"),
    "cooling": (f"{glyphs.WAITING} COOLING", "warn", "calls skip it"),
    "closed": (f"{glyphs.ALIVE} closed", "ok", "calls allowed"),
    "no_data": (f"{glyphs.UNKNOWN} no data", "dim", "calls allowed"),
}
URGENCY: tuple[Kind, ...] = ("open", "half_open", "held", "cooling", "closed", "no_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A circuit and what is known beside it. Without a row it never failed: the servers write
    rows for failures only. `whole` is the row of its provider, which calls pass first."""

    provider: str
    model: str
    row: Breaker | None
    whole: Breaker | None = None
    calls: int = 0
    errors: int = 0
    attempts: int = 0
    last_ok: float | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


def columns_for(width: int) -> tuple[Column, ...]:
    return WIDE if width >= 116 else NARROW if width >= 72 else TINY


def circuits(
    store: Store, look: Look, models: Mapping[str, tuple[str, ...]] | None = None
) -> list[Circuit]:
    """Every circuit with a row, every model called in the last 24 h, and every provider and model
    configured; the gravest first."""
    rows = {(row.provider, row.model): row for row in store.snapshot.breakers}
    used: dict[tuple[str, str], tuple[int, int, int]] = {}
    for one in store.snapshot.totals.day:
        before = used.get((one.provider, one.model), (0, 0, 0))
        added = (one.calls, one.errors, one.attempts)
        used[one.provider, one.model] = add(before, added)
    found: list[Circuit] = []
    known = {key for key in {*rows, *used} if key[0]}
    for provider, model in sorted(known | configured(models or {}, known)):
        calls, errors, attempts = used.get((provider, model), (0, 0, 0))
        found.append(
            Circuit(
                provider=provider,
                model=model,
                row=rows.get((provider, model)),
                whole=rows.get((provider, ALL_MODELS)),
                calls=calls,
                errors=errors,
                attempts=attempts,
                last_ok=last_ok(store, provider, model),
            )
        )
    return sorted(found, key=lambda c: (URGENCY.index(kind_of(c, look.now)), c.name))


def configured(
    models: Mapping[str, tuple[str, ...]], known: set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """The circuits of what is configured; a provider nothing is known of has one for all."""
    met = {provider for provider, _ in known}
    named = {(provider, model) for provider in models for model in models[provider]}
    alone = {(provider, ALL_MODELS) for provider in models if provider not in met}
    return named | {key for key in alone if not models[key[0]]}


def add(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def last_ok(store: Store, provider: str, model: str) -> float | None:
    known = [
        at
        for (its_provider, its_model), at in store.last_ok.items()
        if its_provider == provider and model in (its_model, ALL_MODELS)
    ]
    known += [
        row.last_ok_at
        for row in store.snapshot.breakers
        if (row.provider, row.model) == (provider, model) and row.last_ok_at is not None
    ]
    return max(known, default=None)


def kind_of(circuit: Circuit, now: float) -> Kind:
    row = ruling(circuit, now)
    if row is not None and (kind := grave(row, now)):
        return kind
    known = circuit.calls or circuit.attempts or circuit.last_ok is not None
    if row is not None:
        known = known or row.failures or row.last_ok_at or row.last_failure_at
    return "closed" if known else "no_data"


def ruling(circuit: Circuit, now: float) -> Breaker | None:
    """The row that decides: its own, unless that lets calls pass and the provider's does not."""
    row, whole = circuit.row, circuit.whole
    if whole is not None and grave(whole, now) and not (row and grave(row, now)):
        return whole
    return row


def grave(row: Breaker, now: float) -> Kind | None:
    """What keeps calls away, if anything does."""
    if is_held(row, now):
        return "held"
    if row.state in ("open", "half_open"):
        return "open" if row.state == "open" else "half_open"
    cools = row.cooldown_until is not None and row.cooldown_until > now
    return "cooling" if cools else None


def is_held(row: Breaker, now: float) -> bool:
    return row.hold_reason is not None and (row.hold_until is None or row.hold_until > now)


def alarms(store: Store, look: Look) -> tuple[int, int]:
    """How many are not closed, and how many are held."""
    seen = [Circuit(provider=r.provider, model=r.model, row=r) for r in store.snapshot.breakers]
    kinds = [kind_of(circuit, look.now) for circuit in seen]
    return kinds.count("open") + kinds.count("half_open"), kinds.count("held")


def circuit_row(
    circuit: Circuit, columns: tuple[Column, ...], look: Look, holders: Holders = NOBODY
) -> Row:
    kind = kind_of(circuit, look.now)
    state, tone, now_words = SHOWN[kind]
    ok = circuit.last_ok
    cells: Cells = {
        "name": (circuit.name, ""),
        "state": (state, tone),
        "now": (now_words, ""),
        "evidence": (evidence(circuit, kind, look, holders), ""),
        "ok": (span(look.now - ok) if ok is not None else "never", ""),
        "next": (next_step(ruling(circuit, look.now), kind, look), ""),
    }
    return row_of(circuit.name, cells, columns)


def evidence(circuit: Circuit, kind: Kind, look: Look, holders: Holders) -> str:
    row = ruling(circuit, look.now)
    if row is not None and row is not circuit.row:
        return f"{row.provider}/{ALL_MODELS}: {grounds(circuit, row, kind, look, holders)}"
    return grounds(circuit, row, kind, look, holders)


def hold_words(row: Breaker, holders: Holders) -> str:
    by = f" by {holders.name(row.hold_by)}" if row.hold_by else ""
    return f"held{by}: {row.hold_note or row.hold_reason}"


def grounds(circuit: Circuit, row: Breaker | None, kind: Kind, look: Look, holders: Holders) -> str:
    if row is not None and kind == "held":
        return hold_words(row, holders)
    if row is not None and kind == "cooling":
        return "the provider asked to wait"
    if row is not None and kind == "half_open":
        by = f", {holders.name(row.probe_owner)}" if row.probe_owner else ""
        return f"probe running {duration(look.now - row.changed_at)}{by}"
    if row is not None and (kind == "open" or row.failures):
        error = f" · {row.last_error}" if row.last_error else ""
        return f"{row.failures} of {row.threshold} failed{error}"
    if circuit.calls:
        return f"{circuit.errors} of {circuit.calls:,} calls failed, 24 h"
    if circuit.attempts:
        return f"{count_of(circuit.attempts, 'attempt')}, no answer used, 24 h"
    return "no call in 24 h"


def next_step(row: Breaker | None, kind: Kind, look: Look) -> str:
    if row is None:
        return "—"
    match kind:
        case "held":
            if row.hold_until is None:
                return "never by itself"
            return f"ends in {span(row.hold_until - look.now)}"
        case "open":
            left = (row.retry_at or look.now) - look.now
            return f"probe in {span(left)}" if left > 0 else "probe at next call"
        case "half_open":
            return "closes after 1 ok"
        case "cooling":
            return f"calls in {span((row.cooldown_until or look.now) - look.now)}"
        case _:
            return "—"


def fields_of(circuit: Circuit, now: float) -> dict[str, Value]:
    row, kind = ruling(circuit, now), kind_of(circuit, now)
    return {
        "circuit": circuit.name,
        "provider": circuit.provider,
        "model": circuit.model,
        "state": SHOWN[kind][0],
        "status": kind,
        "calls": circuit.calls,
        "errors": circuit.errors,
        "failures": row.failures if row else 0,
        "error": (row.last_error if row else "") or "",
        "by": (row.hold_by if row else "") or "",
        "why": (row.hold_note or row.hold_reason if row else "") or "",
    }


def record_of(circuit: Circuit, now: float) -> dict[str, object]:
    """For export and copies: the row as the ledger has it, and what is known beside it."""
    row = asdict(circuit.row) if circuit.row else {}
    beside = {"calls": circuit.calls, "errors": circuit.errors, "last_ok": circuit.last_ok}
    name = {"provider": circuit.provider, "model": circuit.model, "shown": kind_of(circuit, now)}
    return {**row, **name, **beside}
