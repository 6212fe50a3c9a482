"""The help screen: keys, and what the signs mean."""

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from .lines import Lines
from .watching import watching_of

TEXT = """\
help                                                      esc or ? closes

MOVE     j k ↑ ↓   g G first, last   pgup pgdn   1-3 views
LOOK     enter detail   space pause   f follow   esc back
FIND     /  words, !word, provider:groq status:failed task:code client:zed
TAKE     y copies the id of the row    : or ctrl+p commands    q quit

STATE    ▶ wait    sent, no token yet       ▶ stream  tokens arrive
         ↻ retry   waits for the next try   ✓ ok      finished
         ✗ budget  refused before sending   ✗ …       failed, see detail
         ◌ lost    its server died          ~         estimate or held
ROUTE    a ← b✗429    a answers; b failed before it with 429
TIME     ░ waits before a try  ▒ waits for a token  ▓ streams  █ failed
BUDGET   █ spent  ▒ held  ▕ where the window is now: beyond it is too fast
CIRCUIT  ● closed  ⊘ open  ◐ half-open  ■ held  ▒ cooling  ? no data
HEADER   ● servers are heard from  ○ none is  ◌ stale: numbers are old

ledger   {ledger}"""


class HelpScreen(ModalScreen[None]):
    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("escape,question_mark,q", "dismiss", "Close", show=False)
    ]

    def compose(self) -> ComposeResult:
        yield Lines(ascii_only=watching_of(self).ascii_only)

    def on_mount(self) -> None:
        watching = watching_of(self)
        self.set_class(watching.ascii_only, "ascii")
        ledger = watching.home / "ledger.db"
        self.query_one(Lines).show(TEXT.format(ledger=ledger).splitlines())
