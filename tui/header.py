"""The right end of the header, and how old the numbers are."""

from collections.abc import Mapping

from . import banners, breakers, glyphs, spending
from .figures import count_of, dollars, time_of_day
from .rows import Look
from .store import Store

ROOMY = 72
WIDE = 100
SHORTER = {f"{glyphs.RUNNING} ": glyphs.RUNNING, f"{glyphs.LOOK} ": glyphs.LOOK} | {
    " servers": " srv",
    " server": " srv",
}
SHORTEST = SHORTER | {" circuits": " circ", " circuit": " circ", " budgets": " bud"}


def stale_s(store: Store, looked_at: float, look: Look) -> float | None:
    """Seconds since the numbers were true, None while they are."""
    if store.paused_at is not None or store.seen_at is None:
        return None
    if not banners.is_stale(store.health, looked_at, look.now):
        return None
    return max(0.0, look.now - min(looked_at, store.seen_at))


def right_end(store: Store, stale: float | None, look: Look, width: int) -> str:
    """Servers, calls in flight, money of today, the worst alarm, the time."""
    snapshot = store.snapshot
    alive = store.servers_alive(look.now)
    parts = [banners.header_mark(store.health, alive=alive, stale_s=stale)]
    if store.seen_at is not None:
        parts.append(f"{glyphs.RUNNING} {snapshot.running_count}")
        today = dollars(snapshot.today_nano)
        parts.append(today if width < WIDE else f"{today} today")
        parts += alarm_words(store, look)
    if width >= ROOMY:
        parts.append(time_of_day(look.now, look.zone))
    if width < WIDE:
        words = SHORTER if width >= ROOMY else SHORTEST
        return " ".join(shortened(part, words) for part in parts)
    return "  ".join(parts)


def shortened(part: str, words: Mapping[str, str]) -> str:
    """The same in fewer cells, for the header of a narrow screen."""
    for long, short in words.items():
        part = part.replace(long, short)
    return part


def alarm_words(store: Store, look: Look) -> list[str]:
    """The worst thing only; a call that waits for its user comes first."""
    if asking := store.snapshot.asking:
        return [f"{glyphs.LOOK} {count_of(asking, 'call')} {'asks' if asking == 1 else 'ask'}"]
    opened, held = breakers.alarms(store, look)
    urgent = spending.alarms(store.snapshot, look.now)
    if opened:
        return [f"{glyphs.LOOK} {count_of(opened, 'circuit')}"]
    if urgent:
        return [f"{glyphs.LOOK} {count_of(urgent, 'budget')}"]
    return [f"{glyphs.LOOK} {held} held"] if held else []
