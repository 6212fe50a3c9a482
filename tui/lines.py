"""Lines of finished text, never parsed as markup, repainted only when changed."""

import re
from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from .draw import fit
from .glyphs import LOOK, TONES, in_ascii

SIGNS = re.compile(f"([{''.join(TONES)}])")


class Lines(Widget):
    """Signs are coloured by what they mean; a line that starts with `!` is coloured whole."""

    COMPONENT_CLASSES = {  # noqa: RUF012
        "lines--ok",
        "lines--warn",
        "lines--err",
        "lines--busy",
        "lines--dim",
    }

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
        ascii_only: bool = False,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.ascii_only = ascii_only
        self.lines: Sequence[str] = ()

    def show(self, lines: Sequence[str]) -> None:
        before, self.lines = self.lines, lines
        for y in range(max(len(lines), len(before))):
            if lines[y : y + 1] != before[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        if y >= len(self.lines):
            return Strip.blank(width, style)
        line = fit(self.lines[y], width)
        if line.lstrip().startswith(LOOK):
            style += self.get_component_rich_style("lines--warn", partial=True)
        segments: list[Segment] = []
        for part in SIGNS.split(line):
            tone = TONES.get(part)
            shade = self.get_component_rich_style(f"lines--{tone}", partial=True) if tone else None
            text = in_ascii(part) if self.ascii_only else part
            segments.append(Segment(text, style + shade if shade else style))
        return Strip(segments, width)
