"""What the fixture `roundhouse` hands out: a home of its own, scripted models, servers, the ledger.

Nothing runs but the scripted service until a server is started: by `client`, or by the agent under
test, which is told how by `server`, `environ` or `mcp_json`.
"""

import json
import os
import sys
import tomllib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..providers.catalog import shipped, shipped_rows
from ..server import config
from ..server.environment import PREFIX
from ..server.home import VARIABLE, Home
from ..server.ledger.driver import connect_read_only
from ..server.plainly import plainly
from .script import Asked, Entry, Script
from .upstream import Upstream

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters

PROVIDER = "scripted"
UNWRITTEN = "echo"
PRICE = {"input": "1.00", "output": "2.00"}
KEYED_IN = ("_API_KEY", "_TOKEN", "_SECRET", "_ACCESS_KEY")


class Roundhouse:
    """A context manager. `home` is the directory a server finds in ROUNDHOUSE_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.extra = ""
        self.upstream = Upstream()

    def __enter__(self) -> Self:
        self.write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.upstream.close()

    def script(self, model: str, *entries: str | Entry) -> None:
        """What a model does, request by request; the last entry stays. `model` is `provider/model`
        or a model of the provider `scripted`. A script in its place is replaced."""
        provider, _, name = model.rpartition("/")
        with self.upstream.lock:
            self.upstream.scripts[provider or PROVIDER, name] = Script(*entries)
        self.write()

    def configure(self, toml: str) -> None:
        """Adds tables to config.toml, like budgets; a running server takes them up with its next
        call. Raises ConfigError, and then nothing has changed."""
        before, self.extra = self.extra, f"{self.extra}\n{toml}"
        try:
            self.write()
        except Exception:
            self.extra = before
            raise

    def write(self) -> None:
        home, text = Home(self.home), self.extra + "\n" + self.own_tables()
        config.understood(text, home.config, {})
        home.write(home.config, text)

    def own_tables(self) -> str:
        """A table for every scripted provider; every other one is switched off."""
        scripted = {PROVIDER: [UNWRITTEN]} | self.models()
        theirs = set(tomllib.loads(self.extra).get("providers", ()))
        tables = [
            f"[providers.{json.dumps(name)}]\n"
            f'like = "mock"\nlocal = false\nbase_url = "{self.upstream.url(name)}"\n'
            f'models = {json.dumps(models)}\nembedding_model = "{models[0]}"\n'
            f'[prices."{name}/*"]\ninput = "{PRICE["input"]}"\noutput = "{PRICE["output"]}"\n'
            for name, models in scripted.items()
        ]
        others = [name for name in shipped_rows() if name not in {*scripted, *theirs}]
        return "".join((*tables, *(f"[providers.{n}]\nenabled = false\n" for n in others)))

    def models(self) -> dict[str, list[str]]:
        """The models with a script, by provider."""
        with self.upstream.lock:
            names = list(self.upstream.scripts)
        return {name: [m for p, m in names if p == name] for name, _ in names}

    @property
    def asked(self) -> Sequence[Asked]:
        """Every request the scripted providers got, in order; retries and fallbacks are requests
        of their own."""
        with self.upstream.lock:
            return tuple(self.upstream.asked)

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment without any key, and with the home: for the agent under test,
        when it starts the server itself."""
        known = {name for row in shipped().values() for name in row.key_env}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not (name in known or name.startswith(PREFIX) or name.endswith(KEYED_IN))
        }
        return {**kept, VARIABLE: str(self.home)}

    def server(self, client: str = "pytest") -> "StdioServerParameters":
        """How a server of this home is started over stdio."""
        from mcp import StdioServerParameters

        command = ["-m", "roundhouse_mcp.server", "serve", "--client", client]
        return StdioServerParameters(command=sys.executable, args=command, env=self.environ)

    def mcp_json(self, client: str = "pytest") -> dict[str, Any]:
        """The same as most clients have it in their configuration: `mcpServers` by name."""
        started = self.server(client)
        entry = {
            "command": started.command,
            "args": started.args,
            "env": {VARIABLE: str(self.home)},
        }
        return {"mcpServers": {"roundhouse": entry}}

    @asynccontextmanager
    async def client(self, name: str = "pytest", **options: Any) -> "AsyncGenerator[Client]":
        """An MCP client of a server process that lives as long as the block. `options` are those
        of the SDK's `Client`: callbacks, `mode`. `name` is the client in the ledger."""
        from mcp import Client

        with plainly():
            async with Client(self.server(name), **options) as client:
                yield client

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """What the ledger holds: a SELECT, read beside whoever writes it. Nothing where no server
        has made a ledger yet."""
        path = Home(self.home).ledger
        if not path.exists():
            return []
        with closing(connect_read_only(path, busy_s=5.0)) as db:
            cursor = db.execute(query, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def calls(self) -> list[dict[str, Any]]:
        """Every call that ended, in the order they began. Money is `cost_nano`: billionths of a
        dollar."""
        return self.rows("SELECT * FROM calls ORDER BY started, id")

    def attempts(self) -> list[dict[str, Any]]:
        """Every attempt that ended, in the order they began."""
        return self.rows("SELECT * FROM attempts ORDER BY started, call_id, n")

    def spent_usd(self) -> Decimal:
        """What all calls cost together."""
        nano = sum(row["cost_nano"] or 0 for row in self.attempts())
        return Decimal(nano) / 1_000_000_000
