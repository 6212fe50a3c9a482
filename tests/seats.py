"""A client at a server: in memory, or as the real process over stdio."""

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent
from upstream import plainly

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.server.desk import Desk
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.ledger.driver import OperationalError, connect_read_only
from roundhouse_mcp.server.serve import build, lifetime

Era = Literal["auto", "legacy"]


def quiet(*wanted: str) -> str:
    """The configuration that keeps local programs out but those wanted: whatever runs on the
    machine of whoever runs the tests is none of their business."""
    rows = (row.name for row in shipped().values() if row.local and not row.by_name_only)
    return "".join(f"[providers.{n}]\nenabled = false\n" for n in rows if n not in wanted)


QUIET = quiet()


def scripted(
    name: str,
    script: str = "",
    *,
    models: str = "m",
    price: tuple[str, str] | None = ("1", "1"),
    more: str = "",
) -> str:
    """The configuration of a mock provider; `price` is USD per million tokens in and out."""
    listed = ", ".join(f'"{model}"' for model in models.split())
    row = f'[providers.{name}]\nlike = "mock"\nbase_url = "mock://{name}?{script}"\n'
    row += "local = false\n"  # else it is free and its circuit opens early
    return row + f"models = [{listed}]\n{more}\n" + prices(name, models, price)


def served(
    name: str,
    url: str,
    *,
    models: str = "m",
    price: tuple[str, str] | None = ("1", "1"),
    more: str = "",
) -> str:
    """The configuration of a provider at a loopback address, reached over real HTTP."""
    listed = ", ".join(f'"{model}"' for model in models.split())
    row = f'[providers.{name}]\nwire = "openai_chat"\nbase_url = "{url}"\n'
    return row + f"models = [{listed}]\n{more}\n" + prices(name, models, price)


def prices(name: str, models: str, price: tuple[str, str] | None) -> str:
    if price is None:
        return ""
    lines = [
        f'[prices."{name}/{model}"]\ninput = "{price[0]}"\noutput = "{price[1]}"\n'
        for model in models.split()
    ]
    return "".join(lines)


def chain(*names: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"[routing]\nchain = [{listed}]\n"


def budget(limit: str, *, scope: str = "global", period: str = "total") -> str:
    return f'[[budgets]]\nscope = "{scope}"\nperiod = "{period}"\nlimit_usd = "{limit}"\n'


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def rows(home: Path, query: str, *parameters: object) -> list[dict[str, Any]]:
    """What the ledger holds, read beside whoever writes it."""
    with closing(connect_read_only(home / "ledger.db", busy_s=5.0)) as db:
        cursor = db.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Seat:
    client: Client
    home: Path

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)

    async def said(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured half of a success."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, text_of(result)
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The text of an error, which is all an error has."""
        result = await self.call(tool, **arguments)
        assert result.is_error, result.structured_content
        assert result.structured_content is None
        return text_of(result)

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        return rows(self.home, query, *parameters)


def write_config(home: Path, *parts: str) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "config.toml").write_text("\n".join((QUIET, *parts)), encoding="utf-8")
    (home / "config.toml").chmod(0o600)


def stripped() -> dict[str, str | None]:
    """Every variable of this machine's that would be read, to be taken out."""
    rows = shipped().values()
    known = {name for row in rows for name in (*row.key_env, *row.url_env)}
    ours = {name for name in os.environ if name.startswith("ROUNDHOUSE_")}
    return dict.fromkeys(known | ours)


@dataclass(frozen=True, slots=True)
class Inside(Seat):
    """A seat at a server in this process, whose desk can be looked at."""

    desk: Desk


@asynccontextmanager
async def seated(
    home: Path,
    *config: str,
    environ: Mapping[str, str] | None = None,
    era: Era = "auto",
) -> AsyncGenerator[Inside]:
    """A client of a server in this process, with the given configuration."""
    write_config(home, *config)
    server, desk = build(Home(home), environ=environ or {})
    try:
        with plainly():
            async with lifetime(desk), Client(server, mode=era) as client:
                yield Inside(client, home, desk)
    finally:
        desk.ledger.close()


def launch(home: Path, *arguments: str, **environ: str) -> StdioServerParameters:
    """How an editor starts the server on this home."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "SYSTEMROOT")}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse_mcp.server", "serve", *arguments],
        env={**kept, "ROUNDHOUSE_HOME": str(home), **environ},
    )


@asynccontextmanager
async def started(home: Path, *arguments: str, era: Era = "auto") -> AsyncGenerator[Seat]:
    """A client of the real server process."""
    async with Client(launch(home, *arguments), mode=era) as client:
        yield Seat(client, home)


async def settled(home: Path, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows as soon as there are any, for what another process is about to write."""
    while True:
        with suppress(OperationalError):  # before the tables are made
            if found := rows(home, query, *parameters):
                return found
        await anyio.sleep(0.02)
