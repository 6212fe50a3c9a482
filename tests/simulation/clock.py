"""Time that costs none: an event loop whose clock jumps to the next timer when nothing is ready."""

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
MOST_TURNS = 400_000  # of the loop without time passing, before we call it a spin


class Stuck(BaseException):
    """Nothing will ever happen again, or the same thing over and over."""


class Waiting(selectors.SelectSelector):
    """A selector that waits for no file: waiting is what moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("every task waits, and there is no timer")
        if timeout > 0:
            self.now += timeout
            self.turns = 0
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Stuck("tasks run on and on, and no time passes")
        return []


class Numbered(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address: runs repeat exactly."""

    numbers = count()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.number = next(self.numbers)
        super().__init__(*arguments, **named)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.SelectorEventLoop):
    """Threads and sockets do not belong here."""

    def __init__(self) -> None:
        self.waiting = Waiting()
        super().__init__(self.waiting)
        numbers = count()

        def numbered(
            loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any
        ) -> asyncio.Future[Any]:
            task = Numbered(coroutine, loop=loop, **named)
            task.number = next(numbers)
            return task

        self.set_task_factory(numbered)

    def time(self) -> float:
        return self.waiting.now


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """What `main` returns; what is left of its tasks is ended, not awaited for ever."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=10.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
