"""Providers that are code, under the limits and rules of those on the network.

The code is a stranger's. It is bounded in time and size, closed when its reader leaves, and fails
in our words, whatever it raises.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

import anyio
import anyio.lowlevel

from . import errors, foreign, plugins
from .body import CLOSE_S, Limits
from .catalog import Provider
from .outgoing import usable
from .plugins import CodeProvider
from .probe import Probe
from .translate import Progress, late
from .types import Call, Chunk, EmbedCall, Embedding

CODE = "its package's code"


class InCode:
    """The code of each row, made when it is first asked."""

    def __init__(self) -> None:
        self.made: list[tuple[Provider, CodeProvider]] = []

    def ready(self, provider: Provider, key: str | None, *, local_only: bool) -> CodeProvider:
        """Raises Locked and Misdirected; nothing was sent then."""
        usable(provider, key)
        if local_only and not provider.local:
            raise errors.Misdirected(
                provider.name, "its configuration does not say local = true; nothing was sent"
            )
        for row, code in self.made:
            if row == provider:
                return code
        code = make(provider)
        self.made.append((provider, code))
        return code

    @asynccontextmanager
    async def stream(
        self,
        provider: Provider,
        key: str | None,
        call: Call,
        *,
        model: str,
        limits: Limits,
        local_only: bool,
    ) -> AsyncGenerator["Spoken"]:
        """The answer's chunks as they come. The waiting time runs between them, too."""
        code = self.ready(provider, key, local_only=local_only)
        progress = Progress()
        patience = anyio.CancelScope(deadline=anyio.current_time() + limits.first_byte_s)
        # Both scopes are entered before the code can enter its own, and left after those.
        with patience, anyio.CancelScope() as closing:
            chunks = begun(provider.name, lambda: code.stream(call, model=model, key=key))
            try:
                yield Spoken(provider.name, chunks, limits, patience, progress)
            finally:
                await close(provider.name, chunks, closing)
        if patience.cancelled_caught and not progress.complete:
            raise late(provider.name, progress)

    async def embed(
        self,
        provider: Provider,
        key: str | None,
        call: EmbedCall,
        *,
        model: str,
        limits: Limits,
        local_only: bool,
    ) -> Embedding:
        code = self.ready(provider, key, local_only=local_only)
        with anyio.move_on_after(limits.first_byte_s):
            try:
                return foreign.embedding(await code.embed(call, model=model, key=key))
            except failures() as error:
                raise_if_ours(error)
                raise foreign.meaning(error, provider.name, CODE) from None
        raise errors.TimedOut(provider.name, f"no whole answer within {limits.first_byte_s:g} s")

    async def health(self, provider: Provider, key: str | None, timeout_s: float) -> Probe:
        """What the code says of itself. Raises UpstreamError."""
        code = self.ready(provider, key, local_only=False)
        with anyio.move_on_after(timeout_s):
            try:
                return sound(await code.health(key))
            except failures() as error:
                raise_if_ours(error)
                raise foreign.meaning(error, provider.name, CODE) from None
        raise errors.TimedOut(provider.name, f"no whole answer within {timeout_s:g} s")

    async def aclose(self) -> None:
        """Lets the code go of what it holds, where it has an `aclose`."""
        made, self.made = self.made, []
        for provider, code in made:
            with anyio.CancelScope() as closing:
                await close(provider.name, code, closing)


def make(provider: Provider) -> CodeProvider:
    try:
        code = plugins.factory_of(provider.plugin or "")(provider)
    except LookupError as error:
        raise errors.Misdirected(provider.name, f"{error}; nothing was sent") from None
    except foreign.ANYTHING as error:
        foreign.note(error, provider.name, CODE)
        raise errors.Misdirected(
            provider.name, f"{CODE} did not start ({type(error).__name__}); nothing was sent"
        ) from None
    if flaw := plugins.missing(code, plugins.METHODS):
        raise errors.Misdirected(provider.name, f"{CODE} is not a provider: {flaw}")
    return code


