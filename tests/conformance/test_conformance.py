"""The official conformance suite, the Inspector and the TypeScript SDK's client at our server. They
are npm's: see README.md beside this file."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from seats import budget, launch, rows, scripted, settled, write_config
from sites import spawned

HERE = Path(__file__).parent
PACKAGES = Path(os.environ.get("ROUNDHOUSE_NODE_MODULES", "node_modules")).absolute()
NODE = PACKAGES / "node" / "bin" / "node"
SUITE = PACKAGES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = PACKAGES / ".bin" / "mcp-inspector"
LIMIT_S = 180
REVISIONS = ["2025-11-25", "2026-07-28"]
ONE = scripted("one", "text=All%20is%20well.", more='embedding_model = "finder"')
WORDS = "%20".join(f"word{n}" for n in range(12))
SLOW = scripted("slow", f"delay_ms=60&text={WORDS}")
ENDLESS = scripted("endless", f"delay_ms=2000&text={WORDS}")
DEAR = scripted("dear", "text=dear", price=("1000", "1000"))
ASK = budget("0.01") + 'at_limit = "ask"\n'
TOOLS = {
    "complete": ["prompt=Hi", "model=one/m"],
    "embed": ['texts=["a"]', "query=a"],
    "route_for_task": ["task=code"],
    "provider_health": [],
    "cost_report": ["period=day"],
    "unload_model": ["model=one/m"],
}

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not NODE.exists(), reason="ROUNDHOUSE_NODE_MODULES names no Node"),
]


def with_node() -> dict[str, str]:
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(params=["fixtures", "product"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Which one it is, and its address."""
    home = tmp_path / "home"
    write_config(home, ONE)
    command = [sys.executable, str(HERE / "serve.py"), str(home), request.param]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield request.param, running.stdout.readline().strip()
        finally:
            running.terminate()


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_official_suite_finds_nothing_wrong(
    server: tuple[str, str], revision: str, tmp_path: Path
) -> None:
    kind, url = server
    options = ["--url", url, "--suite", "all", "--spec-version", revision]
    command = [str(NODE), str(SUITE), "server", *options, "-o", str(tmp_path / "found")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=tmp_path
    )

    lacking = tomllib.loads((HERE / "lacking.toml").read_text(encoding="utf-8"))[revision]
    allowed = set(lacking) if kind == "product" else set[str]()
    wrong = dict(troubles(tmp_path / "found"))
    assert "Total: " in done.stdout, done.stderr
    assert {name: why for name, why in wrong.items() if name not in allowed} == {}
    sys.stderr.write(f"{kind} {revision}: {done.stdout.partition('Total: ')[2].splitlines()[0]}\n")


def troubles(found: Path) -> Iterator[tuple[str, str]]:
    """Scenarios with a failure or a warning, and what it says."""
    for path in sorted(found.rglob("checks.json")):
        name = path.parent.name.removeprefix("server-")
        for check in json.loads(path.read_text(encoding="utf-8")):
            if check["status"] in ("FAILURE", "WARNING"):
                yield re.sub(r"-\d{4}-\d\d-\d\dT.*", "", name), str(check.get("errorMessage"))


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("tool", TOOLS)
def test_the_inspector_calls_every_tool(tmp_path: Path, tool: str, era: str) -> None:
    arguments = [part for pair in TOOLS[tool] for part in ("--tool-arg", pair)]
    said = inspected(tmp_path, era, "--method", "tools/call", "--tool-name", tool, *arguments)

    assert "structuredContent" in said


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_the_schema_of_every_tool_portable(tmp_path: Path, era: str) -> None:
    said = inspected(tmp_path, era, "--method", "tools/list", "--strict")

    assert all(f'"{tool}"' in said for tool in TOOLS)


def inspected(tmp_path: Path, era: str, *asked: str) -> str:
    """What the Inspector prints; it has to find nothing wrong."""
    write_config(tmp_path, ONE)
    how = launch(tmp_path)
    wrapper = tmp_path / "serve"
    wrapper.write_text(
        f"#!/bin/sh\nROUNDHOUSE_HOME='{tmp_path}' exec '{how.command}' {' '.join(how.args)}\n",
        encoding="utf-8",
    )
    wrapper.chmod(0o700)
    base = [str(INSPECTOR), "--cli", str(wrapper), "--format", "json", "--protocol-era", era]
    done = subprocess.run(
        [*base, *asked],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**with_node(), "HOME": str(tmp_path)},
    )

    assert done.returncode == 0, done.stderr[-800:] + done.stdout[-800:]
    return done.stdout


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_typescript_client_calls_cancels_and_asks(
    tmp_path: Path, era: str, way: str
) -> None:
    folder, home = tmp_path / "client", tmp_path / "home"
    folder.mkdir()
    (folder / "node_modules").symlink_to(PACKAGES)
    script = folder / "client.mjs"
    script.write_bytes((HERE / "client.mjs").read_bytes())
    with anyio.fail_after(60):
        async with spawned(home, ONE, SLOW, ENDLESS, DEAR, ASK) as place:
            how = launch(home)
            ends = [place.url, place.token] if way == "http" else [how.command, *how.args]
            done = await anyio.run_process(
                [str(NODE), str(script), era, *ends],
                env={**with_node(), "ROUNDHOUSE_HOME": str(home)},
                check=False,
            )
            await settled(home, "SELECT * FROM calls WHERE status = 'cancelled'")

    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 6, done.stderr.decode()
    assert said[0]["tools"] == list(TOOLS)
    assert said[1] == {"text": "All is well."}
    assert said[2]["text"].endswith("word11")
    assert said[2]["heard"] > 0
    assert said[3] == {"cancelled": True}
    assert "Allow this one call?" in said[4]["asked"]
    assert said[5] == {"text": "dear"}
    assert rows(home, "SELECT * FROM reservations WHERE state = 'held'") == []
