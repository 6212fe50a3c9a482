"""Our server as the conformance suite can reach it, which sends no token: each request is given one
at the door, and everything behind the door is the product's.

    python tests/conformance/serve.py HOME [fixtures]

It prints its address, and serves until a signal.
"""

import sys
from pathlib import Path
from types import MethodType
from typing import Any

import anyio
from fixtures import Events, furnish, tools
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import ToolManager

from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.serve import lifetime, ready
from roundhouse_mcp.server.web import tokens
from roundhouse_mcp.server.web.admission import LOOPBACK
from roundhouse_mcp.server.web.listener import Site, listening_at, url_of, watch_signals

# what the product answers by itself, and the suite's fixtures through the SDK
THEIRS = (
    "list_resources",
    "list_resource_templates",
    "read_resource",
    "list_prompts",
    "get_prompt",
)


class Bearer:
    """Gives every request the token."""

    def __init__(self, app: Any, token: str) -> None:
        self.app = app
        self.header = (b"authorization", f"Bearer {token}".encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["headers"] = [*scope["headers"], self.header]
        await self.app(scope, receive, send)


async def main(home: Home, *, with_fixtures: bool) -> None:
    server, desk = ready(home=home)
    desk.many = True
    if with_fixtures:
        server._tool_manager = ToolManager(tools=[*tools()])  # pyright: ignore[reportPrivateUsage]
        server.furnished = True
        for name in THEIRS:
            setattr(server, name, MethodType(getattr(MCPServer, name), server))
        furnish(server)
    token = tokens.add(home, "conformance", now=0.0)[1]
    site = Site(server, tokens.Tokens(home), LOOPBACK, events=Events() if with_fixtures else None)
    site.app = Bearer(site.app, token)
    listening = listening_at("127.0.0.1", 0, ())
    watch_signals(site.on_signal)
    async with lifetime(desk):
        sys.stdout.write(f"{url_of(listening)}\n")
        sys.stdout.flush()
        await site.serve(listening)


if __name__ == "__main__":
    anyio.run(lambda: main(Home(Path(sys.argv[1])), with_fixtures="fixtures" in sys.argv[2:]))
