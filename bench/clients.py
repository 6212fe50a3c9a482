"""The real clients' own commands against `roundhouse serve`, offline: do they connect, what do
they print?

    npm install node@24 @modelcontextprotocol/inspector @anthropic-ai/claude-code \\
        @google/gemini-cli @openai/codex
    uv run python bench/clients.py NODE_MODULES

No account and no network: every client gets a home directory of its own, which is removed. The
full agent loops, where a client's model asks for tool calls, are in tests/realclients.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROUNDHOUSE = str(Path(sys.executable).with_name("roundhouse"))
LIMIT_S = 90
SHOWN = 600


@dataclass(frozen=True, slots=True)
class Step:
    """One command of one client; `said` goes to its stdin."""

    title: str
    command: Sequence[str]
    said: str = ""


def inspector(serve: Sequence[str]) -> Iterator[Step]:
    base = ["mcp-inspector", "--cli", *serve, "--format", "json"]
    for era in ("legacy", "modern"):
        listing = [*base, "--protocol-era", era, "--strict", "--method", "tools/list"]
        yield Step(f"Inspector, tools/list, {era}, strict", listing)
        call = [*base, "--protocol-era", era, "--method", "tools/call", "--tool-name"]
        echo = ["complete", "--tool-arg", "prompt=hello", "--tool-arg", "model=mock/echo"]
        yield Step(f"Inspector, complete on mock/echo, {era}", [*call, *echo])
        yield Step(f"Inspector, cost_report, {era}", [*call, "cost_report"])
        nobody = ["complete", "--tool-arg", "prompt=hello", "--tool-arg", "model=nobody-has-this"]
        yield Step(f"Inspector, a model nobody has, {era}", [*call, *nobody])


def claude(serve: Sequence[str]) -> Iterator[Step]:
    yield Step("Claude Code, version", ["claude", "--version"])
    added = ["claude", "mcp", "add", "--scope", "user", "roundhouse", "--", *serve]
    yield Step("Claude Code, mcp add", added)
    yield Step("Claude Code, mcp list", ["claude", "mcp", "list"])
    yield Step("Claude Code, mcp get", ["claude", "mcp", "get", "roundhouse"])


def gemini(serve: Sequence[str]) -> Iterator[Step]:
    yield Step("Gemini CLI, version", ["gemini", "--version"])
    yield Step("Gemini CLI, mcp add", ["gemini", "mcp", "add", "-s", "user", "roundhouse", *serve])
    yield Step("Gemini CLI, mcp list", ["gemini", "mcp", "list"])


def codex(serve: Sequence[str]) -> Iterator[Step]:
    yield Step("Codex, version", ["codex", "--version"])
    yield Step("Codex, mcp add", ["codex", "mcp", "add", "roundhouse", "--", *serve])
    yield Step("Codex, mcp list", ["codex", "mcp", "list", "--json"])


def run(step: Step, environ: Mapping[str, str], folder: Path) -> str:
    """What the command printed, and its exit code."""
    done = subprocess.run(
        step.command,
        input=step.said,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=folder,
        env=dict(environ),
        check=False,
    )
    printed = (done.stdout + done.stderr).replace(str(folder), "HOME")
    plain = printed.replace(ROUNDHOUSE, "roundhouse").strip()
    return f"exit {done.returncode}\n{plain}"


def codex_servers(environ: Mapping[str, str], folder: Path) -> str:
    """Codex connects only from its app server: the tools it lists there."""
    hello = {"clientInfo": {"name": "bench", "version": "0"}}
    with subprocess.Popen(
        ["codex", "app-server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env=dict(environ),
    ) as process:
        assert process.stdin
        assert process.stdout
        messages: tuple[dict[str, Any], ...] = (
            {"id": 0, "method": "initialize", "params": hello},
            {"method": "initialized"},
            {"id": 1, "method": "mcpServerStatus/list", "params": {}},
        )
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == 1:
                process.terminate()
                return "\n".join(listed(answer))
    return "ended without an answer"


def listed(answer: Mapping[str, Any]) -> Iterator[str]:
    if "error" in answer:
        yield json.dumps(answer["error"])
        return
    for server in answer["result"]["data"]:
        yield f"{server['name']}: {', '.join(sorted(server['tools']))}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("node_modules", type=Path)
    modules: Path = parser.parse_args().node_modules.absolute()
    paths = [str(modules / ".bin"), str(modules / "node" / "bin"), os.environ["PATH"]]
    serve = [ROUNDHOUSE, "serve"]
    with tempfile.TemporaryDirectory(prefix="clients-") as name:
        folder = Path(name)
        environ = {"HOME": name, "PATH": os.pathsep.join(paths), "DISABLE_AUTOUPDATER": "1"}
        (folder / ".gemini").mkdir()
        trusted = json.dumps({name: "TRUST_FOLDER"})
        (folder / ".gemini" / "trustedFolders.json").write_text(trusted, encoding="utf-8")
        for steps in (inspector, claude, gemini, codex):
            for step in steps(serve):
                sys.stdout.write(f"== {step.title}\n{run(step, environ, folder)[:SHOWN]}\n")
                sys.stdout.flush()
        sys.stdout.write(f"== Codex, app-server\n{codex_servers(environ, folder)}\n")


if __name__ == "__main__":
    main()
