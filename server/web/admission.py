"""The door of the server over HTTP: which requests are heard at all, and whose they are.

In front of everything else: the Host and the Origin (so that no web page reaches the server by a
name of its own), then the path, then the token. Whoever fails is told in one sentence, and nothing
of the body is read.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from .tokens import Tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCHEME = "bearer "
REFUSED = -32600  # JSON-RPC's "invalid request"


class Refused(Exception):
    """Why a request is not heard. Its text is for the one who sent it."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class Door:
    """Lets in what has a right to be heard. `closing` turns every new request away."""

    def __init__(self, app: "ASGIApp", tokens: Tokens, hosts: Iterable[str]) -> None:
        self.app = app
        self.tokens = tokens
        self.hosts = frozenset(host.lower() for host in hosts)
        self.closing = False

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            scope["user"] = self.admitted(scope)
        except Refused as refused:
            await say(refused, send)
        else:
            await self.app(scope, receive, send)

    def admitted(self, scope: "Scope") -> AuthenticatedUser:
        """Who asks. Raises Refused."""
        said = dict(scope["headers"])
        if host_of(text(said, b"host")) not in self.hosts:
            raise Refused(
                421,
                "This server is not known under that Host; name it when you start it: "
                "roundhouse serve --http --allow-host NAME",
            )
        origin = text(said, b"origin")
        if origin and not self.is_ours(origin):
            raise Refused(403, "Pages of that Origin may not use this server.")
        if scope["path"].rstrip("/") != PATH:
            raise Refused(404, f"There is nothing here; MCP is at {PATH}.")
        name = self.name_in(text(said, b"authorization"))
        if self.closing:
            raise Refused(503, "Roundhouse is about to stop; ask again later.", retry_after="5")
        return AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))

    def is_ours(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return scheme.lower() in ("http", "https") and host_of(host) in self.hosts

    def name_in(self, header: str) -> str:
        """The name of the token. Raises Refused."""
        known = header[: len(SCHEME)].lower() == SCHEME
        name = self.tokens.name_of(header[len(SCHEME) :].strip()) if known else None
        if name is None:
            why = "That token is not known here" if header else "A token is needed"
            raise Refused(
                401,
                f"{why}; make one with: roundhouse token add NAME, and send it as the header "
                "Authorization: Bearer TOKEN",
                www_authenticate='Bearer realm="roundhouse"',
            )
        return name


def text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def host_of(authority: str) -> str:
    """The host of `host:port`, in small letters and without brackets; empty where it is none."""
    try:
        split = urlsplit(f"//{authority}")
        plain = (split.netloc, split.username, split.path + split.query + split.fragment)
        return (split.hostname or "") if plain == (authority, None, "") else ""
    except ValueError:
        return ""


async def say(refused: Refused, send: "Send") -> None:
    error = {"code": REFUSED, "message": str(refused)}
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    more = {name.replace("_", "-"): value for name, value in refused.headers.items()}
    said = {"content-type": "application/json", "content-length": str(len(body)), **more}
    headers = [(name.encode(), value.encode()) for name, value in said.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
