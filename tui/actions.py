"""What a user can do in a view, as data: bindings, footer, help and commands are made of it."""

from collections.abc import Mapping, Sequence
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
    Action(name="pause", key="space", title="Pause or go on", word="pause"),
    Action(name="sort", key="s", title="Sort by next column", word="sort"),
    Action(name="reverse", key="S", title="Sort the other way"),
    Action(name="columns", key="c", title="Choose columns", word="columns"),
    Action(name="export", key="e", title="Export these rows", word="export"),
    Action(name="copy", key="y", title="Copy", word="copy", needs_row=True),
    Action(name="follow", key="f", title="Follow the newest", word="follow"),
    Action(name="commands", key="colon,ctrl+p", title="Commands", word="commands"),
    Action(name="help", key="question_mark", title="Help", word="help"),
    Action(name="quit", key="q", title="Quit", word="quit"),
    Action(name="down", key="j,down", title="Down"),
    Action(name="up", key="k,up", title="Up"),
    Action(name="first", key="g,home", title="First row"),
    Action(name="last", key="G,end", title="Last row"),
    Action(name="page_down", key="pagedown", title="Page down"),
    Action(name="page_up", key="pageup", title="Page up"),
    Action(name="back", key="escape", title="Back"),
    Action(name="pane", key="tab", title="Next pane"),
)
ALWAYS = frozenset(["commands", "help", "quit"])
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


def key_of(action: Action, keymap: Mapping[str, str]) -> str:
    """Its key as a person writes it; the user's own wins."""
    return shown_key(keymap.get(action.name, action.key))


def footer(
    actions: Sequence[tuple[Action, str]],
    keymap: Mapping[str, str],
    width: int,
    *,
    detailed: bool,
) -> str:
    """What fits: the view's own first; help and quit always. Each action comes with why it cannot
    be done now, or ""; it is then in parentheses."""
    words = ["esc back", "j/k next"] if detailed else []
    last: list[str] = []
    for one, refusal in actions:
        if one.word and not (detailed and one.name == "detail"):
            word = f"{key_of(one, keymap)} {one.word}"
            (last if one.name in ALWAYS else words).append(f"({word})" if refusal else word)
    end = "  ".join(last)
    line = " "
    for word in words:
        if len(line) + len(word) + 2 + len(end) <= width:
            line += f"{word}  "
    return line + end
