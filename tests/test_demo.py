"""The newcomer's first command shows every tool, leaves nothing behind, reads without colour."""

import os
import re
import subprocess
import sys
from pathlib import Path

TOOLS = (
    "complete",
    "embed",
    "route_for_task",
    "provider_health",
    "cost_report",
    "unload_model",
)


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-m", "roundhouse_mcp.server", "demo", *arguments],
        env={**environ, "TMPDIR": str(folder), "HOME": str(folder), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_uses_all_six_tools_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_demo(tmp_path)

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for tool in TOOLS:
        assert re.search(rf"^\d  {tool}\b", done.stdout, re.MULTILINE), tool
    assert "flaky/coder: faulted (HTTP 503)" in done.stdout
    assert "third call: 1 attempt, straight to steady" in done.stdout
    assert "lavish/grand is over budget" in done.stdout
    assert "qwen3:8b was unloaded from attic" in done.stdout
    assert "Resetting a tripped circuit breaker in the house" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_can_keep_its_ledger_for_the_terminal_ui(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--keep")

    assert done.returncode == 0, done.stderr
    kept = re.search(r"ROUNDHOUSE_HOME=(\S+) roundhouse watch", done.stdout)
    assert kept is not None
    assert (Path(kept[1]) / "ledger.db").exists()
