"""Where a request may go, and with which key; what may not be sent is refused before it is."""

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import httpcore2
import pytest
from upstream import silence, spoken, upstream
from ways import CALL, KEY, SLOW, at, complete

from roundhouse_mcp.providers import errors
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.translate import Progress, translated
from roundhouse_mcp.providers.transport import (
    AddressRefused,
    anywhere,
    ip_address,
    is_loopback,
    proxied,
)
from roundhouse_mcp.providers.types import EmbedCall, Message


async def test_nobody_listening_is_unreachable_and_nothing_was_sent() -> None:
    async with upstream(silence) as server:
        url = server.url

    with pytest.raises(errors.Unreachable, match="the connection was refused; nothing was sent"):
        await complete(at(url))


async def test_a_name_that_does_not_resolve_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_: object, **__: object) -> Sequence[Any]:
        raise OSError("Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)

    with pytest.raises(errors.Unreachable, match="nothing was sent"):
        await complete(at("https://nowhere.invalid/v1"))


@pytest.mark.parametrize(
    ("base_url", "local_only", "detail"),
    [
        ("http://models.example/v1", False, "plain http goes only to this machine"),
        ("https://169.254.169.254/v1", False, "link-local or metadata address"),
        ("https://[fe80::1]/v1", False, "link-local or metadata address"),
        ("https://[::ffff:169.254.169.254]/v1", False, "link-local or metadata address"),
        ("https://192.0.2.7/v1", True, "192.0.2.7 is not on this machine; nothing was sent"),
        ("http://0.0.0.0:1/v1", True, "is not on this machine"),
        ("", False, "its address is not known; set OPENAI_BASE_URL"),
        ("ftp://127.0.0.1/v1", False, "its base_url is not valid"),
        ("https://x.example:port/v1", False, "its base_url is not valid"),
    ],
)
async def test_a_wrong_address_is_refused_before_anything_is_sent(
    base_url: str, local_only: bool, detail: str
) -> None:
    with pytest.raises(errors.Misdirected) as caught:
        await complete(at(base_url), local_only=local_only)

    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("address", "local"), [("93.184.216.34", False), ("127.0.0.1", True), ("::1", True)]
)
async def test_a_name_is_on_this_machine_only_if_all_its_addresses_are(
    monkeypatch: pytest.MonkeyPatch, address: str, local: bool
) -> None:
    real = anyio.getaddrinfo

    async def resolve(host: Any, port: Any, **rest: Any) -> Sequence[Any]:
        if host != "box.example":
            return await real(host, port, **rest)
        return [(0, 0, 0, "", ("127.0.0.1", port)), (0, 0, 0, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    wanted = errors.Unreachable if local else errors.Misdirected

    with pytest.raises(wanted, match="nothing was sent"):
        await complete(at("http://box.example:9/v1"), local_only=True)


async def test_this_machine_and_trusted_hosts_are_local() -> None:
    async with upstream(spoken("a", "b")) as server:
        near = await complete(at(server.url), local_only=True)
        by_name = at(server.url.replace("127.0.0.1", "localhost"))
        trusted = await complete(by_name, http=Http(trusted_hosts=("LOCALHOST",)), local_only=True)

    assert (near.text, trusted.text) == ("ab", "ab")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("8.8.8.8", True), ("10.0.0.1", True), ("169.254.1.1", False), ("fd00:ec2::254", False)],
)
def test_private_networks_are_reached_and_metadata_is_not(address: str, allowed: bool) -> None:
    known = ip_address(address)
    assert known is not None

    if allowed:
        anywhere("h", known)
    else:
        with pytest.raises(AddressRefused):
            anywhere("h", known)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.9.9.9", True), ("[::1]", True), ("LOCALHOST", True), ("localhost.example", False)],
)
def test_loopback_is_known_by_its_names(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("key", ["", "a\nb", "sk-ключ", "two words", "tab\t"])
async def test_a_key_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    async with Http() as http:
        with pytest.raises(errors.Locked) as caught:
            await http.fetch(at("http://127.0.0.1:9/v1"), key, "GET", "/models")

    assert "nothing was sent" in caught.value.detail
    assert not key or key not in str(caught.value)


async def test_a_missing_key_names_its_variable() -> None:
    async with Http() as http:
        with pytest.raises(errors.Locked, match="set OPENAI_API_KEY; nothing was sent"):
            await http.fetch(at("http://127.0.0.1:9/v1"), None, "GET", "/models")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("x" * (9 * 1024 * 1024), "the request has 9.0 MiB; the most is 8 MiB; nothing was sent"),
        ("\ud800", "not Unicode text; nothing was sent"),
    ],
)
async def test_a_request_that_cannot_be_sent_is_refused(text: str, detail: str) -> None:
    call = replace(CALL, messages=(Message(role="user", text=text),))

    async with Http() as http:
        stream = http.stream(at("http://127.0.0.1:9/v1"), KEY, call, model="m", limits=SLOW)
        with pytest.raises(errors.Refused) as caught:
            async with stream:
                pass

    assert detail in caught.value.detail


async def test_a_wire_nobody_has_is_a_matter_of_configuration() -> None:
    row = at("http://127.0.0.1:9/v1", wire="telegraph", embed_wire="telegraph")
    texts = EmbedCall(texts=("a",))

    async with Http() as http:
        with pytest.raises(errors.Misdirected, match="there is no wire named telegraph"):
            await http.embed(row, KEY, texts, model="e", limits=SLOW)
    with pytest.raises(errors.Misdirected, match="there is no wire named telegraph"):
        await complete(row)


def test_a_proxy_with_a_password_is_understood() -> None:
    assert proxied("http://user:secret@proxy.example:3128").headers == [
        (b"Proxy-Authorization", b"Basic dXNlcjpzZWNyZXQ=")
    ]


def test_a_certificate_that_is_not_valid_is_a_matter_of_configuration() -> None:
    error = httpcore2.ConnectError()
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")

    with (
        pytest.raises(errors.Misdirected, match=r"network\.ca_file adds your own"),
        translated("p", Progress()),
    ):
        raise error
