"""Writes server.json, by which the MCP registry knows Roundhouse.

    uv run python release/registry.py           # write it
    uv run python release/registry.py --check   # exit with 1 if it is out of date

The registry believes that the package is ours because its README holds the line
`<!-- mcp-name: ... -->` with the name below. Publishing: `mcp-publisher login github`, then
`mcp-publisher publish`.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.server.home import VARIABLE
from roundhouse_mcp.server.install.launcher import PACKAGE

ROOT = Path(__file__).parents[1]
FILE = ROOT / "server.json"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAME = "io.github.roundhouse-mcp/roundhouse"  # the GitHub account it is published from
TITLE = "Roundhouse: every model you have"
DESCRIPTION = "All your language models, cloud and local, for any agent, under one exact budget."


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def keyed() -> list[Provider]:
    """The services that need one key and nothing else."""
    return [
        row
        for row in shipped().values()
        if row.key_env and row.key_required and not (row.local or row.by_name_only)
        if row.base_url.startswith("https://") and "{" not in row.base_url
    ]


def variables() -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {
            "name": row.key_env[0],
            "description": f"API key of {row.title}; switches it on.",
            "isSecret": True,
        }
        for row in keyed()
    ]
    said.append(
        {
            "name": VARIABLE,
            "description": "Where configuration, keys and ledger are; ~/.roundhouse if not set.",
            "format": "filepath",
        }
    )
    return said


def document() -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "name": NAME,
        "title": TITLE,
        "description": DESCRIPTION,
        "version": version(),
        "packages": [
            {
                "registryType": "pypi",
                "identifier": PACKAGE,
                "version": version(),
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [{"type": "positional", "value": "serve"}],
                "environmentVariables": variables(),
            }
        ],
    }


def main() -> None:
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        click.echo("server.json is out of date: uv run python release/registry.py")
        sys.exit(1)


if __name__ == "__main__":
    main()
