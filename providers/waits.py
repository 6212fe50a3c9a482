"""How long a provider asks us to wait, read from every place providers put it."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

SHORTEST_S = 0.5
LONGEST_S = 3600.0
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h)")
UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def wait_in(headers: Mapping[str, str], body: object, *, now: float) -> float | None:
    """Seconds, between half a second and an hour; None when nothing usable is said. `headers` have
    lower-case names; `now` is UTC epoch seconds."""
    for found in waits(headers, body, now=now):
        if found is not None and math.isfinite(found) and found > 0:
            return min(max(found, SHORTEST_S), LONGEST_S)
    return None


def waits(headers: Mapping[str, str], body: object, *, now: float) -> Iterator[float | None]:
    milliseconds = number(headers.get("retry-after-ms", ""))
    yield None if milliseconds is None else milliseconds / 1000
    asked = headers.get("retry-after", "")
    yield number(asked)
    yield duration(asked)
    yield until(asked, now=now)
    yield from in_body(body, now=now)
    yield resets(headers, now=now)


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def duration(text: str) -> float | None:
    """`7.66s`, `2m59.56s`, `120ms`."""
    parts = DURATION.findall(text)
    if not parts or "".join(n + unit for n, unit in parts) != text.strip():
        return None
    return sum(float(n) * UNIT_S[unit] for n, unit in parts)


def until(text: str, *, now: float) -> float | None:
    """Seconds to an HTTP date or an RFC 3339 time."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def in_body(body: object, *, now: float) -> Iterator[float | None]:
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    if not isinstance(body, dict):
        return
    outer = cast("dict[str, Any]", body)
    inner = outer.get("error")
    for table in (outer, cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}):
        yield number(str(table.get("retry_after", "")))
        for detail in cast("list[object]", table.get("details") or []):
            if isinstance(detail, dict):
                yield duration(str(cast("dict[str, Any]", detail).get("retryDelay", "")))
        yield epoch_ms(table.get("metadata"), now=now)


def epoch_ms(metadata: object, *, now: float) -> float | None:
    """The header X-RateLimit-Reset repeated inside a body, in epoch milliseconds."""
    if not isinstance(metadata, dict):
        return None
    headers = cast("dict[str, Any]", metadata).get("headers")
    if not isinstance(headers, dict):
        return None
    reset = number(str(cast("dict[str, Any]", headers).get("X-RateLimit-Reset", "")))
    return None if reset is None else reset / 1000 - now


def run_out(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds until what this very answer used up is there again: somebody who says that nothing
    remains would refuse the next request. None where something does, or nobody says."""
    spent = [seconds for out, seconds in announced(headers, now=now) if out]
    return min(max(max(spent), SHORTEST_S), LONGEST_S) if spent else None


def resets(headers: Mapping[str, str], *, now: float) -> float | None:
    """The reset of what has run out; where nothing says it has, the nearest reset."""
    found = list(announced(headers, now=now))
    spent = [seconds for out, seconds in found if out]
    return max(spent) if spent else min((seconds for _, seconds in found), default=None)


def announced(headers: Mapping[str, str], *, now: float) -> Iterator[tuple[bool, float]]:
    """Every reset that is said, as (has it run out, seconds until then)."""
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        seconds = duration(value) or until(value, now=now) or number(value)
        if seconds is not None and 0 < seconds < 10 * LONGEST_S:
            left = headers.get(name.replace("reset", "remaining"), "")
            yield left.strip() == "0", seconds
