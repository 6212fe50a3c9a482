"""Drawings made of characters: pure functions from numbers to text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from . import glyphs

Align = Literal["left", "right"]


def fit(text: str, width: int, align: Align = "left") -> str:
    """Exactly `width` cells; what does not fit ends in `…`."""
    cells = len(text) if text.isascii() else cell_len(text)  # of printable text
    if cells > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - cells) + text if align == "right" else text + " " * (width - cells)


def wrap(parts: Sequence[str], width: int, *, indent: int, between: str) -> list[str]:
    """Parts on as few lines as they need, never cut between two lines."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}{between}{part}" if lines else part
        if lines and cell_len(joined) + indent <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def fold(text: str, width: int, *, indent: int) -> list[str]:
    """Words on as many lines as they need; the later lines are set in."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if line.strip() and cell_len(joined) > width:
            lines.append(line)
            line = " " * min(indent, width // 2) + word
        else:
            line = joined
    return [*lines, line]


def bar(*, spent: float, held: float, limit: float, passed: float | None, width: int) -> str:
    """Spent, then held, of a limit. The mark stands where the window is now (`passed`, 0 to 1):
    a bar beyond it spends faster than time goes."""
    if limit <= 0:
        return " " * width
    full = min(width, round(width * spent / limit))
    both = min(width, max(full, round(width * (spent + held) / limit)))
    cells = list(glyphs.SPENT * full + glyphs.WAITING * (both - full) + " " * (width - both))
    if passed is not None and width:
        cells[min(width - 1, max(0, int(passed * width)))] = glyphs.MARK
    return "".join(cells)


def spark(values: Sequence[float]) -> str:
    """One character per value, scaled to the largest."""
    top = max(values, default=0)
    steps = len(glyphs.LEVELS) - 1
    return "".join(glyphs.LEVELS[round(steps * value / top) if top else 0] for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A circuit went from one state to another."""

    at: float
    before: str
    after: str


SEVERITY = ("closed", "cooldown", "hold", "half_open", "open")


def time_strip(
    changes: Sequence[Change], *, now_state: str, now: float, cells: int, cell_s: float
) -> list[str]:
    """The gravest state in each of the last `cells` spans, oldest first. `changes` are in the
    order of time."""
    strip: list[str] = []
    begin = now - cells * cell_s
    later = [change for change in changes if change.at > begin]
    state = later[0].before if later else now_state
    for index in range(cells):
        end = begin + (index + 1) * cell_s
        seen = [state]
        while later and later[0].at <= end:
            state = later.pop(0).after
            seen.append(state)
        strip.append(max(seen, key=gravity))
    return strip


def gravity(state: str) -> int:
    return SEVERITY.index(state) if state in SEVERITY else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of an attempt: `waiting` for a token, `streaming`, `failed`, or a `pause`."""

    kind: Literal["pause", "waiting", "streaming", "failed"]
    begin: float
    end: float


def time_line(phases: Sequence[Phase], *, begin: float, end: float, width: int) -> str:
    """Where in the call these stretches lie; every stretch gets at least one cell."""
    signs = {
        "pause": glyphs.PAUSE,
        "waiting": glyphs.WAITING,
        "streaming": glyphs.STREAMING,
        "failed": glyphs.SPENT,
    }
    scale = width / max(end - begin, 1e-9)
    cells = [" "] * width
    for phase in phases:
        first = min(width - 1, max(0, int((phase.begin - begin) * scale)))
        last = min(width, max(first + 1, round((phase.end - begin) * scale)))
        cells[first:last] = signs[phase.kind] * (last - first)
    return "".join(cells)


def time_scale(seconds: float, width: int) -> str:
    """Labels above a time line."""
    step = next(s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 3600, 1e9) if s * 8 >= seconds)
    cells = " " * (width + 8)
    ticks = int(seconds / step) if step < 1e9 else 0
    for tick in range(ticks + 1):
        at = int(tick * step / max(seconds, 1e-9) * width)
        label = f"{int(tick * step)} s"
        if at + len(label) <= width and (not tick or cells[at - 1 : at + len(label)].isspace()):
            cells = cells[:at] + label + cells[at + len(label) :]
    return cells[:width]
