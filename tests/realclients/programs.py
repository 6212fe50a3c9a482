"""Three command-line agents of other people, each in a home of its own, at a model API of ours.

They are found through CLIENTS_BIN, a `node_modules/.bin` (with a Node of 22 or newer beside it or
on PATH):

    npm install --prefix /tmp/clients node@24 @anthropic-ai/claude-code @openai/codex \\
        @google/gemini-cli
    CLIENTS_BIN=/tmp/clients/node_modules/.bin uv run pytest -m clients tests/realclients
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process
from dialects import Anthropic, Dialect, Gemini, Player, Responses, Turn
from upstream import Request, Script, Send, answer, head, upstream

BIN = os.environ.get("CLIENTS_BIN", "")
PATH = os.pathsep.join([BIN, str(Path(BIN).parent / "node" / "bin"), os.environ["PATH"]])
PROMPT = "go"
GONE_S = 10.0
LIMIT_S = 120.0


def serve(home: Path) -> tuple[str, list[str], dict[str, str]]:
    """Command, arguments and environment of our server."""
    arguments = ["-m", "roundhouse_mcp.server", "serve"]
    return sys.executable, arguments, {"ROUNDHOUSE_HOME": str(home / "roundhouse")}


def claude(home: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """It asks its model before a server that starts slowly is there, unless told to be patient."""
    command, arguments, environ = serve(home)
    server = {"type": "stdio", "command": command, "args": arguments, "env": environ}
    config = json.dumps({"mcpServers": {"roundhouse": server}})
    line = ["claude", "-p", PROMPT, "--model", "claude-sonnet-4-5", "--output-format", "json"]
    line += ["--allowedTools", "mcp__roundhouse", "--strict-mcp-config", "--mcp-config", config]
    quiet = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER")
    said = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": url}
    patient = {"MCP_CONNECTION_NONBLOCKING": "0", "MCP_CONNECT_TIMEOUT_MS": "60000"}
    return line, {**said, **patient, **dict.fromkeys(quiet, "1"), "ENABLE_TOOL_SEARCH": "false"}


def codex(home: Path, url: str) -> tuple[list[str], dict[str, str]]:
    command, arguments, environ = serve(home)
    inline = ", ".join(f"{name} = {json.dumps(value)}" for name, value in environ.items())
    folder = home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'model = "gpt-5"\nmodel_provider = "fake"\napproval_policy = "never"\n'
        f'sandbox_mode = "danger-full-access"\n[model_providers.fake]\nname = "fake"\n'
        f'base_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "FAKE_KEY"\n'
        f"[mcp_servers.roundhouse]\ncommand = {json.dumps(command)}\n"
        f"args = {json.dumps(arguments)}\nenv = {{{inline}}}\nstartup_timeout_sec = 60\n"
        f'required = true\ndefault_tools_approval_mode = "approve"\n',
        encoding="utf-8",
    )
    line = ["codex", "exec", "--skip-git-repo-check", "--json", PROMPT]
    return line, {"CODEX_HOME": str(folder), "FAKE_KEY": "dummy"}


def gemini(home: Path, url: str) -> tuple[list[str], dict[str, str]]:
    command, arguments, environ = serve(home)
    folder = home / ".gemini"
    folder.mkdir()
    server = {"command": command, "args": arguments, "env": environ, "trust": True}
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "mcpServers": {"roundhouse": {**server, "timeout": 60000}},
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    trusted = json.dumps({str(home / "project"): "TRUST_FOLDER"})
    (folder / "trustedFolders.json").write_text(trusted, encoding="utf-8")
    line = ["gemini", "-m", "gemini-2.5-flash", "--yolo", "-p", PROMPT]
    return line, {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": url}


@dataclass(frozen=True, slots=True)
class Program:
    """`prepare` writes the program's files into a home and says how to start it."""

    prepare: Callable[[Path, str], tuple[list[str], dict[str, str]]]
    dialect: Dialect
    names_events: bool = True


PROGRAMS: Mapping[str, Program] = {
    "claude": Program(claude, Anthropic()),
    "codex": Program(codex, Responses()),
    "gemini": Program(gemini, Gemini(), names_events=False),
}


def present(name: str) -> bool:
    return bool(BIN) and shutil.which(name, path=BIN) is not None


@dataclass(slots=True)
class Running:
    """A program at work; `turns` are the requests of its model that had our tools in them."""

    process: Process
    home: Path
    turns: list[Turn] = field(default_factory=list[Turn])

    def signal(self, number: int) -> None:
        """To the program and its children, as a terminal does, but not to our server."""
        for each in processes(self.home):
            line = (Path("/proc") / str(each) / "cmdline").read_bytes()
            if b"roundhouse_mcp.server" not in line.split(b"\0"):
                os.kill(each, number)

    async def ended(self) -> int:
        """Its exit code, once it is over."""
        with anyio.fail_after(LIMIT_S):
            return await self.process.wait()

    async def orphans(self) -> list[int]:
        """Processes of this home that outlive it."""
        with anyio.move_on_after(GONE_S):
            while True:
                if not processes(self.home):
                    return []
                await anyio.sleep(0.05)
        return processes(self.home)


def processes(home: Path) -> list[int]:
    """Ids of those started with this home in their environment. Reads /proc: for Linux."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone, or another user's
        if f"{home}/".encode() in environ:
            found.append(int(entry.name))
    return found


def api(program: Program, player: Player, turns: list[Turn]) -> Script:
    """The model API: the player's step where our tools are offered, idle words elsewhere."""

    async def script(request: Request, send: Send) -> None:
        if request.method != "POST" or "count" in request.path.lower():
            await answer('{"input_tokens": 1, "totalTokens": 1, "data": [], "models": []}')(
                request, send
            )
            return
        turn = program.dialect.read(request.json)
        if turn.tools:
            turns.append(turn)
        events = program.dialect.say(player(turn) if turn.tools else "done", turn)
        await send(head(200, {"content-type": "text/event-stream"}))
        for event in events:
            name = f"event: {event['type']}\n" if program.names_events else ""
            await send(f"{name}data: {json.dumps(event)}\n\n".encode())

    return script


@asynccontextmanager
async def running(name: str, home: Path, player: Player) -> AsyncGenerator[Running]:
    """The program, asked to go on in a project of its own; killed with the block if it lives."""
    program, turns = PROGRAMS[name], list[Turn]()
    (home / "project").mkdir(parents=True)
    async with upstream(api(program, player, turns), gets=True) as server:
        line, environ = program.prepare(home, server.url.removesuffix("/v1"))
        process = await started(line, home, environ)
        try:
            yield Running(process, home, turns)
        finally:
            with anyio.CancelScope(shield=True):
                for number in processes(home):
                    os.kill(number, 9)
                await process.aclose()


async def started(line: Sequence[str], home: Path, environ: Mapping[str, str]) -> Process:
    """Its output goes to files beside the project."""
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        return await anyio.open_process(
            line,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=home / "project",
            env={"HOME": f"{home}/", "PATH": PATH, "LANG": "C.UTF-8", **environ},
        )
