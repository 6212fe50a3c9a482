"""The help of a view: its keys, made of its actions, and what the signs mean."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from .actions import Action, key_of
from .draw import fit
from .lines import Lines
from .watching import watching_of

MOVES = ("down", "up", "first", "last", "page_down", "page_up")
FRAME = 5  # border, padding and scroll bar
INDENT, CELL = 9, 23
WIDEST = INDENT + 3 * CELL
LEGEND = """\
FIND     words  !not  provider:groq,openai  model:gpt*  status:err|ok|lost
         cost>0.01  dur>10  tok/s<20  attempts>1  fallback  since:30m  call:ID

STATE    ▶ wait    sent, no token yet       ▶ stream  tokens arrive
         ↻ retry   waits for the next try   ✓ ok      finished
         ✗ budget  refused before sending   ✗ …       failed, see detail
         ◌ lost    its server died          ~         estimate or held
ROUTE    a ← b✗429    a answers; b failed before it with 429
TIME     ░ waits before a try  ▒ waits for a token  ▓ streams  █ failed
BUDGET   █ spent  ▒ held  ▕ where the window is now: beyond it is too fast
CIRCUIT  ● closed  ⊘ open  ◐ half-open  ■ held  ▒ cooling  ? no data
HEADER   ● servers are heard from  ○ none is  ◌ stale: numbers are old"""


def help_lines(
    title: str,
    actions: Sequence[Action],
    keymap: Mapping[str, str],
    refusal: str,
    home: str,
    width: int = WIDEST,
) -> list[str]:
    """`refusal` says why nothing may be changed from here, or ""."""
    own = [one for one in actions if one.name not in MOVES]
    keys = {one.name: key_of(one, keymap) for one in actions}
    moves = " ".join(keys[name] for name in MOVES if name in keys)
    lines = [f"help · {title}  (esc or ? closes)", "", f"MOVE     {moves}   1-6 views"]
    cells = [fit(f"{keys[one.name]} {one.title}", CELL) for one in own]
    columns = max(1, (width - INDENT) // CELL)
    for at in range(0, len(cells), columns):
        head = fit("" if at else "DO", INDENT)
        lines.append((head + "".join(cells[at : at + columns])).rstrip())
    if refusal:
        lines.append(f"{' ' * INDENT}{refusal}")
    lines += ["", *LEGEND.splitlines(), "", f"config   {home}/config.toml, keys in [tui.keys]"]
    return [part for line in (*lines, f"ledger   {home}/ledger.db") for part in cut(line, width)]


def cut(line: str, width: int) -> list[str]:
    """The line on as many lines as it needs, cut where it has two spaces or one."""
    if cell_len(line) <= width or width <= INDENT + 1:
        return [line]
    at = max(line.rfind("  ", INDENT, width), 0) or max(line.rfind(" ", INDENT, width), 0)
    if at <= INDENT:
        return [line]
    return [line[:at].rstrip(), *cut(" " * INDENT + line[at:].strip(), width)]


class HelpScreen(ModalScreen[None]):
    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("escape,question_mark,q", "dismiss", "Close", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, title: str, actions: Sequence[Action]) -> None:
        super().__init__()
        self.heading, self.actions = title, actions

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Lines(ascii_only=watching_of(self).ascii_only)

    def on_mount(self) -> None:
        self.set_class(watching_of(self).ascii_only, "ascii")

    def on_resize(self, event: events.Resize) -> None:
        watching = watching_of(self)
        lines = help_lines(
            self.heading,
            self.actions,
            watching.keymap,
            watching.refuses_to_act(),
            str(watching.home),
            min(WIDEST, event.size.width - FRAME),
        )
        shown = self.query_one(Lines)
        shown.styles.height = len(lines)
        shown.show(lines)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
