"""The examples run as they are written, on the scripted provider."""

import os
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


def test_an_agent_is_tested_with_scripted_models() -> None:
    plain = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.", "-o", "pythonpath=."]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", *plain, "."],
        cwd=EXAMPLES / "librarian",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout


def test_a_program_asks_models_without_mcp(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "library.py"), "Is 221 prime?"],
        env={**os.environ, "ROUNDHOUSE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines()[:2] == [
        "mock/echo: You said: Is 221 prime? ($0.000000)",
        "nearest: Resetting a circuit breaker",
    ]
    assert done.stdout.splitlines()[2].startswith("bad_request: privacy: ")
