"""Makes a bundle for Claude Desktop (.mcpb): our wheel, what starts it, and a form for the keys.

    uv run python release/bundle.py dist/roundhouse       # the folder, and dist/roundhouse.mcpb

uv fetches the libraries when the bundle is installed. Keys typed into the form are kept in the
system's keychain and reach only this server. To see that the folder is valid:
`npx @anthropic-ai/mcpb validate dist/roundhouse/manifest.json`.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import click
from registry import DESCRIPTION, ROOT, TITLE, keyed, version

from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.server.install.clients import rows
from roundhouse_mcp.server.install.launcher import PACKAGE

PARTS = ("manifest.json", "main.py", "pyproject.toml", "LICENSE", "*.whl")
TOOLS = {
    "complete": "Ask a model, with fallback, budgets and a price.",
    "embed": "Vectors of texts, or their ranking against a query.",
    "route_for_task": "Where a call would go, at what cost, and why.",
    "provider_health": "What works, what is paused, what is slow.",
    "cost_report": "What was spent, and what budgets are left.",
    "unload_model": "Free a local model's memory.",
}
LONG = """\
Roundhouse gives Claude all language models you have, cloud and local, through six tools: with \
fallback when one fails, exact budgets shared with every other editor on this machine, and a \
terminal view of every call. Keys entered here stay in the system's keychain; without any, models \
of Ollama, LM Studio and llama.cpp are found by themselves."""
MAIN = '''\
"""Starts Roundhouse for Claude Desktop. A field of the form left empty is no key."""

import os
import sys

from roundhouse_mcp.server.__main__ import main

for name, value in list(os.environ.items()):
    if name in {names} and (not value.strip() or value.startswith("${{user_config.")):
        del os.environ[name]
sys.argv = ["roundhouse", "serve", "--client", "{client}"]
main()
'''
PROJECT = """\
[project]
name = "roundhouse-bundle"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["{package}"]

[tool.uv]
package = false

[tool.uv.sources]
{package} = {{ path = "{wheel}" }}
"""


def manifest() -> dict[str, Any]:
    project = PACKAGE.removesuffix("-mcp")
    return {
        "manifest_version": "0.4",
        "name": project,
        "display_name": TITLE.partition(":")[0],
        "version": version(),
        "description": DESCRIPTION,
        "long_description": LONG,
        "author": {"name": "The Roundhouse authors"},
        "license": "Apache-2.0",
        "keywords": ["llm", "router", "budget", "ollama"],
        "server": started(),
        "tools": [{"name": name, "description": said} for name, said in TOOLS.items()],
        "user_config": {row.name: field(row) for row in keyed()},
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": ">=3.11"},
        },
    }


def started() -> dict[str, Any]:
    """By uv, which is told where the project is and left in the folder the client starts it in."""
    return {
        "type": "uv",
        "entry_point": "main.py",
        "mcp_config": {
            "command": "uv",
            "args": ["run", "--quiet", "--project", "${__dirname}", "${__dirname}/main.py"],
            "env": {row.key_env[0]: f"${{user_config.{row.name}}}" for row in keyed()},
        },
    }


def field(row: Provider) -> dict[str, Any]:
    return {
        "type": "string",
        "title": f"{row.title} API key",
        "description": f"Switches {row.title} on. Leave it empty if you have none.",
        "sensitive": True,
        "required": False,
    }


def fill(folder: Path) -> None:
    """Writes the folder anew; the wheel is built from this checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    build = ["uv", "build", "--quiet", "--wheel", "--no-create-gitignore", "--out-dir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True)
    wheel = next(folder.glob("*.whl")).name
    names = sorted(row.key_env[0] for row in keyed())
    client = rows()["claude-desktop"].label
    parts = {
        "manifest.json": json.dumps(manifest(), indent=2, ensure_ascii=False) + "\n",
        "main.py": MAIN.format(names=names, client=client),
        "pyproject.toml": PROJECT.format(version=version(), package=PACKAGE, wheel=wheel),
        "LICENSE": (ROOT / "LICENSE").read_text(encoding="utf-8"),
    }
    for name, text in parts.items():
        (folder / name).write_text(text, encoding="utf-8")


def pack(folder: Path) -> Path:
    """The folder as one file beside it, without what uv may have left in it."""
    packed = folder.with_suffix(".mcpb")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for pattern in PARTS for p in folder.glob(pattern)):
            archive.write(path, path.name)
    return packed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python release/bundle.py FOLDER")
    fill(Path(sys.argv[1]))
    click.echo(pack(Path(sys.argv[1])))
