"""Prints the lines of README.md that install Roundhouse with one click.

    uv run python release/badges.py

The links carry no version: a page that pins one would be old with the next release, and the
editors show what they are about to add. They name uvx by its bare name, for any machine.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import click

from roundhouse_mcp.server.install.clients import rows
from roundhouse_mcp.server.install.entries import NAME, entry
from roundhouse_mcp.server.install.launcher import PACKAGE, Launcher

LATEST = Launcher("uvx", (PACKAGE,))
SHIELD = "https://img.shields.io/badge/{label}-install-{color}?logo={logo}&logoColor=white"
PICTURES: Mapping[str, tuple[str, str]] = {
    "vscode": ("VS Code", SHIELD.format(label="VS_Code", color="0098FF", logo="visualstudiocode")),
    "cursor": ("Cursor", "https://cursor.com/deeplink/mcp-install-dark.svg"),
    "lmstudio": ("LM Studio", "https://files.lmstudio.ai/deeplink/mcp-install-light.svg"),
}


def config(client: str) -> dict[str, Any]:
    return entry(rows()[client], LATEST, {})


def vscode() -> str:
    """A page of VS Code that opens `vscode:mcp/install`; GitHub strips links of that form."""
    said = json.dumps(config("vscode"), separators=(",", ":"))
    return f"https://insiders.vscode.dev/redirect/mcp/install?name={NAME}&config={quote(said)}"


def cursor() -> str:
    return f"https://cursor.com/en/install-mcp?{encoded('cursor')}"


def lmstudio() -> str:
    return f"https://lmstudio.ai/install-mcp?{encoded('lmstudio')}"


def encoded(client: str) -> str:
    """Name and configuration as Cursor wants them, and LM Studio after it."""
    said = json.dumps(config(client), separators=(",", ":")).encode()
    return urlencode({"name": NAME, "config": base64.b64encode(said).decode()})


def lines() -> list[str]:
    links = {"vscode": vscode(), "cursor": cursor(), "lmstudio": lmstudio()}
    return [
        f"[![Add to {title}]({picture})]({links[client]})"
        for client, (title, picture) in PICTURES.items()
    ]


if __name__ == "__main__":
    for line in lines():
        click.echo(line)
