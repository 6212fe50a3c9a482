"""What a user does in a view: its actions, those of every view, the filter line, the mouse."""

from inspect import isawaitable

from textual import on
from textual.widgets import Input

from .bar import TABS
from .contents import Contents as Contents
from .filter_line import FilterLine, KeysPassed
from .frame import EVERY_COLUMN, Frame
from .table import Table


class View(Frame):
    """`do_NAME(key)` does the action NAME on the row with that key, "" when there is none."""

    async def action_act(self, name: str) -> None:
        """Do one of the actions of this view, or say why not."""
        action = next(one for one in self.actions() if one.name == name)
        key = self.query_one(Table).cursor_key
        if refusal := self.may(action, key):
            self.watching.say(f"{action.title}: {refusal}", "warning")
            return
        done = getattr(self, f"do_{name}")(key)
        if isawaitable(done):
            await done

    def do_down(self, key: str) -> None:
        self.query_one(Table).move(1)

    def do_up(self, key: str) -> None:
        self.query_one(Table).move(-1)

    def do_page_down(self, key: str) -> None:
        self.query_one(Table).page(1)

    def do_page_up(self, key: str) -> None:
        self.query_one(Table).page(-1)

    def do_first(self, key: str) -> None:
        self.query_one(Table).go_first()

    def do_last(self, key: str) -> None:
        self.query_one(Table).go_last()

    def do_follow(self, key: str) -> None:
        self.query_one(Table).follow()
        self.show()

    def do_pause(self, key: str) -> None:
        self.watching.pause()

    def do_help(self, key: str) -> None:
        from .help import HelpScreen

        title = next(title for name, _, title, _ in TABS if name == self.NAME)
        self.watching.push_screen(HelpScreen(title, self.actions()))

    def do_commands(self, key: str) -> None:
        self.watching.action_command_palette()

    def do_quit(self, key: str) -> None:
        self.watching.exit()

    def do_pane(self, key: str) -> None:
        self.which = self.DETAILS[(self.DETAILS.index(self.which) + 1) % len(self.DETAILS)]
        self._detailed(True)

    def do_detail(self, key: str) -> None:
        self._detailed(not self.has_class("detailed"))

    def do_back(self, key: str) -> None:
        """One step: the filter line, then the detail, then the filter."""
        if self.query(Input):
            self._close_filter("")
        elif self.has_class("detailed"):
            self._detailed(False)
        elif self.filter_text:
            self.filter("")

    def do_sort(self, key: str) -> None:
        self.arranger.next(self.shown[0])
        self.show()

    def do_reverse(self, key: str) -> None:
        self.arranger.turn_round(self.shown[0])
        self.show()

    def do_columns(self, key: str) -> None:
        from . import takes  # not before it is needed: the first screen is awaited

        takes.choose_columns(self, self.columns_for(EVERY_COLUMN))

    def do_copy(self, key: str) -> None:
        from . import takes

        takes.copy(self, key)

    def do_export(self, key: str) -> None:
        from . import takes

        takes.export(self)

    async def do_filter(self, key: str) -> None:
        """Keys typed after this one wait until the line is there: none of them is an action."""
        if not self.query(Input):
            line = FilterLine(self.filter_text)
            await self.mount(line, before="#keys")
            self.set_focus(line)
            self.query_one(Table).post_message(KeysPassed())

    @on(Input.Changed)
    def filter_typed(self, message: Input.Changed) -> None:
        self.call_later(self._typed, message.value)

    def _typed(self, text: str) -> None:
        """Keys that come faster than thousands of rows are filtered are filtered for once."""
        if any(line.value == text for line in self.query(Input)):
            self.filter(text)

    @on(Input.Submitted)
    def filter_entered(self, message: Input.Submitted) -> None:
        self._close_filter(message.value)

    @on(Table.TitleHit)
    def title_hit(self, message: Table.TitleHit) -> None:
        self.arranger.turn(self.shown[0], message.column)
        self.show()

    @on(Table.Moved)
    def cursor_moved(self) -> None:
        self.show_detail(self.watching.look())

    @on(Table.Chosen)
    def row_chosen(self) -> None:
        self._detailed(True)

    def _detailed(self, wanted: bool) -> None:
        self.set_class(wanted, "detailed")
        if not wanted:
            self.query_one(Table).focus()
        self.call_after_refresh(self.show)

    def filter(self, text: str) -> None:
        """Show only what the filter keeps."""
        self.filter_text = text
        if self.SEARCHES:
            self.watching.search(text)
        self.show()

    def _close_filter(self, text: str) -> None:
        self.query(Input).remove()
        self.query_one(Table).focus()
        self.filter(text)
