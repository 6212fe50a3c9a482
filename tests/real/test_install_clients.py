"""Claude Code, Codex and Gemini CLI read what `roundhouse install` wrote for them, and connect.

Their programs come from npm: @anthropic-ai/claude-code, @openai/codex, @google/gemini-cli. Each is
skipped where it is not on the PATH. Nothing is asked of a model, no account is needed.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROUNDHOUSE = Path(sys.executable).with_name("roundhouse")
SAYS = {
    "claude-code": (("claude", "mcp", "list"), "--client claude-code - ✔ Connected"),
    "codex": (("codex", "mcp", "list", "--json"), '"tool_timeout_sec": 3600.0'),
    "gemini": (("gemini", "mcp", "list"), "--client gemini-cli (stdio) - Connected"),
}
MOVED = {"claude-code": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME", "gemini": "GEMINI_CLI_HOME"}


@pytest.mark.parametrize("moved", [False, True], ids=["at home", "moved"])
@pytest.mark.parametrize("client", SAYS)
def test_a_real_client_reads_its_entry_and_its_own_command_no_longer_finds_a_removed_one(
    tmp_path: Path, client: str, *, moved: bool
) -> None:
    command, expected = SAYS[client]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on the PATH")
    project, folder = tmp_path / "project", tmp_path / ("moved" if moved else "home")
    project.mkdir()
    for trusted in (folder / ".gemini" / "trustedFolders.json", tmp_path / "home" / ".keep"):
        trusted.parent.mkdir(parents=True, exist_ok=True)
        trusted.write_text(json.dumps({str(project): "TRUST_FOLDER"}), encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "TERM": "dumb"}
    environ |= {MOVED[client]: str(folder)} if moved else {}

    def run(*line: str) -> str:
        done = subprocess.run(
            line, cwd=project, env=environ, capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout + done.stderr

    run(str(ROUNDHOUSE), "install", client, "--yes")
    there = run(*command)
    run(str(ROUNDHOUSE), "uninstall", client, "--yes")
    gone = run(*command)

    assert expected in there
    assert "roundhouse serve" not in gone
    assert '"roundhouse"' not in gone
