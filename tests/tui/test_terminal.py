"""A real terminal shows what the views say, and takes the keys."""

import shutil
from pathlib import Path

import pytest
from terminal import tour

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


async def test_a_real_terminal_shows_four_busy_servers_and_takes_every_key(tmp_path: Path) -> None:
    shots = await tour(tmp_path / "home")

    assert all("\x1b" not in shot.screen for shot in shots)
    assert all(len(shot.screen.splitlines()) <= 36 for shot in shots)
