"""Roundhouse from Python, without MCP in between: the tools' arguments and results, as calls.

    async with library.opened() as models:
        answer = await models.complete("What is a roundhouse?", model="mock/echo")

The user's own home, providers, budgets and ledger, as in every other process on the machine. What
the tools take and give back is the contract; it is checked the same way here.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent

from .errors import Declined
from .home import Home
from .plainly import plainly
from .serve import Server, build, lifetime

WHOLE_S = 600.0  # nobody's editor waits for us, so an answer may take as long as it needs
NAME = "library"


class Refused(Exception):
    """There is no answer. Its text says what happened and what to do next; `code` is stable, like
    `over_budget` or `bad_request`; `retryable`: later it may go well."""

    def __init__(
        self, text: str, *, code: str, retryable: bool, declined: Declined | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.retryable = retryable
        self.declined = declined


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said. `cost_usd` is None where it is not known. `finish_reason` is `timeout`
    where there was no time for the rest. `said` is everything the tool gives back."""

    text: str
    finish_reason: str
    provider: str
    model: str
    cost_usd: float | None
    call_id: str
    usage: Mapping[str, Any]
    structured: Any = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    said: Mapping[str, Any] = field(repr=False)


class Here(Context[Any, Any]):
    """The context of a call that no MCP client made: nobody to report to, nobody to ask."""

    def __init__(self, server: Server) -> None:
        super().__init__(mcp_server=server)

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        return

    @property
    def client_capabilities(self) -> None:
        return None


class Models:
    """Every model the user has. May be used by many tasks at once."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def complete(self, prompt: str | None = None, **arguments: Any) -> Answer:
        """Asks a model, with the arguments of the tool `complete`. Raises Refused."""
        given = {"timeout_s": WHOLE_S, **arguments}
        said = await self.ask("complete", **given, **({} if prompt is None else {"prompt": prompt}))
        if arguments.get("call_id") is None:
            said = await self.whole(said, given)
        return Answer(
            text=said["text"],
            finish_reason=said["finish_reason"],
            provider=said["provider"],
            model=said["model"],
            cost_usd=said["cost_usd"],
            call_id=said["call_id"],
            usage=said["usage"],
            structured=said.get("structured"),
            tool_calls=said.get("tool_calls", ()),
            warnings=said.get("warnings", ()),
            said=said,
        )

    async def whole(self, said: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with all its text, where `limits.max_result_chars` shows it in pages."""
        most = self.server.desk.settings.limits.max_result_chars
        text: str = said["text"]
        while most is not None and text and len(text) % most == 0:
            wanted = {"call_id": said["call_id"], "offset": len(text)}
            wanted |= {name: given[name] for name in ("timeout_s", "detail") if name in given}
            page = await self.ask("complete", **wanted)
            if not page["text"]:
                return {**page, "text": text}
            text += page["text"]
            said = {**page, "text": text}
        return said

    async def embed(self, texts: Sequence[str], **arguments: Any) -> dict[str, Any]:
        """Embeds texts, with the arguments of the tool `embed`; the vectors are under `vectors`.
        Raises Refused."""
        given = {"timeout_s": WHOLE_S, "vectors": "inline", **arguments}
        return await self.ask("embed", texts=list(texts), **given)

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result of any tool. Raises Refused."""
        try:
            result = await self.server.call_tool(tool, arguments, Here(self.server))
        except ToolError as error:
            raise refused(error) from None
        assert isinstance(result, CallToolResult)
        if result.is_error or result.structured_content is None:
            said = "\n".join(each.text for each in result.content if isinstance(each, TextContent))
            raise Refused(said, code="internal", retryable=True)
        return dict(result.structured_content)


def refused(error: ToolError) -> Refused:
    """The tool's own words, and the facts a program needs."""
    text, cause = str(error), error.__cause__
    while cause is not None and not isinstance(cause, Declined):
        cause = cause.__cause__
    if cause is not None:
        return Refused(text, code=cause.code, retryable=cause.retryable, declined=cause)
    lines = text.splitlines()
    code = next((line.removeprefix("code: ") for line in lines if line.startswith("code: ")), "")
    return Refused(text, code=code or "bad_request", retryable="retryable: true" in lines)


@asynccontextmanager
async def opened(
    home: Path | None = None,
    *,
    client: str = NAME,
    environ: Mapping[str, str] = os.environ,
) -> AsyncGenerator[Models]:
    """The models of this user, or of another `home`. Leaving cancels what runs, and every call
    settles. `client` is who asks, in budgets and reports. Raises ConfigError."""
    found = Home.find(environ) if home is None else Home(home)
    server, desk = build(found, client=client, environ=environ)
    with plainly():
        async with lifetime(desk):
            yield Models(server)
