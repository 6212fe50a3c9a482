"""What is published beside the package: links, the registry's description, the bundle."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from roundhouse_mcp.server import __main__ as entry_point
from roundhouse_mcp.server.install.clients import rows
from roundhouse_mcp.server.install.entries import entry
from roundhouse_mcp.server.install.launcher import Launcher

ROOT = Path(__file__).parent.parent
LATEST = Launcher("uvx", ("roundhouse-mcp",))

pytestmark = pytest.mark.skipif(
    not (ROOT / "release").is_dir(), reason="the scripts are not beside the tests"
)


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "release"), *sys.path])


def listed() -> list[str]:
    """The names of our tools, in their order."""
    contract = Path(__file__).parent / "contract" / "tools.json"
    return [tool["name"] for tool in json.loads(contract.read_text(encoding="utf-8"))]


def query(link: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(link).query).items()}


def test_the_links_hold_what_install_would_write() -> None:
    badges = import_module("badges")
    vscode, cursor, lmstudio = map(query, (badges.vscode(), badges.cursor(), badges.lmstudio()))

    assert vscode["name"] == cursor["name"] == lmstudio["name"] == "roundhouse"
    assert json.loads(vscode["config"]) == entry(rows()["vscode"], LATEST, {})
    for name, link in (("cursor", cursor), ("lmstudio", lmstudio)):
        config = json.loads(base64.b64decode(link["config"], validate=True))
        assert config == entry(rows()[name], LATEST, {})


def test_a_badge_is_a_picture_with_a_link_that_markdown_reads() -> None:
    form = r"\[!\[Add to [A-Z][A-Za-z ]+\]\(https://[^\s()]+\)\]\(https://[^\s()]+\)"

    assert all(re.fullmatch(form, line) for line in import_module("badges").lines())


def test_the_registrys_file_is_up_to_date_and_within_its_limits() -> None:
    registry = import_module("registry")
    document = json.loads(registry.FILE.read_text(encoding="utf-8"))

    assert document == registry.document()
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", document["name"])
    assert len(document["description"]) <= 100
    assert len(document["title"]) <= 100
    *keys, home = document["packages"][0]["environmentVariables"]
    assert all(key["isSecret"] for key in keys)
    assert home["name"] == "ROUNDHOUSE_HOME"


def test_the_bundles_form_has_a_secret_field_for_every_key_it_passes_on() -> None:
    manifest: dict[str, Any] = import_module("bundle").manifest()
    env = manifest["server"]["mcp_config"]["env"]

    assert env["OPENAI_API_KEY"] == "${user_config.openai}"
    assert list(env.values()) == [f"${{user_config.{name}}}" for name in manifest["user_config"]]
    assert all(field["sensitive"] for field in manifest["user_config"].values())
    assert [tool["name"] for tool in manifest["tools"]] == listed()


def test_a_field_left_empty_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, served = import_module("bundle"), list[list[str]]()
    monkeypatch.setattr(entry_point, "main", lambda: served.append(list(sys.argv)))
    monkeypatch.setattr(sys, "argv", ["main.py"])
    said = {"OPENAI_API_KEY": "", "GROQ_API_KEY": "${user_config.groq}", "XAI_API_KEY": "xai-1"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)

    exec(bundle.MAIN.format(names=list(said), client="claude-desktop"), {})

    assert served == [["roundhouse", "serve", "--client", "claude-desktop"]]
    assert {name for name in said if name in os.environ} == {"XAI_API_KEY"}


@pytest.mark.real
def test_the_bundle_is_valid_for_its_own_tool(tmp_path: Path) -> None:
    if shutil.which("mcpb") is None or shutil.which("uv") is None:
        pytest.skip("mcpb or uv is not on the PATH; npm has @anthropic-ai/mcpb")
    folder = tmp_path / "roundhouse"
    subprocess.run([sys.executable, ROOT / "release" / "bundle.py", folder], check=True)

    for line in (("validate", folder / "manifest.json"), ("pack", folder, tmp_path / "again.mcpb")):
        subprocess.run(["mcpb", *line], check=True, timeout=60)

    assert (tmp_path / "roundhouse.mcpb").exists()


def test_the_example_file_holds_what_install_would_write() -> None:
    example = json.loads((ROOT / "mcp.json.example").read_text(encoding="utf-8"))
    for client in rows().values():
        section = next(example[title] for title in example if title.startswith(client.title))
        wanted = entry(client, LATEST, {})
        if client.format == "toml":
            lines = [f"{key} = {json.dumps(value)}" for key, value in wanted.items()]
            assert section == [f"[{client.table}.roundhouse]", *lines]
        else:
            assert section == {client.table: {"roundhouse": wanted}}
