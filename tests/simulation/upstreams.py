"""Providers in process, behind the client's own transport: well-behaved, faulty and malicious."""

import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import httpcore2
import httpx2

from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.transport import AddressRefused, Transport, is_loopback

from . import speech
from .speech import DIALECTS, Asked

GOOD = ("ok", "ok", "ok", "ok", "ok", "ok, whole", "ok, slow", "ok, nothing left")
FAULTS = (
    *speech.REFUSALS,
    "refuse",
    "refuse",
    "connect hangs",
    "cut before the head",
    "cut at once",
    "cut",
    "cut",
    "stall",
    "stall at once",
    "silence",
    "late",
    "late",
    "drip",
    "error at once",
    "error inside",
    "overload inside",
    "limit inside",
    "ends early",
    "half a JSON",
    "HTML",
    "nothing",
    "garbage",
    "no usage",
    "zero usage",
)
RARE = "oversize"
MEGABYTE = b": " + b"x" * (1024 * 1024 - 3) + b"\n"
STREAM = "text/event-stream"
SLOW_S = (0.01, 0.05, 0.3, 2.0)
WORDS = ("yes ", "a ", "routed ", "internationalisation, ", "1234567 ", "{};;== ", "ok\n")


class Watching(Protocol):
    """Who is told of every request that reaches a provider, before it is answered."""

    def __call__(self, heard: "Heard", /) -> None: ...


@dataclass(slots=True, kw_only=True)
class Heard:
    """A request at a provider. `read` and `written` are the tokens it bills for, so far."""

    at: float
    provider: str
    host: str
    asked: Asked
    near: bool
    act: str
    server: str
    key: str
    read: int = 0
    written: int = 0


@dataclass(slots=True, kw_only=True)
class Upstream:
    """One provider: how often it fails, and the outages (from, until, act) in which all fails."""

    name: str
    host: str
    wire: str
    dice: random.Random
    trouble: float
    outages: tuple[tuple[float, float, str], ...] = ()
    faults: tuple[str, ...] = FAULTS

    def next_act(self, now: float) -> str:
        for begin, end, act in self.outages:
            if begin <= now < end:
                return act
        if self.dice.random() >= self.trouble:
            return self.dice.choice(GOOD)
        return RARE if self.dice.random() < 0.002 else self.dice.choice(self.faults)


class Said(httpx2.AsyncByteStream):
    """A body, made as it is read."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        await self.pieces.aclose()  # type: ignore[attr-defined]


class Wires(Transport):
    """The way to every upstream of a world. `near` leads nowhere but to this machine."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        watch: Watching,
        *,
        near: bool,
        trusted: frozenset[str],
        server: str,
    ) -> None:
        self.upstreams = upstreams
        self.watch = watch
        self.near = near
        self.trusted = trusted
        self.server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        upstream = self.upstreams[host]
        asked = speech.asked(json.loads(await request.aread()))
        now = anyio.current_time()
        heard = Heard(
            at=now,
            provider=upstream.name,
            host=host,
            asked=asked,
            near=self.near,
            act=upstream.next_act(now),
            server=self.server,
            key=request.headers.get("authorization", request.headers.get("x-api-key", "")),
        )
        self.watch(heard)
        if self.near and not is_loopback(host) and host not in self.trusted:
            raise AddressRefused(f"{host} is not on this machine")
        return await Exchange(upstream, heard, request.extensions["timeout"]).answer()

    async def aclose(self) -> None:
        pass


class Ways(Http):
    """The client, with wires of the world in place of sockets."""

    def __init__(self, make: Callable[[bool], Wires], **settings: Any) -> None:
        super().__init__(**settings)
        self.near, self.far = make(True), make(False)


