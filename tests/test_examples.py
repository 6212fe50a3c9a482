"""The examples run as they are written, on the scripted provider."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are not beside the tests"
)


def test_two_models_give_their_opinion_with_its_price(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "second_opinion.py"), "Is 221 prime?", "mock/a", "mock/b"],
        env={**os.environ, "PATH": path, "ROUNDHOUSE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == [
        "mock/a: You said: Is 221 prime? ($0.000000)",
        "mock/b: You said: Is 221 prime? ($0.000000)",
    ]


def test_an_agent_is_tested_with_scripted_models(tmp_path: Path) -> None:
    without = (f"-pno:{name}" for name in ("cacheprovider", "xdist", "hypothesispytest"))
    alone = [f"-c{os.devnull}", "--rootdir=.", "-opythonpath=.", f"--basetemp={tmp_path}"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", *without, *alone, "."],
        cwd=EXAMPLES / "librarian",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout


async def test_a_program_asks_models_without_mcp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDHOUSE_HOME", str(tmp_path))
    program = runpy.run_path(str(EXAMPLES / "library.py"))

    answer, nearest, refusal = await program["lines"]("Is 221 prime?", "mock/echo")

    assert answer == "mock/echo: You said: Is 221 prime? ($0.000000)"
    assert nearest == "nearest: Resetting a circuit breaker"
    assert refusal.startswith("bad_request: privacy: ")
