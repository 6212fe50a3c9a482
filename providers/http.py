"""The only file that touches the network: one request out, one bounded answer in.

Nothing is retried, followed or stored here. Leaving a stream, by whatever door, closes its
connection at once.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx2

from . import errors
from .answer import Answer, checked, decoded, read_json
from .aws import Signer, unheard
from .body import Limits, Reader
from .catalog import Provider
from .classify import from_response
from .in_code import InCode, Spoken
from .jobs import JobAnswer, answered
from .mock import MockTransport
from .outgoing import encoded, followed, located, usable
from .request import Request, auth_headers, request, url
from .translate import Progress, late, translated
from .transport import Transport, anywhere, ip_address, is_loopback, on_this_machine, tls
from .types import Call, EmbedCall, Embedding
from .wire import JobWire, chat_wire, embed_wire

ERROR_BODY_CAP = 64 * 1024
ERROR_BODY_S = 5.0
T = TypeVar("T")

for noisy in ("botocore", "httpx2", "httpcore2"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


class Http:
    """The way out. Connections are kept between requests; `aclose` or leaving the context closes
    them. `trusted_hosts` may be reached over plain http and count as this machine. `learned` hears
    the secrets that are found only when a request is signed."""

    def __init__(
        self,
        *,
        proxy: str | None = None,
        ca_file: Path | None = None,
        trusted_hosts: tuple[str, ...] = (),
        user_agent: str = "roundhouse",
        learned: Callable[[Sequence[str]], None] = unheard,
    ) -> None:
        self.proxy = proxy
        self.ca_file = ca_file
        self.trusted = frozenset(host.lower() for host in trusted_hosts)
        self.user_agent = user_agent
        self.signer = Signer(learned)
        self.mock = MockTransport()
        self.code = InCode()
        self.near: Transport | None = None
        self.far: Transport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        near, far = self.near, self.far
        self.near = self.far = None
        for transport in (near, far):
            if transport is not None:
                await transport.aclose()
        await self.code.aclose()

    @asynccontextmanager
    async def stream(
        self,
        provider: Provider,
        key: str | None,
        call: Call,
        *,
        model: str,
        limits: Limits,
        local_only: bool = False,
    ) -> AsyncGenerator[Answer | JobAnswer | Spoken]:
        """One chat request; the answer's chunks as they come. The waiting time of `limits` runs
        between chunks, too: do nothing slow there."""
        if provider.plugin is not None:
            speaking = self.code.stream(
                provider, key, call, model=model, limits=limits, local_only=local_only
            )
            async with speaking as spoken:
                yield spoken
            return
        name = provider.facts(model).wire or provider.wire or ""
        wire = known(provider, chat_wire, name)
        question = wire.encode(call, model=model, provider=provider, stream=True)
        send = partial(self.sent, provider, key, local_only=local_only)
        if isinstance(wire, JobWire):
            async with answered(provider, wire, question, limits, send) as answer:
                yield answer
            return
        async with send(question, limits) as reader:
            yield Answer(provider, wire, reader)

    async def embed(
        self,
        provider: Provider,
        key: str | None,
        call: EmbedCall,
        *,
        model: str,
        limits: Limits,
        local_only: bool = False,
    ) -> Embedding:
        """One embedding request; the caller splits by the model's or the row's `embed_batch`."""
        if provider.plugin is not None:
            made = await self.code.embed(
                provider, key, call, model=model, limits=limits, local_only=local_only
            )
            return checked(provider.name, call, made, made.request_id)
        name = provider.facts(model).embed_wire or provider.embed_wire or "openai_embeddings"
        wire = known(provider, embed_wire, name)
        question = wire.encode(call, model=model, provider=provider)
        async with self.sent(provider, key, question, limits, local_only=local_only) as reader:
            body = read_json(provider.name, await reader.all(), reader.request_id)
            embedding = decoded(
                provider.name,
                lambda: wire.decode(body, provider=provider.name),
                request_id=reader.request_id,
            )
            return checked(provider.name, call, reader.counted_in(embedding), reader.request_id)

    async def fetch(
        self,
        provider: Provider,
        key: str | None,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        timeout_s: float = 5.0,
        local_only: bool = False,
    ) -> Any:
        """A small JSON question to the provider's address, for probes."""
        limits = Limits(
            first_byte_s=timeout_s,
            connect_s=timeout_s,
            idle_s=timeout_s,
            max_response_bytes=4 * 1024 * 1024,
        )
        question = request(provider, path, json, method=method)
        with anyio.move_on_after(timeout_s):
            async with self.sent(provider, key, question, limits, local_only=local_only) as reader:
                return read_json(provider.name, await reader.all(), reader.request_id)
        raise errors.TimedOut(provider.name, f"no whole answer within {timeout_s:g} s")

    @asynccontextmanager
    async def sent(
        self,
        provider: Provider,
        key: str | None,
        question: Request,
        limits: Limits,
        *,
        local_only: bool,
    ) -> AsyncGenerator[Reader]:
        """Sends the request; the body of a successful response. Raises what any other means."""
        located(provider)
        progress = Progress()
        with anyio.CancelScope() as patience:
            with translated(provider.name, progress):
                message = self.message(provider, key, question, limits)
                if key is None and provider.auth == "aws":
                    await self.signer.sign(provider, message)
                transport = await self.way(provider, message.url, local_only=local_only)
                first_by = anyio.current_time() + limits.first_byte_s
                with anyio.fail_after(connecting_s(limits, transport)):
                    response = await transport.handle_async_request(message)
            # From here on one scope keeps the time for all pieces: one for each costs more CPU
            # than reading it.
            message.extensions["timeout"]["read"] = None
            patience.deadline = first_by
            reader = Reader(
                provider.name, response, limits=limits, progress=progress, patience=patience
            )
            try:
                if not response.is_success:
                    raise await failure(provider, reader)
                yield reader
            finally:
                await reader.aclose()
        # After the answer was called finished, how the connection ends does not matter.
        if patience.cancelled_caught and not progress.complete:
            raise late(provider.name, progress)

    def message(
        self, provider: Provider, key: str | None, question: Request, limits: Limits
    ) -> httpx2.Request:
        """The request as it goes out. Raises when it must not."""
        if question.address is not None:
            followed(provider, question.address)
        headers = {
            "accept": "application/json, text/event-stream",
            "accept-encoding": "gzip",
            "user-agent": self.user_agent,
            **{name.lower(): value for name, value in question.headers.items()},
            **auth_headers(question.auth or provider.auth, usable(provider, key)),
        }
        content = b"" if question.body is None else encoded(provider.name, question.body)
        if content:
            headers["content-type"] = "application/json"
        waits = {
            "connect": limits.connect_s,
            "write": limits.write_s,
            "read": limits.first_byte_s,
            "pool": limits.connect_s,
        }
        return httpx2.Request(
            question.method,
            url(provider, question),
            headers=headers,
            content=content or None,
            extensions={"timeout": waits},
        )

    async def way(
        self, provider: Provider, target: httpx2.URL, *, local_only: bool
    ) -> httpx2.AsyncBaseTransport:
        """The transport for an address. What must stay on this machine, and what says it is on it,
        goes through connections that lead nowhere else."""
        if target.scheme == "mock":
            return self.mock
        if local_only or is_loopback(target.host) or target.host.lower() in self.trusted:
            return await self.nearby()
        if target.scheme != "https" and not provider.local:
            raise errors.Misdirected(
                provider.name,
                "plain http goes only to this machine and to network.trusted_hosts; use https",
            )
        literal = ip_address(target.host)
        if literal is not None:
            anywhere(target.host, literal)
        return await self.outside()

    async def nearby(self) -> Transport:
        if self.near is None:
            # The default authorities load only when somebody speaks TLS to this machine.
            own = await anyio.to_thread.run_sync(tls, self.ca_file) if self.ca_file else None
            self.near = self.near or Transport(on_this_machine(self.trusted), context=own)
        return self.near

    async def outside(self) -> Transport:
        if self.far is None:
            context = await anyio.to_thread.run_sync(tls, self.ca_file)
            # Another request may have made it meanwhile.
            self.far = self.far or Transport(anywhere, context=context, proxy=self.proxy)
        return self.far


def connecting_s(limits: Limits, transport: httpx2.AsyncBaseTransport) -> float:
    """Seconds until the response's head must be there; connections keep the finer limits."""
    if isinstance(transport, Transport):
        return limits.connect_s * 2 + limits.write_s + limits.first_byte_s
    return limits.first_byte_s


def known(provider: Provider, find: Callable[[str], T], name: str) -> T:
    """The wire of that name. Raises Misdirected when there is none."""
    try:
        return find(name)
    except LookupError as error:
        raise errors.Misdirected(provider.name, f"{error}; nothing was sent") from error


async def failure(provider: Provider, reader: Reader) -> errors.UpstreamError:
    """The error that a response without success is."""
    response = reader.response
    if response.has_redirect_location:
        host = urlsplit(response.headers.get("location", "")).hostname or "another path"
        return errors.Misdirected(
            provider.name,
            f"the address redirects to {host[:100]}; set base_url to where the service is",
            status=response.status_code,
            request_id=reader.request_id,
        )
    return from_response(
        provider.name,
        response.status_code,
        dict(response.headers),
        await reader.some(ERROR_BODY_CAP, ERROR_BODY_S),
        now=time.time(),
        request_id=reader.request_id,
        quirks=provider.quirks,
    )
