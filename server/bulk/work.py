"""The work of a batch: requests asked, so many at a time, each answer written as it comes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio

from ..errors import OverBudget
from ..library import Answer, Models, Refused
from ..repeats import Repeated
from .lines import Line
from .output import Output

MOST_WAITS = 3
LONGEST_WAIT_S = 120.0
WAITED_FOR = {"rate_limited", "no_route", "busy", "all_failed"}


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a batch has come to. Money is nano-dollars; `unpriced` answers have no known cost.
    `again`: answers that were made in an earlier run and lost with it, now asked for again. `full`
    is the budget that ended it."""

    total: int
    answered: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    again: int = 0
    failed: list[tuple[Line, Refused]] = field(default_factory=list[tuple[Line, Refused]])
    full: Refused | None = None

    @property
    def ended(self) -> int:
        return self.answered + len(self.failed)

    @property
    def left(self) -> int:
        return self.total - self.ended


async def work(
    models: Models,
    lines: Sequence[Line],
    output: Output,
    progress: Progress,
    *,
    concurrency: int,
    tell: Callable[[], None],
) -> None:
    """Asks every line. `tell` is called whenever one ended. A budget that is full ends it: what
    runs is finished, nothing new is begun."""
    waiting = iter(lines)

    async def worker() -> None:
        for line in waiting:
            if progress.full is not None:
                return
            await one(models, line, output, progress)
            tell()

    async with anyio.create_task_group() as group:
        for _ in range(min(concurrency, len(lines))):
            group.start_soon(worker)


async def one(models: Models, line: Line, output: Output, progress: Progress) -> None:
    try:
        answer = await answered(models, line, progress)
    except Refused as refused:
        if isinstance(refused.declined, OverBudget):
            progress.full = refused
        else:
            progress.failed.append((line, refused))
        return
    output.add(line, answer.said)
    progress.answered += 1
    if answer.cost_usd is None:
        progress.unpriced += 1
    else:
        progress.cost_nano += round(answer.cost_usd * 1e9)


async def answered(models: Models, line: Line, progress: Progress) -> Answer:
    """The whole answer; what opens again shortly is waited for. Raises Refused."""
    waits = 0
    names = keys(line)
    key = next(names)
    while True:
        try:
            answer = await models.complete(**{**line.arguments, "idempotency_key": key})
            while answer.finish_reason == "timeout":
                answer = await models.complete(call_id=answer.call_id)
            return answer
        except Refused as refused:
            ended = asked_before(line, refused)
            if ended is not None:
                progress.again += ended == "ok"
                key = next(names)
                continue
            wait_s = wait_of(refused)
            named = "idempotency_key" in line.arguments  # the same name brings the same refusal
            if named or waits >= MOST_WAITS or wait_s > LONGEST_WAIT_S:
                raise
        waits, key = waits + 1, next(names)
        await anyio.sleep(wait_s)


def keys(line: Line) -> Iterator[str]:
    """A name for the request, so that it is made once whoever asks; and others for when its answer
    is lost. A name of the user's own is the only one."""
    own = line.arguments.get("idempotency_key")
    n = 0
    while True:
        n += 1
        yield own or f"batch {line.digest} {n}"


def asked_before(line: Line, refused: Refused) -> str | None:
    """How an earlier call for the same request ended, whose answer nobody has any more."""
    own, declined = line.arguments.get("idempotency_key"), refused.declined
    return declined.ended if own is None and isinstance(declined, Repeated) else None


def wait_of(refused: Refused) -> float:
    """Seconds until it is worth asking again; infinite where it is not."""
    declined = refused.declined
    if declined is None or not declined.retryable or declined.code not in WAITED_FOR:
        return math.inf
    return math.inf if declined.retry_after_s is None else declined.retry_after_s
