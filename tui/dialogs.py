"""Questions over the screen: one to be confirmed, and a form with fields given as data."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import anyio.to_thread
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input

from .clean import clean
from .lines import Lines
from .watching import watching_of

Kind = Literal["text", "choice", "secret", "flag"]
Values = Mapping[str, str]
YES, NO = "yes", "no"


def fine(value: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing to fill in. `value` is what it holds first, "yes" or "no" for a flag; a choice is
    one of `choices`. `check` says in one sentence what is wrong with a value, or ""."""

    name: str
    label: str
    kind: Kind = "text"
    value: str = ""
    choices: Sequence[str] = ()
    hint: str = ""
    check: Callable[[str], str] = fine


class Pressed(Message):
    """A button was hit."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Press(Lines, can_focus=True):
    """A button drawn as text: `[ Yes ]`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "Press", show=False)]

    def __init__(self, name: str, text: str, *, ascii_only: bool) -> None:
        super().__init__(id=f"press-{name}", ascii_only=ascii_only)
        self.pressed, self.lines = name, [f"[ {text} ]"]
        self.styles.width = len(self.lines[0]) + 2

    def action_press(self) -> None:
        self.post_message(Pressed(self.pressed))

    def on_click(self) -> None:
        self.action_press()


class Pick(Lines, can_focus=True):
    """One of several values: left, right, space and a click go through them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,l", "turn(1)", "Next", show=False),
        Binding("left,h", "turn(-1)", "Previous", show=False),
    ]

    def __init__(self, choices: Sequence[str], value: str, *, id: str, ascii_only: bool) -> None:  # noqa: A002
        super().__init__(id=id, ascii_only=ascii_only)
        self.choices = tuple(choices)
        self.value = value if value in self.choices else self.choices[0]
        self.lines = self._text()

    def action_turn(self, by: int) -> None:
        at = (self.choices.index(self.value) + by) % len(self.choices)
        self.value = self.choices[at]
        self.show(self._text())

    def on_click(self) -> None:
        self.focus()
        self.action_turn(1)

    def _text(self) -> list[str]:
        return [f" < {clean(self.value)} >"]


class Confirm(ModalScreen[bool]):
    """A question with yes and no; what it does is said in full before it is done. `y` or yes
    answers True; `n`, escape, no and a click beside it False."""

    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
        Binding("left,right,h,l", "app.focus_next", "Other", show=False),
    ]

    def __init__(self, question: str, *, more: Sequence[str] = (), yes: str = "Yes") -> None:
        super().__init__()
        self.lines = [clean(question), *([""] if more else []), *(clean(line) for line in more)]
        self.yes = clean(yes)

    def compose(self) -> ComposeResult:
        plain = watching_of(self).ascii_only
        with VerticalScroll(id="box", can_focus=False):
            yield Lines(id="said", ascii_only=plain)
            with Horizontal(id="presses"):
                yield Press("yes", f"y {self.yes}", ascii_only=plain)
                yield Press("no", "n No", ascii_only=plain)

    def on_mount(self) -> None:
        self.set_class(watching_of(self).ascii_only, "ascii")
        said = self.query_one("#said", Lines)
        said.styles.height = len(self.lines)
        said.show(self.lines)
        self.query_one("#press-no").focus()

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.dismiss(False)

    @on(Pressed)
    def answered(self, message: Pressed) -> None:
        self.dismiss(message.name == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Form(ModalScreen[Values | None]):
    """Fields to fill in. `check` looks at all values together; `save`, in a thread, does what the
    form is for and says in one sentence why it could not, or "". As long as a sentence comes back
    the form stays and nothing has changed. Dismissed with the values, or None."""

    BINDINGS: list[BindingType] = [  # noqa: RUF012
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("ctrl+s", "save", "Save", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        *,
        check: Callable[[Values], str] = lambda values: "",
        save: Callable[[Values], str] | None = None,
        done: str = "Save",
    ) -> None:
        super().__init__()
        self.heading, self.fields = clean(title), tuple(fields)
        self.check, self.save, self.done = check, save, clean(done)
        self.saving = False

    def compose(self) -> ComposeResult:
        plain = watching_of(self).ascii_only
        with VerticalScroll(id="box", can_focus=False):
            yield Lines(id="said", ascii_only=plain)
            for field in self.fields:
                with Horizontal(classes="field"):
                    label = Lines(classes="label", ascii_only=plain)
                    label.lines = [clean(field.label)]
                    yield label
                    yield self._entry(field, plain)
                if field.hint:
                    hint = Lines(classes="hint", ascii_only=plain)
                    hint.lines = [clean(field.hint)]
                    yield hint
            yield Lines(id="wrong", ascii_only=plain)
            with Horizontal(id="presses"):
                yield Press("save", f"^s {self.done}", ascii_only=plain)
                yield Press("cancel", "esc Cancel", ascii_only=plain)

    def _entry(self, field: Field, plain: bool) -> Input | Pick:
        name = f"field-{field.name}"
        if field.kind in ("choice", "flag"):
            choices = field.choices if field.kind == "choice" else (NO, YES)
            return Pick(choices, field.value, id=name, ascii_only=plain)
        line = Input(
            clean(field.value),
            id=name,
            password=field.kind == "secret",
            compact=True,
            select_on_focus=False,
        )
        line.cursor_blink = False
        return line

    def on_mount(self) -> None:
        self.set_class(watching_of(self).ascii_only, "ascii")
        self.query_one("#said", Lines).show([self.heading])
        if self.fields:
            self.query_one(f"#field-{self.fields[0].name}").focus()

    def values(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for field in self.fields:
            entry = self.query_one(f"#field-{field.name}")
            assert isinstance(entry, Input | Pick)
            found[field.name] = entry.value.strip()
        return found

    def wrong(self, values: Values) -> str:
        """The first thing that is wrong, its field focused."""
        for field in self.fields:
            if said := field.check(values[field.name]):
                self.query_one(f"#field-{field.name}").focus()
                return f"{field.label}: {said}"
        return self.check(values)

    @on(Input.Submitted)
    def entered(self, message: Input.Submitted) -> None:
        """Enter goes to the next field, and from the last one saves."""
        message.stop()
        if message.input.id == f"field-{self.fields[-1].name}":
            self.action_save()
        else:
            self.focus_next()

    @on(Input.Changed)
    def changed(self, message: Input.Changed) -> None:
        message.stop()

    @on(Pressed)
    def hit(self, message: Pressed) -> None:
        if message.name == "save":
            self.action_save()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_save(self) -> None:
        values = self.values()
        if said := self.wrong(values):
            self._complain(said)
        elif self.save is None:
            self.dismiss(values)
        elif not self.saving:
            self.saving = True
            self.run_worker(self._saved(self.save, values), exclusive=True)

    async def _saved(self, save: Callable[[Values], str], values: Values) -> None:
        try:
            said = await anyio.to_thread.run_sync(save, values, abandon_on_cancel=True)
        finally:
            self.saving = False
        if said:
            self._complain(said)
        else:
            self.dismiss(values)

    def _complain(self, said: str) -> None:
        wrong = self.query_one("#wrong", Lines)
        wrong.show(textwrap.wrap(f"! {clean(said)}", max(20, wrong.size.width)))
