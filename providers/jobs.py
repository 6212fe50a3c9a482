"""An answer made in several requests: one begins the work, the others hear it or look at it.

Whoever leaves before the work is over stops it: what nobody waits for is not paid for.
"""

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Self

import anyio

from . import errors
from .answer import Answer, decoded, read_json
from .body import Limits, Reader
from .catalog import Provider
from .request import Request
from .translate import Progress, late
from .types import Chunk
from .wire import Job, JobWire

logger = logging.getLogger(__name__)

STOP_S = 2.0
LOOK_S = 10.0
SLOWEST_LOOK_S = 2.0
MISSES = 3  # looks in a row that may fail: the work goes on without them
LAST_LOOKS = 3
PASSING = (
    errors.Unreachable,
    errors.Throttled,
    errors.Faulted,
    errors.TimedOut,
    errors.Interrupted,
)

Send = Callable[[Request, Limits], AbstractAsyncContextManager[Reader]]


class Line:
    """Requests about one piece of work."""

    def __init__(self, provider: Provider, wire: JobWire, send: Send, limits: Limits) -> None:
        self.provider = provider
        self.wire = wire
        self.send = send
        self.limits = limits

    async def ask(self, question: Request, limits: Limits) -> Any:
        async with self.send(question, limits) as reader:
            return read_json(self.provider.name, await reader.all(), reader.request_id)

    async def look(self, job: Job) -> Any:
        soon = min(LOOK_S, self.limits.first_byte_s)
        return await self.ask(job.look, replace(self.limits, first_byte_s=soon, idle_s=soon))

    async def hear(self, job: Job, stack: AsyncExitStack) -> Answer | None:
        """The stream of the work, open as long as `stack`; None where there is none to be had,
        and the work can only be looked at. Raises Misdirected for one that is not the service's."""
        if job.hear is None:
            return None
        idle_s = max(self.limits.idle_s, self.limits.first_byte_s)
        stream = self.send(job.hear, replace(self.limits, idle_s=idle_s))
        try:
            reader = await stack.enter_async_context(stream)
        except errors.UpstreamError as error:
            if isinstance(error, errors.Misdirected) and error.status is None:
                raise
            logger.info("a job could not be heard: %s", error.kind)
            return None
        return Answer(self.provider, self.wire, reader)

    async def stop(self, job: Job) -> None:
        """Asks for the end of the work. Nobody is left to be told when that fails."""
        with anyio.move_on_after(STOP_S, shield=True):
            try:
                await self.ask(job.stop, self.limits)
            except errors.UpstreamError as error:
                logger.info("a job could not be stopped: %s", error.kind)

    def job(self, body: Any) -> Job:
        name = self.provider.name
        return decoded(name, lambda: self.wire.job(body, provider=self.provider), request_id=None)

    def chunk(self, body: Any, job: Job) -> Chunk:
        name = self.provider.name
        return decoded(name, lambda: self.wire.decode(body, provider=name), request_id=job.id)


class JobAnswer:
    """What `Answer` is to one response: iterate over its chunks. `heard` is the stream of the
    work; without one it is looked at until it is over."""

    def __init__(
        self, line: Line, job: Job, body: Any, *, status: int, heard: Answer | None = None
    ) -> None:
        self.line = line
        self.status = status
        self.job = job
        self.request_id = job.id
        self.run_out_s: float | None = None
        self.heard = heard
        self.ready: deque[Chunk] = deque()
        self.over = job.over
        self.said = ""
        self.ended = False
        self.misses = 0
        self.pause_s = line.limits.look_every_s
        self.news_at = anyio.current_time()
        if heard is None:
            self.take(body)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while not self.ready:
            if self.ended:
                raise StopAsyncIteration
            if self.heard is None:
                await self.look()
            else:
                await self.hear(self.heard)
        return self.ready.popleft()

    async def hear(self, heard: Answer) -> None:
        try:
            chunk = await anext(heard)
        except StopAsyncIteration:
            await self.settle(heard)
            return
        except (errors.Faulted, errors.Refused):
            self.over = True
            raise
        # Only now does a silence mean that the answer stalls: before, the model may be loading.
        heard.reader.limits = self.line.limits
        self.over = self.over or chunk.done
        self.ready.append(replace(chunk, ended=False))

    async def settle(self, heard: Answer) -> None:
        """The last look, for what the stream does not say: what was used. The text is whole, so
        nothing but the work's own failure can spoil it now."""
        heard.reader.patience.deadline = math.inf
        self.ended = True
        for turn in range(LAST_LOOKS):
            await anyio.sleep(turn * self.pause_s)
            try:
                body = await self.line.look(self.job)
                over = self.line.job(body).over
            except errors.UpstreamError as error:
                logger.info("a job's usage could not be read: %s", error.kind)
                return
            if over:
                with suppress(errors.Garbled):
                    self.ready.append(replace(self.line.chunk(body, self.job), text=""))
                return

    async def look(self) -> None:
        await anyio.sleep(self.pause_s)
        self.pause_s = min(self.pause_s * 1.5, SLOWEST_LOOK_S)
        try:
            body = await self.line.look(self.job)
        except PASSING:
            self.misses += 1
            if self.misses >= MISSES:
                raise
        else:
            self.misses = 0
            self.take(body)
        self.hurry()

    def take(self, body: Any) -> None:
        """The text that is new since the last look."""
        self.over = self.over or self.line.job(body).over
        chunk = self.line.chunk(body, self.job)
        if not chunk.text.startswith(self.said):
            raise errors.Garbled(
                self.line.provider.name,
                "the answer changed while it was made",
                request_id=self.job.id,
            )
        news, self.said = chunk.text[len(self.said) :], chunk.text
        if news:
            self.news_at = anyio.current_time()
        if news or chunk.done:
            self.ready.append(replace(chunk, text=news))
        self.ended = chunk.done

    def hurry(self) -> None:
        """Raises when nothing new was seen for too long."""
        limits = self.line.limits
        most = limits.idle_s if self.said else limits.first_byte_s
        if not self.ended and anyio.current_time() - self.news_at > most:
            progress = Progress()
            progress.began = bool(self.said)
            raise late(self.line.provider.name, progress)


@asynccontextmanager
async def answered(
    provider: Provider, wire: JobWire, question: Request, limits: Limits, send: Send
) -> AsyncGenerator[JobAnswer]:
    """The answer to `question`, whose work is stopped when it is left before its end."""
    line = Line(provider, wire, send, limits)
    async with send(question, limits) as reader:
        status = reader.response.status_code
        body = read_json(provider.name, await reader.all(), reader.request_id)
    job = line.job(body)
    answer: JobAnswer | None = None
    try:
        async with AsyncExitStack() as stack:
            heard = None if job.over else await line.hear(job, stack)
            answer = JobAnswer(line, job, body, status=status, heard=heard)
            yield answer
    except errors.UpstreamError as error:
        error.request_id = error.request_id or job.id
        if error.billing == "none":
            # The work had begun, and may be billed.
            error.billing = "observed"
        raise
    finally:
        if not (job.over if answer is None else answer.over):
            await line.stop(job)
