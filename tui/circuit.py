"""One circuit looked at closely: the claim, the evidence, what happens next, and its history."""

from ..server.ledger.watch import Breaker, BreakerEvent
from . import glyphs
from .breakers import ALL_MODELS, SHOWN, Circuit, Kind, hold_words, is_held, kind_of, ruling
from .draw import Change, time_strip, wrap
from .figures import duration, span, time_of_day
from .holders import Holders
from .rows import Look
from .store import Store

CELLS, CELL_S = 60, 60.0
EVENT_LINES = 12
STATES: dict[Kind, str] = {"held": "hold", "cooling": "cooldown", "no_data": "closed"}
SIGNS = {
    "closed": glyphs.ALIVE,
    "open": glyphs.OPEN,
    "half_open": glyphs.HALF,
    "hold": glyphs.HELD,
    "cooldown": glyphs.WAITING,
}
SHORT = {"half_open": "half", "hold": "held", "cooldown": "wait"}
LEGEND = (
    f"{glyphs.ALIVE} closed  {glyphs.OPEN} open  {glyphs.HALF} half  {glyphs.HELD} held"
    f"  {glyphs.WAITING} wait"
)


def detail_lines(
    circuit: Circuit, store: Store, holders: Holders, look: Look, width: int
) -> list[str]:
    """Newest events first; the strip shows the last hour, one cell a minute."""
    row = ruling(circuit, look.now)
    events = [
        event
        for event in store.snapshot.breaker_events
        if event.provider == circuit.provider and event.model in (circuit.model, ALL_MODELS)
    ]
    own = [event for event in events if event.model == circuit.model]
    kind = kind_of(circuit, look.now)
    lines = [
        *wrap((circuit.name, SHOWN[kind][2], rule(row)), width, indent=0, between=" · "),
        *wrap(
            (f"last 60 min  {state_strip(circuit, own, look)}", LEGEND),
            width,
            indent=0,
            between="  ",
        ),
        *wrap(evidence(circuit, row, look), width, indent=0, between=" · "),
    ]
    if row is not None:
        if row is not circuit.row:
            lines.append(
                f"! because     all of {circuit.provider} is affected, not this model alone"
            )
        lines += [f"{word:<12} {said}" for word, said in standing(row, holders, look)]
    lines += [event_line(event, circuit, holders, look) for event in events[:EVENT_LINES]]
    return lines if events else [*lines, "no events: nothing has changed its state yet"]


def rule(row: Breaker | None) -> str:
    failures = f"{row.threshold} failures" if row else "some failures"
    return f"trips at {failures} in a row; one good probe closes it"


def evidence(circuit: Circuit, row: Breaker | None, look: Look) -> list[str]:
    said = [f"evidence     24 h: {circuit.calls:,} calls, {circuit.errors:,} failed"]
    if row is not None:
        said.append(f"{row.failures} of {row.threshold} failures in a row")
        if row.last_failure_at is not None:
            said.append(f"last failure {span(look.now - row.last_failure_at)} ago")
        if row.last_error:
            said.append(f"last error {row.last_error}")
    ok = circuit.last_ok
    said.append(f"last ok {span(look.now - ok)} ago" if ok is not None else "never ok")
    return said


def standing(row: Breaker, holders: Holders, look: Look) -> list[tuple[str, str]]:
    """What keeps calls away, and until when."""
    lines: list[tuple[str, str]] = []
    if is_held(row, look.now):
        until = "until it is lifted (u)"
        if row.hold_until is not None:
            until = f"until {time_of_day(row.hold_until, look.zone)}, u lifts it before"
        why = hold_words(row, holders).removeprefix("held").lstrip(" :")
        lines.append(("held", f"{why}, {until}"))
    if row.cooldown_until is not None and row.cooldown_until > look.now:
        left = span(row.cooldown_until - look.now)
        lines.append(("cooldown", f"the provider asked to wait, {left} left"))
    if row.state == "open" and row.retry_at is not None:
        times = f", {row.open_count} times in a row" if row.open_count > 1 else ""
        at = time_of_day(row.retry_at, look.zone)
        when = (
            "the next call tests it" if row.retry_at <= look.now else f"a call tests it from {at}"
        )
        lines.append(("open", f"since {time_of_day(row.changed_at, look.zone)}{times}; {when}"))
    if row.state == "half_open" and row.probe_owner:
        fate = holders.fate(row.probe_owner, look.now)
        said = f"by {holders.name(row.probe_owner)} for {duration(look.now - row.changed_at)}"
        if row.probe_lease_until is not None:
            said += f", at most until {time_of_day(row.probe_lease_until, look.zone)}"
        lines.append(("probe", f"{said}: {fate}" if fate else said))
    return lines


def state_strip(circuit: Circuit, events: list[BreakerEvent], look: Look) -> str:
    changes = [
        Change(at=event.at, before=event.from_state, after=event.to_state)
        for event in reversed(events)
    ]
    kind = kind_of(circuit, look.now)
    state = STATES.get(kind, kind)
    strip = time_strip(changes, now_state=state, now=look.now, cells=CELLS, cell_s=CELL_S)
    return "".join(SIGNS.get(one, glyphs.UNKNOWN) for one in strip)


def event_line(event: BreakerEvent, circuit: Circuit, holders: Holders, look: Look) -> str:
    before, after = (SHORT.get(state, state) for state in (event.from_state, event.to_state))
    at, changed = time_of_day(event.at, look.zone), f"{before} → {after}"
    whole = " (all models)" if event.model == ALL_MODELS != circuit.model else ""
    return f"{at}  {changed:<15} {event.why}{whole}, by {holders.name(event.by)}"
