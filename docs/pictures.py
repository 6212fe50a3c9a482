"""Draws the pictures of the terminal interface that README.md shows.

    uv run python docs/pictures.py           # write them
    uv run python docs/pictures.py --check   # say which are out of date, and exit with 1

They show the ledger the tests of the interface use, at their moment, so they change only when a
view does. A picture is plain SVG: no font, link or script from anywhere.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import anyio
import click
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
sys.path[:0] = [str(ROOT / "tests" / "tui"), str(ROOT / "tests")]

SIZE = (120, 36)
CELL, LINE, EDGE = 8.4, 18.0, 12.0
BASELINE = 13.5
PAPER, INK = "#14171C", "#D8DEE9"
FONT = "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What fills the ledger, the key of the view, what is pressed in it, and whether a call is
    then looked at closely."""

    seed: str = "seeds.seed"
    key: str
    more: Sequence[str] = ()
    close: bool = False


VIEWS: Mapping[str, View] = {
    "live": View(key="1", more=(*["j"] * 9, "enter"), close=True),
    "budgets": View(key="2", more=("enter",)),
    "circuits": View(key="3", more=("enter",)),
    "cost": View(seed="spends.spend", key="5"),
}


def svg(lines: Iterable[Iterable[Segment]], title: str) -> str:
    """A screen as a picture; `title` is what is read aloud in its place."""
    width, height = SIZE[0] * CELL + 2 * EDGE, SIZE[1] * LINE + 2 * EDGE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>\n'
        f'<g font-family="{FONT}" font-size="14" fill="{INK}" xml:space="preserve">\n'
    )
    drawn = (piece for y, line in enumerate(lines) for piece in pieces(line, y))
    return head + "".join(f"{piece}\n" for piece in drawn) + "</g>\n</svg>\n"


def pieces(line: Iterable[Segment], y: int) -> Iterable[str]:
    """The boxes and the words of one line. A word says how long it is, whatever the font."""
    x, top = 0, EDGE + y * LINE
    for text, style, _ in line:
        cells = cell_len(text)
        ink, paper, bold = worn(style)
        if paper != PAPER:
            at = f'x="{EDGE + x * CELL:g}" y="{top:g}"'
            yield f'<rect {at} width="{cells * CELL:g}" height="{LINE:g}" fill="{paper}"/>'
        for begin, word in words(text):
            at = f'x="{EDGE + (x + begin) * CELL:g}" y="{top + BASELINE:g}"'
            look = (f' fill="{ink}"' if ink != INK else "") + (' font-weight="bold"' * bold)
            long = f'textLength="{cell_len(word) * CELL:g}" lengthAdjust="spacingAndGlyphs"'
            yield f"<text {at} {long}{look}>{escape(word)}</text>"
        x += cells


def words(text: str) -> Iterable[tuple[int, str]]:
    """What two spaces or more divide, and where each begins, in cells."""
    begin = 0
    for part in text.split("  "):
        stripped = part.strip()
        if stripped:
            yield begin + cell_len(part) - cell_len(part.lstrip()), stripped
        begin += cell_len(part) + 2


def worn(style: Style | None) -> tuple[str, str, bool]:
    """Ink, paper, and whether it is bold."""
    if style is None:
        return INK, PAPER, False
    ink = style.color.triplet.hex.upper() if style.color and style.color.triplet else INK
    paper = style.bgcolor.triplet.hex.upper() if style.bgcolor and style.bgcolor.triplet else PAPER
    return (paper, ink, bool(style.bold)) if style.reverse else (ink, paper, bool(style.bold))


async def drawn() -> dict[str, str]:
    """Every picture by its name. The ledgers are written into folders of the one we are in."""
    screens: Any = import_module("screens")
    found: dict[str, str] = {}
    place = Path.cwd()
    for name, view in VIEWS.items():
        os.mkdir(place / name)
        os.chdir(place / name)
        seeder, _, seed = view.seed.partition(".")
        getattr(import_module(seeder), seed)(screens.HOME)
        async with screens.watched(SIZE) as (app, pilot):
            await screens.shown(app, pilot, view.key)
            await pilot.press(*view.more)
            await screens.until(pilot, partial(settled, app, close=view.close))
            found[name] = svg(screens.strips_of(app), f"roundhouse watch: {name}")
        os.chdir(place)
    return found


def settled(app: Any, *, close: bool) -> bool:
    return not close or app.store.snapshot.detail is not None


def stale(found: Mapping[str, str]) -> list[str]:
    """The pictures that are out of date."""
    files = {name: PICTURES / f"{name}.svg" for name in found}
    return [
        name
        for name, file in files.items()
        if not file.exists() or file.read_text(encoding="utf-8") != found[name]
    ]


def main() -> None:
    for name in ("NO_COLOR", "ROUNDHOUSE_HOME"):
        os.environ.pop(name, None)
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        found = anyio.run(drawn)
        os.chdir(ROOT)
    old = stale(found)
    for name in old:
        if "--check" in sys.argv:
            click.echo(f"docs/pictures/{name}.svg is out of date")
        else:
            (PICTURES / f"{name}.svg").write_text(found[name], encoding="utf-8")
            click.echo(f"docs/pictures/{name}.svg is written")
    sys.exit(bool(old) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
