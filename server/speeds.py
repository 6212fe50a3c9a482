"""How fast a model at a provider has been lately: a moving average that rises at once and falls
slowly (PeakEWMA), and is forgotten when nobody measures. Pure."""

import math
from dataclasses import dataclass

MEMORY_S = 300.0  # how fast a better measurement replaces a worse one
FADE_S = 900.0  # how fast an old measurement loses its say
UNMEASURED_MS = 250.0  # fast enough to be tried soon


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds to the first token and for each token after it, as of `at` (epoch seconds)."""

    first_ms: float
    token_ms: float
    at: float


def heard(before: Speed | None, first_ms: float, token_ms: float, now: float) -> Speed:
    """The speed after one more answer."""
    if before is None:
        return Speed(first_ms, token_ms, now)
    kept = math.exp(-max(0.0, now - before.at) / MEMORY_S)
    return Speed(peak(before.first_ms, first_ms, kept), peak(before.token_ms, token_ms, kept), now)


def peak(before: float, now: float, kept: float) -> float:
    return now if now > before else before * kept + now * (1 - kept)


def expected_ms(speed: Speed | None, output_tokens: int, now: float) -> float | None:
    """How long an answer of this length would take; None for a model nobody has measured. With
    time it comes to mean as little as none."""
    if speed is None:
        return None
    told = speed.first_ms + speed.token_ms * output_tokens
    return UNMEASURED_MS + (told - UNMEASURED_MS) * math.exp(-max(0.0, now - speed.at) / FADE_S)
