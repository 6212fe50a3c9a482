"""Bars made of characters, for the command line and the terminal interface. Pure."""

from collections.abc import Callable, Sequence
from math import floor, log10

FULL = "█"
EIGHTHS = " ▏▎▍▌▋▊▉"
SHADES = "█▓░▒"  # of the parts of a stacked bar, the largest first
PLAIN_SHADES = "#=.:"
AXIS, CORNER, TICK, FLOOR = "│", "└", "┤", "─"
PLAIN_AXIS = str.maketrans(AXIS + CORNER + TICK + FLOOR, "|++-")


def share(part: float, whole: float, width: int, *, plain: bool = False) -> str:
    """A bar of up to `width` cells, in steps of an eighth of one; `plain` knows whole cells."""
    if whole <= 0 or part <= 0 or width <= 0:
        return ""
    cells = min(1.0, part / whole) * width
    if plain:
        return "#" * max(1, round(cells))
    full, eighth = divmod(max(1, round(cells * 8)), 8)
    return FULL * full + (EIGHTHS[eighth] if eighth else "")


def stacked(
    columns: Sequence[Sequence[float]],
    labels: Sequence[str],
    *,
    height: int,
    width: int,
    scale: Callable[[float], str],
    plain: bool = False,
) -> list[str]:
    """Bars beside each other, each a stack of its parts from below, under a common scale: `height`
    lines and one of labels. The last columns are shown where not all fit into `width`."""
    top = nice(max((sum(column) for column in columns), default=0.0))
    marks = {height: scale(top), height - height // 2: scale(top * (height - height // 2) / height)}
    left = max(map(len, marks.values())) + 2
    each = max(2, min(8, (width - left) // max(1, len(columns))))
    fitting = max(1, (width - left) // each)
    columns, labels = columns[-fitting:], labels[-fitting:]
    shades = PLAIN_SHADES if plain else SHADES
    stacks = [stack(column, top, height, shades) for column in columns]
    lines: list[str] = []
    for level in range(height, 0, -1):
        mark = marks.get(level, "")
        edge = TICK if mark else AXIS
        cells = "".join((one[level - 1] * (each - 1)).ljust(each) for one in stacks)
        lines.append(f"{mark:>{left - 2}} {edge}{cells}".rstrip())
    lines.append(f"{'':>{left - 2}} {CORNER}{under(labels, each)}")
    return [line.translate(PLAIN_AXIS) for line in lines] if plain else lines


def nice(top: float) -> float:
    """The next number of the kind 1, 2, 4, 5 or 8 times a power of ten."""
    if top <= 0:
        return 1.0
    power = 10.0 ** floor(log10(top))
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= top * 0.9999)


def stack(parts: Sequence[float], top: float, height: int, shades: str) -> str:
    """One bar, its lowest cell first. What is not nothing has at least one cell."""
    cells, reached, drawn = "", 0.0, 0
    for index, part in enumerate(parts):
        reached += part
        end = round(height * reached / top)
        if part > 0 and not drawn and not end:
            end = 1
        cells += shades[min(index, len(shades) - 1)] * max(0, end - drawn)
        drawn = max(drawn, end)
    return cells[:height].ljust(height)


def under(labels: Sequence[str], each: int) -> str:
    """Labels below their bars, left out where they would run into each other."""
    line = ""
    for index, label in enumerate(labels):
        at = index * each
        if len(line) <= at and (not line or len(line) < at or each > len(label)):
            line = line.ljust(at, FLOOR) + label
    return line.ljust(len(labels) * each, FLOOR)
