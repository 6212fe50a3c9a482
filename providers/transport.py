"""Connections: plain HTTP transports that look at the address before anything is sent to it."""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import cast

import anyio
import httpcore2
import httpx2

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where clouds keep their instances' secrets.
METADATA = frozenset({"fd00:ec2::254", "169.254.169.254", "100.100.100.200"})
LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


class AddressRefused(Exception):
    """The host's address is not one this request may go to. Nothing was sent."""


def ip_address(text: str) -> IpAddress | None:
    """The address a literal names, IPv4 inside IPv6 as IPv4; None for a name."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_loopback(host: str) -> bool:
    """Does the host say of itself that it is this machine?"""
    address = ip_address(host)
    return host.lower() in LOCAL_NAMES if address is None else address.is_loopback


def anywhere(host: str, address: IpAddress) -> None:
    """Every address but link-local and metadata ones. Raises AddressRefused."""
    if address.is_link_local or address.is_unspecified or str(address) in METADATA:
        raise AddressRefused(f"{host} is a link-local or metadata address")


def on_this_machine(trusted: frozenset[str]) -> Callable[[str, IpAddress], None]:
    """Only loopback, and the hosts the user trusts."""

    def check(host: str, address: IpAddress) -> None:
        if not address.is_loopback and host.lower() not in trusted:
            raise AddressRefused(f"{host} is not on this machine")

    return check


class Guard(httpcore2.AsyncNetworkBackend):
    """Checks every address a name resolves to before connecting, and the address that really
    answered before the first byte: a name that resolves differently the second time gains
    nothing."""

    def __init__(self, check: Callable[[str, IpAddress], None]) -> None:
        self.check = check
        self.network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface's)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        await self.resolve(host, port, timeout)
        stream = await self.network.connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            self.verify(host, str(stream.get_extra_info("server_addr")[0]))
        except AddressRefused:
            await stream.aclose()
            raise
        return stream

    async def resolve(self, host: str, port: int, patience_s: float | None) -> None:
        if ip_address(host) is not None:
            self.verify(host, host)
            return
        try:
            with anyio.fail_after(patience_s):
                found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"the name {host} cannot be resolved") from error
        except OSError as error:
            raise httpcore2.ConnectError(f"the name {host} cannot be resolved") from error
        for entry in found:
            self.verify(host, entry[4][0])

    def verify(self, host: str, address: str) -> None:
        known = ip_address(address)
        if known is None:
            raise AddressRefused(f"{host} has an address of no known kind")
        self.check(host, known)

    async def sleep(self, seconds: float) -> None:
        await self.network.sleep(seconds)


class Body(httpx2.AsyncByteStream):
    """A response body straight from the connection."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.stream:
            yield part

    async def aclose(self) -> None:
        close = getattr(self.stream, "aclose", None)
        if close is not None:
            await close()


class Transport(httpx2.AsyncBaseTransport):
    """One pool of guarded connections. No cookies, redirects, retries or environment proxies."""

    def __init__(
        self,
        check: Callable[[str, IpAddress], None],
        *,
        context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self.pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            proxy=None if proxy is None else proxied(proxy),
            max_connections=None,
            max_keepalive_connections=16,
            keepalive_expiry=30.0,
            network_backend=Guard(check),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        answer = await self.pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(answer.stream, AsyncIterable)
        return httpx2.Response(answer.status, headers=answer.headers, stream=Body(answer.stream))

    async def aclose(self) -> None:
        await self.pool.aclose()


def proxied(url: str) -> httpcore2.Proxy:
    proxy = httpx2.Proxy(url)
    return httpcore2.Proxy(str(proxy.url), auth=proxy.raw_auth)


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """The usual authorities, and the user's own beside them."""
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
