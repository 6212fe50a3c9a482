"""The line before the gate: who waits, since when, written where all can read it.

It is advice, never a lock: a wrong or missing entry costs a turn, not money. Whoever waits shows
every few milliseconds that it still does; one that was killed or stopped is passed after
`FRESH_S`, and finds its old place if it comes back. Places of PLACE bytes lie in the gate file
behind the number of the last commit.
"""

import os
import random
import struct
import time
from contextlib import suppress

PLACE = struct.Struct("=Qdd")  # who (0 nobody), waiting since, last seen: monotonic seconds
PLACES = 64
OFFSET = 512
FRESH_S = 0.05
BEAT_S = 0.01
NOBODY = PLACE.pack(0, 0.0, 0.0)


class Line:
    """One waiter's view of the line; `since` is when it came."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.name = random.getrandbits(64) | 1
        self.place: int | None = None
        self.seen = float("-inf")

    def ahead(self, fd: int) -> int:
        """How many have been waiting for longer."""
        now = time.monotonic()
        return sum((since, name) < (self.since, self.name) for name, since in waiting(fd, now))

    def stand(self, fd: int) -> None:
        """Show that we wait. In a line that is full we are not seen, and others may go first."""
        now = time.monotonic()
        if now - self.seen < BEAT_S:
            return
        places = read(fd)
        if self.place is None or places[self.place][0] != self.name:
            free = [n for n, place in enumerate(places) if not fresh(place, now)]
            self.place = random.choice(free) if free else None
        if self.place is not None:
            write(fd, self.place, PLACE.pack(self.name, self.since, now))
        self.seen = now

    def leave(self, fd: int) -> None:
        if self.place is not None and read(fd)[self.place][0] == self.name:
            write(fd, self.place, NOBODY)
        self.place = None


def waiting(fd: int, now: float) -> list[tuple[int, float]]:
    """Everyone in the line, as name and since when."""
    return [place[:2] for place in read(fd) if fresh(place, now)]


def fresh(place: tuple[int, float, float], now: float) -> bool:
    """A place of another boot may have any time, of the future too."""
    name, _, seen = place
    return name != 0 and abs(now - seen) < FRESH_S


def read(fd: int) -> list[tuple[int, float, float]]:
    size = PLACE.size * PLACES
    found = b""
    with suppress(OSError):
        os.lseek(fd, OFFSET, os.SEEK_SET)
        found = os.read(fd, size)
    return list(PLACE.iter_unpack(found.ljust(size, b"\0")))


def write(fd: int, place: int, content: bytes) -> None:
    with suppress(OSError):  # on a full disk turns are less fair
        os.lseek(fd, OFFSET + place * PLACE.size, os.SEEK_SET)
        os.write(fd, content)
