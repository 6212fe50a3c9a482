"""The interface's tests run on asyncio, the only loop Textual knows, and share their helpers."""

import sys
from pathlib import Path

import pytest

from roundhouse_mcp.tui import processes

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode adds no test folder to the path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Screens do not depend on the caller's environment, nor on where temporary files are."""
    for name in ("NO_COLOR", "COLORTERM", "ROUNDHOUSE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "size_of", size_of)


def size_of(path: Path) -> int:
    """Of a file on every machine, whatever its SQLite and its schema."""
    return 4_200_000 if path.suffix == ".db" else 120_000
