"""Where lines go that a script or a person reads: they may stop reading at any time."""

import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from .glyphs import in_ascii


class Closed(Exception):
    """Nobody reads any more."""


class Outlet:
    """Writes whole lines at once. A stream that cannot show our signs gets their stand-ins."""

    def __init__(self, stream: TextIO | None = None, *, ascii_only: bool = False) -> None:
        self.stream = stream or sys.stdout
        self.ascii_only = ascii_only or "utf" not in (self.stream.encoding or "").lower()

    def say(self, lines: Iterable[str]) -> None:
        """Raises Closed."""
        text = "".join(f"{in_ascii(line) if self.ascii_only else line}\n" for line in lines)
        if not text:
            return
        try:
            self.stream.write(text.encode("utf-8", "replace").decode("utf-8"))
            self.stream.flush()
        except OSError:  # a closed pipe; Windows says so in other words
            self.give_up()
            raise Closed from None

    def finish(self, lines: Iterable[str]) -> None:
        """The last of it; no matter whether anybody still reads."""
        with suppress(Closed):
            self.say(lines)

    def gone(self) -> bool:
        """Has the reader left, as far as the system tells?"""
        if not hasattr(select, "poll"):
            return False
        try:
            looked = select.poll()
            looked.register(self.stream.fileno(), 0)
            return any(event & (select.POLLERR | select.POLLNVAL) for _, event in looked.poll(0))
        except (OSError, ValueError):
            return False

    def give_up(self) -> None:
        """What is still buffered goes nowhere, so that the end of the program does not complain."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self.stream.fileno())
        except (OSError, ValueError):
            pass
        finally:
            os.close(nowhere)
