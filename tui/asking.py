"""Dialogs over a view, and work beside it: what comes after, only if the user went on."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from textual.screen import Screen

from .dialogs import Confirm, Form, Values

T = TypeVar("T")


def ask(view: Screen[None], question: Confirm, then: Callable[[], None]) -> None:
    """`then` is done after a yes, and only then."""

    def answered(yes: bool | None) -> None:
        if yes:
            then()

    view.app.push_screen(question, answered)  # pyright: ignore[reportUnknownMemberType]


def fill(view: Screen[None], form: Form, then: Callable[[Values], None]) -> None:
    """`then` gets what was filled in, and saved if the form saves; nothing when it is left."""

    def filled(values: Values | None) -> None:
        if values is not None:
            then(values)

    view.app.push_screen(form, filled)  # pyright: ignore[reportUnknownMemberType]


def beside(view: Screen[None], work: Callable[[], T], then: Callable[[T], None]) -> None:
    """Does what blocks in a thread; `then` gets its result on the app's own."""

    async def run() -> None:
        then(await anyio.to_thread.run_sync(work, abandon_on_cancel=True))

    view.run_worker(run())
