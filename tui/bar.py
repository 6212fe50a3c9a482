"""The header line."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events

from .lines import Lines
from .watching import watching_of

TABS = (  # mode, key, title, its short form
    ("live", "1", "Live", "Live"),
    ("budgets", "2", "Budgets", "Bud"),
    ("circuits", "3", "Circuits", "Circ"),
    ("providers", "4", "Providers", "Prov"),
    ("cost", "5", "Cost", "Cost"),
    ("servers", "6", "Servers", "Srv"),
)


class Bar(Lines):
    """The header: views on the left, the state of everything on the right."""

    ends: Sequence[tuple[int, int, str]] = ()

    def show_tabs(self, current: str, right: str, width: int) -> None:
        """The longest form that fits; the right end stays."""
        full = [(name, f"{key} {title}") for name, key, title, _ in TABS]
        short = [(name, f"{key}{title}") for name, key, _, title in TABS]
        left = ""
        for title, tabs in ((" Roundhouse ", full), (" ", full), (" Roundhouse ", short)):
            left, self.ends = tab_line(title, tabs, current)
            if cell_len(left) + cell_len(right) + 2 <= width:
                break
        else:
            left, self.ends = tab_line("", short, current, tight=True)
        gap = max(1, width - cell_len(left + right) - 1)
        self.show([left + " " * gap + right])

    def on_click(self, event: events.Click) -> None:
        """Go to the tab that was hit."""
        for begin, end, name in self.ends:
            if begin <= event.x < end:
                watching_of(self).switch_mode(name)


def tab_line(
    title: str, tabs: Sequence[tuple[str, str]], current: str, *, tight: bool = False
) -> tuple[str, list[tuple[int, int, str]]]:
    """The tabs as text, and where each begins and ends."""
    line, ends = title, list[tuple[int, int, str]]()
    for name, text in tabs:
        begin = cell_len(line)
        line += f"[{text}]" if name == current else f" {text}" if tight else f" {text} "
        ends.append((begin, cell_len(line), name))
    return line, ends
