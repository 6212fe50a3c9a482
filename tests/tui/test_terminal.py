"""A real terminal shows what the views say, and takes the keys."""

import shutil
from pathlib import Path

import pytest
from terminal import tour

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_real_terminal_shows_four_busy_servers_and_takes_every_key(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    shots = await tour(tmp_path / "home", size)

    assert all("\x1b" not in shot.screen for shot in shots)
    assert all(len(shot.screen.splitlines()) <= size[1] for shot in shots)