@dataclass(slots=True)
class Exchange:
    """One request and what becomes of it."""

    upstream: Upstream
    heard: Heard
    waits: Mapping[str, float]
    over: bool = False

    @property
    def dice(self) -> random.Random:
        return self.upstream.dice

    @property
    def asked(self) -> Asked:
        return self.heard.asked

    async def answer(self) -> httpx2.Response:
        act = self.heard.act
        await anyio.sleep(0.02 * self.dice.random())
        if act == "refuse":
            raise httpcore2.ConnectError("refused") from ConnectionRefusedError()
        if act == "connect hangs":
            await anyio.sleep(self.waits["connect"])
            raise httpcore2.ConnectTimeout("slow")
        if act in speech.REFUSALS:
            return self.refused(speech.REFUSALS[act])
        return await self.worked_on(act)

    def refused(self, refusal: speech.Refusal) -> httpx2.Response:
        key = self.heard.key.removeprefix("Bearer ")
        headers = {"content-type": "application/json", **refusal.headers}
        body = self.pieces([refusal.content(key)])
        return httpx2.Response(refusal.status, headers=headers, stream=Said(body))

    async def worked_on(self, act: str) -> httpx2.Response:
        """From here on the provider bills."""
        self.heard.read = self.counted_input()
        if act in ("cut before the head", "silence", "late"):
            self.heard.written = self.asked.cap
            await self.head_after(act)
            self.heard.written = 0
        await self.head(self.dice.choice(SLOW_S) if act.startswith("ok") else 0.05)
        if self.asked.texts:
            return self.vectors(act)
        as_json = act in ("ok, whole", "half a JSON")
        headers = {"content-type": "application/json" if as_json else STREAM}
        if act == "ok, nothing left":
            headers |= {"x-ratelimit-remaining-requests": "0"}
            headers |= {"x-ratelimit-reset-requests": f"{self.dice.choice((1, 5, 40))}s"}
        return httpx2.Response(200, headers=headers, stream=Said(self.body(act)))

    async def head_after(self, act: str) -> None:
        if act == "cut before the head":
            await anyio.sleep(0.1)
            raise httpcore2.ReadError("reset")
        await self.head(1e9 if act == "silence" else self.dice.choice((3.0, 12.0, 50.0, 400.0)))

    async def head(self, after_s: float) -> None:
        """The connection gives up by itself when nothing is heard for too long."""
        await anyio.sleep(min(after_s, self.waits["read"]))
        if after_s > self.waits["read"]:
            raise httpcore2.ReadTimeout("nothing heard")

    def counted_input(self) -> int:
        """As any tokenizer may count: a quarter of the bytes, or at worst every byte and a
        template around each message."""
        asked, dearest = self.asked, self.dice.random() < 0.1
        return asked.size + 12 * asked.turns if dearest else asked.size // 4 + 3

    def words(self) -> list[str]:
        most = max(1, self.asked.cap)
        if self.asked.schema:
            fits = self.dice.random() < 0.6
            return (['{"ok":', " true", "}"] if fits else ["No ", "JSON."])[:most]
        wanted = self.dice.choice((1, 3, 8, 30))
        return [self.dice.choice(WORDS) for _ in range(wanted)][:most]

    async def pieces(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def body(self, act: str) -> AsyncIterator[bytes]:
        dialect, model = DIALECTS[self.upstream.wire], self.asked.model
        words = self.words()
        finish = "length" if len(words) >= self.asked.cap else "stop"
        if act in ("HTML", "nothing", "garbage", "oversize"):
            self.heard.written = len(words)
            async for piece in self.nonsense(act):
                yield piece
            return
        if act in ("ok, whole", "half a JSON"):
            self.heard.written = len(words)
            whole = dialect.whole(model, "".join(words), finish, self.heard.read, len(words))
            data = json.dumps(whole).encode()
            yield data[: len(data) // 2] if act == "half a JSON" else data
            return
        counts = {"no usage": (None, None), "zero usage": (0, 0)}
        read, written = counts.get(act, (self.heard.read, len(words)))
        if act not in AT_ONCE:
            yield dialect.opening(model, read)
        async for piece in self.told(act, words):
            yield piece
        if not self.over:
            yield dialect.closing(model, finish, read, written)

    async def told(self, act: str, words: list[str]) -> AsyncIterator[bytes]:
        """The words, or as far as it comes. A provider bills a word when it has written it."""
        dialect, model = DIALECTS[self.upstream.wire], self.asked.model
        pace = 7.0 if act == "drip" else self.dice.choice(SLOW_S) if act == "ok, slow" else 0.0
        stop_at = 0 if act in AT_ONCE else self.dice.randrange(len(words))
        for n, word in enumerate(words):
            if n == stop_at and act in BROKEN:
                yield await self.broken(act)
                self.over = True
                return
            if pace:
                await anyio.sleep(pace)
            self.heard.written += 1
            yield dialect.word(model, word)

    async def broken(self, act: str) -> bytes:
        """What interrupts an answer; raises what a socket would."""
        if act.startswith("cut"):
            await anyio.sleep(0.01)
            raise httpcore2.ReadError("reset")
        if act.startswith("stall"):
            await anyio.sleep_forever()
        if act == "ends early":
            raise httpcore2.RemoteProtocolError("incomplete chunked read")
        kind = {"overload inside": "overloaded_error", "limit inside": "rate_limit_error"}
        return DIALECTS[self.upstream.wire].trouble(kind.get(act, "api_error"), "it went wrong")

    async def nonsense(self, act: str) -> AsyncIterator[bytes]:
        if act == "oversize":
            for _ in range(34):
                yield MEGABYTE
        elif act != "nothing":
            yield b"<html><p>Hello</p></html>" if act == "HTML" else b"data: {not json\n\n"

    def vectors(self, act: str) -> httpx2.Response:
        read = None if act in ("no usage", "zero usage") else self.heard.read
        data = json.dumps(speech.embedded(self.asked.model, self.asked.texts, read)).encode()
        if act in ("half a JSON", "HTML", "garbage", "ends early", "error inside"):
            data = data[: len(data) // 2]
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, stream=Said(self.vector_body(act, data)))

    async def vector_body(self, act: str, data: bytes) -> AsyncIterator[bytes]:
        yield data[:20]
        if act in ("cut", "cut at once", "stall", "stall at once"):
            await self.broken(act)
        yield data[20:]


BROKEN = frozenset(
    {
        "cut",
        "cut at once",
        "stall",
        "stall at once",
        "error at once",
        "error inside",
        "overload inside",
        "limit inside",
        "ends early",
    }
)
AT_ONCE = frozenset({"cut at once", "stall at once", "error at once"})
