"""The calls that ended in the last hour, counted as they come and go."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from ..server.ledger.watch import Finished

HOUR_S = 3600.0
MANY = 100  # from so many new calls on it is cheaper to count all again


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHour:
    """Of the finished calls held. `partial`: more calls ended in this hour than are held."""

    calls: int = 0
    errors: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    partial: bool = False


def took(call: Finished) -> float:
    return call.ended - call.started


def failed(call: Finished) -> bool:
    return call.status not in ("ok", "cancelled")


class Hour:
    """Of at most `most` calls."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        self._newest = 0
        self._calls: deque[Finished] = deque()  # the newest first
        self._took: list[float] = []
        self._errors = 0

    def seen(self, held: Iterable[Finished], now: float) -> LastHour:
        """With all calls that are held, the newest first."""
        began = now - HOUR_S
        fresh = list(takewhile(lambda call: call.id > self._newest, held))
        if len(fresh) >= MANY:
            self.clear()
            self._calls.extend(takewhile(lambda call: call.ended >= began, held))
            self._took = sorted(map(took, self._calls))
            self._errors = sum(map(failed, self._calls))
        else:
            for call in reversed(fresh):
                self._calls.appendleft(call)
                insort(self._took, took(call))
                self._errors += failed(call)
        if fresh:
            self._newest = fresh[0].id
        self._forget(began)
        return self._told()

    def _forget(self, before: float) -> None:
        calls = self._calls
        while calls and (calls[-1].ended < before or len(calls) > self.most):
            call = calls.pop()
            del self._took[bisect_left(self._took, took(call))]
            self._errors -= failed(call)

    def _told(self) -> LastHour:
        count = len(self._took)
        if not count:
            return LastHour()
        return LastHour(
            calls=count,
            errors=self._errors,
            p50_s=self._took[count // 2],
            p95_s=self._took[min(count - 1, int(count * 0.95))],
            partial=count == self.most,
        )
