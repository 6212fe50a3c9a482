"""Where every client keeps its file, and how its entry starts the Roundhouse that is running."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roundhouse_mcp.server.install import clients, launcher
from roundhouse_mcp.server.install.clients import Client, Machine, Platform

PAGE = Path(__file__).parent.parent / "docs" / "install.md"
CLIENTS = list(clients.rows().values())

every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
PLACES: Mapping[str, tuple[str, ...]] = {
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
        "AppData/Roaming/Claude/claude_desktop_config.json",
    ),
    "claude-code": (".claude.json",) * 3,
    "cursor": (".cursor/mcp.json",) * 3,
    "vscode": (
        ".config/Code/User/mcp.json",
        "Library/Application Support/Code/User/mcp.json",
        "AppData/Roaming/Code/User/mcp.json",
    ),
    "zed": (
        ".config/zed/settings.json",
        ".config/zed/settings.json",
        "AppData/Roaming/Zed/settings.json",
    ),
    "windsurf": (".codeium/windsurf/mcp_config.json",) * 3,
    "codex": (".codex/config.toml",) * 3,
    "gemini": (".gemini/settings.json",) * 3,
    "lmstudio": (".lmstudio/mcp.json",) * 3,
}


@every_client
def test_every_client_keeps_its_file_where_its_platform_wants_it(client: Client) -> None:
    home = Path("/home/u")
    found = [Machine(each, home, {}).file_of(client) for each in ("linux", "macos", "windows")]

    assert found == [home / place for place in PLACES[client.name]]


@pytest.mark.parametrize(
    ("name", "platform", "environ", "file"),
    [
        ("zed", "linux", {"XDG_CONFIG_HOME": "/etc/u"}, "/etc/u/zed/settings.json"),
        ("zed", "macos", {"XDG_CONFIG_HOME": "/etc/u"}, "/home/u/.config/zed/settings.json"),
        ("zed", "linux", {"XDG_CONFIG_HOME": "relative"}, "/home/u/.config/zed/settings.json"),
        ("vscode", "windows", {"APPDATA": "/d/Roaming"}, "/d/Roaming/Code/User/mcp.json"),
        ("codex", "linux", {"CODEX_HOME": "/srv/codex"}, "/srv/codex/config.toml"),
        ("claude-code", "macos", {"CLAUDE_CONFIG_DIR": "/srv/c"}, "/srv/c/.claude.json"),
        ("gemini", "linux", {"GEMINI_CLI_HOME": "/srv/g"}, "/srv/g/.gemini/settings.json"),
    ],
)
def test_variables_move_a_clients_file(
    name: str, platform: Platform, environ: dict[str, str], file: str
) -> None:
    found = Machine(platform, Path("/home/u"), environ).file_of(clients.rows()[name])

    assert found == Path(file)


CACHE = Path("/home/u/.cache/uv/archive-v0/Yr")
CLONE = {"url": "file:///home/u/my%20clone", "dir_info": {"editable": True}}
COMMIT = {"url": "https://example.com/r.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
FROM_UVX = "/home/u/.local/bin/uvx"


@pytest.mark.parametrize(
    ("prefix", "script", "origin", "expected"),
    [
        (CACHE, CACHE / "bin/roundhouse-mcp", None, (FROM_UVX, "roundhouse-mcp==0.2.0")),
        (
            CACHE,
            CACHE / "bin/roundhouse-mcp",
            CLONE,
            (FROM_UVX, "--from", "/home/u/my clone", "roundhouse-mcp"),
        ),
        (
            CACHE,
            CACHE / "bin/roundhouse-mcp",
            COMMIT,
            (FROM_UVX, "--from", "git+https://example.com/r.git@c0ffee", "roundhouse-mcp"),
        ),
        (
            Path("/home/u/.local/share/uv/tools/roundhouse-mcp"),
            Path("/home/u/.local/bin/roundhouse"),
            None,
            ("/home/u/.local/bin/roundhouse",),
        ),
        (
            Path("/home/u/clone/.venv"),
            Path("/home/u/clone/.venv/bin/roundhouse"),
            CLONE,
            ("/home/u/clone/.venv/bin/roundhouse",),
        ),
        (
            Path("/home/u/clone/.venv"),
            Path("/home/u/clone/server/__main__.py"),
            CLONE,
            ("/scripts/roundhouse",),
        ),
    ],
)
def test_an_entry_starts_what_is_running_and_pins_what_uvx_fetches(
    prefix: Path, script: Path, origin: Mapping[str, Any] | None, expected: tuple[str, ...]
) -> None:
    found = launcher.launcher(
        prefix=prefix,
        script=script,
        scripts=Path("/scripts"),
        origin=origin,
        version="0.2.0",
        uvx=FROM_UVX,
    )

    assert (found.command, *found.args) == expected


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not beside the tests")
@every_client
def test_the_page_names_every_clients_files(client: Client) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `{client.name}` |"))

    assert all(Path(place).name in row for place in PLACES[client.name])
    project = [cell.strip() for cell in row.split("|")][3]
    assert project == (f"`{client.project}`" if client.project else "")
    assert ("cannot be set" in row) == (not client.waits)
