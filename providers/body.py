"""The body of one response: bounded in size and in time, unpacked, and closed for certain."""

import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import cast

import anyio
import httpx2

from . import errors
from .gzip_text import Inflater, Sealed
from .translate import FOREIGN, Progress, meaning
from .types import Embedding
from .waits import run_out

CLOSE_S = 1.0
COARSE = 0.02  # how early a stall may be called one, for not setting a timer with every piece
REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-ds-trace-id",
    "x-debug-trace-id",
    "x-amzn-requestid",
)
INPUT_TOKENS = "x-amzn-bedrock-input-token-count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait and how much to take, of one request. `look_every_s` is the first pause
    between two looks at an answer that is made elsewhere."""

    first_byte_s: float = 60.0
    connect_s: float = 5.0
    write_s: float = 30.0
    idle_s: float = 30.0
    look_every_s: float = 0.5
    max_response_bytes: int = 32 * 1024 * 1024


class Reader:
    """Reads a response's body piece by piece. `progress.began` is set with the first byte."""

    def __init__(
        self,
        provider: str,
        response: httpx2.Response,
        *,
        limits: Limits,
        progress: Progress,
        patience: anyio.CancelScope,
    ) -> None:
        self.provider = provider
        self.response = response
        self.limits = limits
        self.progress = progress
        self.patience = patience
        self.heard_at = 0.0
        self.stream = cast("httpx2.AsyncByteStream", response.stream)
        self.raw: AsyncIterator[bytes] = aiter(self.stream)
        self.inflater = self.unpacking()
        self.unpacked: deque[bytes] = deque()
        self.taken = 0

    def unpacking(self) -> Inflater | Sealed | None:
        encoding = self.response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            return None
        return Inflater() if encoding in ("gzip", "x-gzip") else Sealed()

    @property
    def request_id(self) -> str | None:
        headers = self.response.headers
        return next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)

    def counted_in(self, embedding: Embedding) -> Embedding:
        """The embedding with the count of its tokens where that stands only in a header."""
        said = self.response.headers.get(INPUT_TOKENS, "")
        if embedding.usage.input is not None or not said.isdecimal():
            return embedding
        return replace(embedding, usage=replace(embedding.usage, input=int(said)))

    @property
    def run_out_s(self) -> float | None:
        """Seconds until the service would take another request, if it says that none is left."""
        return run_out(self.response.headers, now=time.time())

    @property
    def media_type(self) -> str:
        return self.response.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """The next piece, unpacked; empty at the end. Raises what the network did."""
        while not self.unpacked:
            data = await self.receive()
            if not data:
                return b""
            if self.inflater is None:
                return self.counted(data)
            self.unpack(self.inflater, data)
        return self.unpacked.popleft()

    def unpack(self, inflater: Inflater | Sealed, data: bytes) -> None:
        try:
            for piece in inflater.feed(data):
                self.unpacked.append(self.counted(piece))
        except ValueError as error:
            raise errors.Garbled(self.provider, str(error)) from error

    def counted(self, data: bytes) -> bytes:
        self.taken += len(data)
        if self.taken > self.limits.max_response_bytes:
            most = self.limits.max_response_bytes / 1024 / 1024
            raise errors.Garbled(self.provider, f"the answer is larger than {most:g} MiB")
        return data

    async def receive(self) -> bytes:
        """The next piece as it came. Whoever entered `patience` is cancelled when none comes."""
        try:
            data = await anext(self.raw, b"")
        except FOREIGN as error:
            raise meaning(error, self.provider, self.progress) from None
        now = anyio.current_time()
        if not self.progress.began or now - self.heard_at > COARSE * self.limits.idle_s:
            self.heard_at, self.patience.deadline = now, now + self.limits.idle_s
        self.progress.began = self.progress.began or bool(data)
        return data

    async def all(self) -> bytes:
        pieces: list[bytes] = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def some(self, most: int, within_s: float) -> bytes:
        """As much of the body as comes easily: an error's explanation, if there is one."""
        data = b""
        with anyio.move_on_after(within_s):
            try:
                while len(data) < most and (piece := await self.read()):
                    data += piece
            except errors.UpstreamError:
                return data[:most]
        return data[:most]

    async def drain(self, within_s: float) -> None:
        """Reads the last bytes, so that the connection can be used again."""
        await self.some(4096, within_s)

    async def aclose(self) -> None:
        with anyio.move_on_after(CLOSE_S, shield=True):
            close = getattr(self.raw, "aclose", None)
            if close is not None:
                await close()
            await self.stream.aclose()
