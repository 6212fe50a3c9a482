"""What a user can do in a view, as data: bindings, footer, help and commands are made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`do_NAME(row_key)` of the view does it. `key` may name several, with commas, as Textual
    calls them. `word` is its place in the footer, "" for none; `needs_row` wants a row under the
    cursor; `steers` changes something outside this screen, so read-only refuses it. `name` is
    also what the user's keymap calls it."""

    name: str
    key: str
    title: str
    word: str = ""
    needs_row: bool = False
    steers: bool = False


FRAME = (  # what every view has
    Action(name="detail", key="enter", title="Open the detail", word="detail"),
    Action(name="filter", key="slash", title="Filter", word="filter"),
    Action(name="help", key="question_mark", title="Help", word="help"),
    Action(name="quit", key="q", title="Quit", word="quit"),
    Action(name="pause", key="space", title="Pause or go on", word="pause"),
    Action(name="commands", key="colon,ctrl+p", title="Commands", word="commands"),
    Action(name="copy", key="y", title="Copy", word="copy", needs_row=True),
    Action(name="down", key="j,down", title="Down"),
    Action(name="up", key="k,up", title="Up"),
    Action(name="first", key="g,home", title="First row"),
    Action(name="last", key="G,end", title="Last row"),
    Action(name="page_down", key="pagedown", title="Page down"),
    Action(name="page_up", key="pageup", title="Page up"),
    Action(name="back", key="escape", title="Back"),
    Action(name="pane", key="tab", title="Next pane of the detail"),
    Action(name="follow", key="f", title="Follow the newest", word="follow"),
)
SHOWN = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "escape": "esc",
    "plus": "+",
    "minus": "-",
    "comma": ",",
    "full_stop": ".",
    "pagedown": "pgdn",
    "pageup": "pgup",
}


def bindings_of(actions: Sequence[Action]) -> list[BindingType]:
    """The keymap knows each binding by the name of its action."""
    return [
        Binding(one.key, f"act('{one.name}')", one.title, show=False, id=one.name)
        for one in actions
    ]


def shown_key(key: str) -> str:
    """The first of its keys, as a person writes it."""
    first = key.split(",")[0].strip()
    return SHOWN.get(first, first)
