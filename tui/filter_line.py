"""The line a filter is typed in, and the keys that came before it was there."""

from collections import deque

from textual import events
from textual.message import Message
from textual.widgets import Input

HINT = "words  !not  provider:groq  status:err  cost>0.01  since:30m"


class KeysPassed(Message):
    """Sent after all keys that went to the table: when it arrives, so have they."""


class FilterLine(Input):
    """A terminal that passes on what is pasted sends all keys at once: those after the one that
    asks for this line are on their way to the table by then, and come to the app as nobody's.
    The app hands them on with `heard_before`; what comes here waits for them until `begin`."""

    def __init__(self, text: str) -> None:
        super().__init__(text, placeholder=HINT, id="filter", compact=True, select_on_focus=False)
        self.cursor_blink = False
        self._begun = False
        self._before: list[events.Key] = []
        self._meanwhile: list[events.Event] = []
        self._had: deque[events.Event] = deque(maxlen=32)

    def has_had(self, event: events.Event) -> bool:
        """Did it come here, and was of no use?"""
        return any(each is event for each in self._had)

    def heard_before(self, event: events.Key) -> None:
        self._before.append(event)

    def begin(self) -> None:
        """All keys that went to the table have been handed on."""
        self._begun = True
        for event in (*self._before, *self._meanwhile):
            self.post_message(event)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste):
            self._had.append(event)
            if not self._begun:
                self._meanwhile.append(event)
                event.stop()
                return
        await super().on_event(event)
