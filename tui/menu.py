"""A short list to choose from, by its letters, the arrows or the mouse."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from .clean import clean
from .lines import Lines
from .watching import watching_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """`key` is one letter; `name` is what choosing it answers."""

    name: str
    key: str
    label: str


class Menu(ModalScreen[str]):
    """Dismissed with the name of what was chosen, "" when nothing was."""

    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("escape,q", "dismiss('')", "Close", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]

    def __init__(self, title: str, options: Sequence[Option]) -> None:
        super().__init__()
        self.heading, self.options = clean(title), tuple(options)
        self.at = 0

    def compose(self) -> ComposeResult:
        yield Lines(ascii_only=watching_of(self).ascii_only)

    def on_mount(self) -> None:
        self.set_class(watching_of(self).ascii_only, "ascii")
        lines = self.query_one(Lines)
        lines.styles.height = len(self.options) + 3
        self._show()

    def action_move(self, by: int) -> None:
        self.at = (self.at + by) % len(self.options)
        self._show()

    def action_choose(self) -> None:
        self.dismiss(self.options[self.at].name)

    def on_key(self, event: events.Key) -> None:
        for option in self.options:
            if event.character == option.key:
                event.stop()
                self.dismiss(option.name)
                return

    def on_click(self, event: events.Click) -> None:
        """A line chooses; beside the list nothing is chosen."""
        if event.widget is self:
            self.dismiss("")
            return
        at = event.get_content_offset(self.query_one(Lines))
        if at is not None and 1 <= at.y <= len(self.options):
            self.dismiss(self.options[at.y - 1].name)

    def _show(self) -> None:
        marked = enumerate(self.options)
        rows = [
            f"{'>' if index == self.at else ' '} {option.key}  {clean(option.label)}"
            for index, option in marked
        ]
        self.query_one(Lines).show([self.heading, *rows])
