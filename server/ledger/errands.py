"""Work asked of a ledger thread, and the ways its answer travels back."""

import logging
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterable
from concurrent import futures

from .driver import Connection

logger = logging.getLogger(__name__)


class Errand:
    """One operation on a connection. It is done whether or not anybody still waits for it."""

    __slots__ = ("error", "operation", "result")
    lasting = False  # kept and tried again while the store fails

    def __init__(self, operation: Callable[[Connection], object]) -> None:
        self.operation = operation
        self.result: object = None
        self.error: Exception | None = None


class Awaited(Errand):
    """Answered on the event loop of the task that waits."""

    __slots__ = ("future", "loop")

    def __init__(
        self,
        operation: Callable[[Connection], object],
        loop: AbstractEventLoop,
        future: "Future[object]",
    ) -> None:
        super().__init__(operation)
        self.loop = loop
        self.future = future

    def arrive(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Blocking(Errand):
    """Answered to a thread that waits."""

    __slots__ = ("future",)

    def __init__(self, operation: Callable[[Connection], object]) -> None:
        super().__init__(operation)
        self.future = futures.Future[object]()

    def arrive(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Lasting(Errand):
    """Nobody waits. While the store fails it is kept and tried again."""

    __slots__ = ()
    lasting = True

    def arrive(self) -> None:
        if self.error is not None:
            logger.error("a ledger write failed: %s", self.error)


class Passing(Errand):
    """Nobody waits, and nobody minds if it is not done."""

    __slots__ = ()

    def arrive(self) -> None:
        if self.error is not None:
            logger.debug("a ledger write was dropped: %s", self.error)


def answer(errands: Iterable[Errand]) -> None:
    """Tell everybody their result, waking each event loop once."""
    loops: dict[AbstractEventLoop, list[Awaited]] = {}
    for errand in errands:
        if isinstance(errand, Awaited):
            loops.setdefault(errand.loop, []).append(errand)
        elif isinstance(errand, Blocking | Lasting | Passing):
            errand.arrive()
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(arrive, waiting)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            logger.debug("%d ledger answers came after the end of the loop", len(waiting))


def arrive(waiting: Iterable[Awaited]) -> None:
    for errand in waiting:
        errand.arrive()
