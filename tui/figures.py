"""Numbers as people read them: money, tokens, durations, times of day."""

from datetime import datetime, tzinfo

NANO = 1_000_000_000
UNKNOWN = "?"
NOTHING = "—"


def money(nano: int | None, *, about: bool = False) -> str:
    """Dollars; `~` marks an estimate, `?` an unknown amount."""
    if nano is None:
        return UNKNOWN
    if nano == 0:
        return "0"
    dollars = abs(nano) / NANO
    if dollars < 0.0001:
        text = "<0.0001"
    elif dollars < 1000:
        text = f"{dollars:.4f}"
    else:
        text = f"{dollars:,.0f}"
    return ("~" if about else "") + ("-" if nano < 0 else "") + text


def dollars(nano: int) -> str:
    """Dollars and cents, for totals."""
    return f"${nano / NANO:,.2f}"


def tokens(count: int | None) -> str:
    if count is None:
        return NOTHING
    if count < 10_000:
        return f"{count:,}"
    if count < 1_000_000:
        return f"{count / 1000:.1f}k" if count < 100_000 else f"{count / 1000:.0f}k"
    return f"{count / 1_000_000:.1f}M"


def speed(output: int | None, seconds: float | None) -> str:
    """Tokens per second."""
    if not output or seconds is None or seconds <= 0:
        return NOTHING
    rate = output / seconds
    return f"{rate:.1f}" if rate < 1000 else f"{rate:,.0f}"


def duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    return span(seconds)


def span(seconds: float) -> str:
    """A rougher duration: whole seconds, minutes, hours, days."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def in_words(seconds: float) -> str:
    """`11 min`, `3 h`, `2 d`: for forecasts, which are not exact to the second."""
    if seconds < 90:
        return f"{int(seconds)} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 129_600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} d"


def time_of_day(at: float, zone: tzinfo | None) -> str:
    """In `zone`; None is the machine's own."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def midnight(at: float, zone: tzinfo | None) -> float:
    """When the day of `at` began."""
    local = datetime.fromtimestamp(at, zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0.0 %"


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(count: int) -> str:
    """Of files, in powers of 1000."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
