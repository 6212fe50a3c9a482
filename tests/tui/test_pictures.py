"""The pictures in README.md show the screens that are accepted here."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from screens import GOLDEN

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
SHOWN = {  # picture -> the screen it is of
    "live": "live_detail",
    "budgets": "budgets_detail",
    "circuits": "circuits_detail",
    "cost": "cost",
}
CELL, LINE, EDGE, BASELINE = 8.4, 18.0, 12.0, 13.5
pytestmark = pytest.mark.skipif(
    not PICTURES.is_dir(), reason="the pictures are not beside the tests"
)
every_picture = pytest.mark.parametrize("name", SHOWN)


def text_of(picture: Path) -> list[str]:
    """The words of a picture, each put where it stands."""
    rows = [[" "] * 120 for _ in range(36)]
    for word in ElementTree.fromstring(picture.read_text(encoding="utf-8")).iter():
        if word.tag.endswith("}text"):
            x = round((float(word.attrib["x"]) - EDGE) / CELL)
            y = round((float(word.attrib["y"]) - EDGE - BASELINE) / LINE)
            text = word.text or ""
            rows[y][x : x + len(text)] = text
    return ["".join(row).rstrip() for row in rows]


@every_picture
def test_a_picture_says_what_its_screen_says(name: str) -> None:
    screen = (GOLDEN / f"{SHOWN[name]}_120x36.txt").read_text(encoding="utf-8")

    assert text_of(PICTURES / f"{name}.svg") == screen.splitlines(), (
        "uv run python docs/pictures.py draws them anew"
    )


@every_picture
def test_a_picture_needs_nothing_from_elsewhere(name: str) -> None:
    text = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")

    assert re.findall(r"(?:https?:)?//[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<(script|style|image|a|foreignObject)\b|@font-face|href", text)


@pytest.mark.slow
def test_the_pictures_are_as_they_would_be_drawn_now() -> None:
    program = [sys.executable, str(ROOT / "docs" / "pictures.py"), "--check"]

    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