def begun(provider: str, speak: Callable[[], AsyncIterator[Chunk]]) -> AsyncIterator[Chunk]:
    try:
        return aiter(speak())
    except foreign.ANYTHING as error:
        raise foreign.meaning(error, provider, CODE) from None


def failures() -> tuple[type[BaseException], ...]:
    """Whatever a stranger's code may raise, a cancellation of its own included."""
    return (*foreign.ANYTHING, anyio.get_cancelled_exc_class())


def raise_if_ours(error: BaseException) -> None:
    """Raises the cancellation that one of our scopes asked for. One that began inside the code
    must not reach our tasks: it would end the server's."""
    own = isinstance(error, anyio.get_cancelled_exc_class())
    if own and anyio.current_effective_deadline() == float("-inf"):
        raise error


async def close(provider: str, what: object, closing: anyio.CancelScope) -> None:
    """Closes what can be closed, in a second at most. `closing` is a scope around it."""
    aclose = getattr(what, "aclose", None)
    if aclose is None:
        return
    closing.shield = True
    closing.deadline = anyio.current_time() + CLOSE_S
    try:
        await aclose()
    except failures() as error:
        foreign.note(error, provider, f"closing {CODE}")


def sound(found: object) -> Probe:
    """The probe, if it is one. Raises TypeError."""
    if not isinstance(found, Probe):
        raise TypeError("no probe")
    lists = {name: tuple(map(str, getattr(found, name))) for name in ("models", "loaded")}
    return replace(
        found,
        reachable=bool(found.reachable),
        detail=foreign.cleaned(str(found.detail)) or f"{len(lists['models'])} models",
        embedding=tuple(map(str, found.embedding)),
        **lists,
    )


class Spoken:
    """An answer from code: iterate over its chunks. Raises the UpstreamError it ends in; one that
    ends without `done` is Interrupted."""

    status: int | None = None
    request_id: str | None = None
    run_out_s: float | None = None

    def __init__(
        self,
        provider: str,
        chunks: AsyncIterator[Chunk],
        limits: Limits,
        patience: anyio.CancelScope,
        progress: Progress,
    ) -> None:
        self.provider = provider
        self.chunks = chunks
        self.limits = limits
        self.patience = patience
        self.progress = progress
        self.taken = 0
        self.failure: errors.UpstreamError | None = None
        self.ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        if self.failure is not None:
            raise self.failure
        if self.ended:
            raise StopAsyncIteration
        try:
            # Code that never waits would let nobody else have a turn.
            await anyio.lowlevel.checkpoint()
            return self.heard(foreign.chunk(await anext(self.chunks)))
        except StopAsyncIteration:
            self.end()
        except failures() as error:
            raise_if_ours(error)
            self.fail(error)
        if self.failure is not None:
            raise self.failure from None
        raise StopAsyncIteration

    def heard(self, chunk: Chunk) -> Chunk:
        self.patience.deadline = anyio.current_time() + self.limits.idle_s
        self.progress.began = True
        self.progress.complete = self.progress.complete or chunk.done
        self.ended = chunk.ended and self.progress.complete
        arguments = (part.arguments for part in chunk.tool_calls)
        self.taken += sum(map(len, (chunk.text, chunk.reasoning, *arguments)))
        if self.taken > self.limits.max_response_bytes:
            most = self.limits.max_response_bytes / 1024 / 1024
            raise errors.Garbled(self.provider, f"the answer is larger than {most:g} MiB")
        return chunk

    def end(self) -> None:
        self.ended = True
        if not self.progress.complete:
            self.failure = errors.Interrupted(
                self.provider, "the answer ended before it was complete"
            )

    def fail(self, error: BaseException) -> None:
        """After the answer was called finished, how its code ends does not matter."""
        found = foreign.meaning(error, self.provider, CODE)
        if self.progress.complete and not isinstance(error, errors.UpstreamError):
            self.ended = True
            return
        if self.progress.began and found.billing == "none":
            found.billing = "observed"
        self.failure = found
