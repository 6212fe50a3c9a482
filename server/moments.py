"""Times and durations as people read them."""

from datetime import UTC, datetime


def clock(at: float, now: float) -> str:
    """`12:03:10 UTC (in 42 s)`, with the date where it is not today's."""
    moment, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    date = "" if moment.date() == today else f"{moment:%Y-%m-%d} "
    return f"{date}{moment:%H:%M:%S} UTC (in {duration(max(0.0, at - now))})"


def duration(seconds: float) -> str:
    """`0.34 s`, `42 s`, `12 min`, `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
