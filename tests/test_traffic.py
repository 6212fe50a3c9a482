"""The demo with the interface on top: agents at work, and nothing left of them afterwards."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from roundhouse_mcp.server.ledger.driver import Connection, OperationalError, connect_read_only
from roundhouse_mcp.server.processes import since
from roundhouse_mcp.server.traffic import AGENTS, traffic

AT_WORK = """SELECT count(DISTINCT client) FROM
             (SELECT client FROM inflight UNION SELECT client FROM calls)"""
WAIT_S = 20.0
MOST = 10_000_000


def asked(home: Path, question: Callable[[Connection], int]) -> int:
    try:
        with closing(connect_read_only(home / "ledger.db")) as db:
            return question(db)
    except OperationalError:
        return 0


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(WAIT_S):
        while not happened():  # noqa: ASYNC110
            await anyio.sleep(0.05)


def pids(db: Connection) -> list[int]:
    return [pid for (pid,) in db.execute("SELECT pid FROM servers")]


async def test_every_agent_of_the_demo_works_and_nothing_of_them_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with traffic(keep=False) as home:
        await until(
            lambda: asked(home, lambda db: db.execute(AT_WORK).fetchone()[0]) == len(AGENTS)
        )
        with closing(connect_read_only(home / "ledger.db")) as db:
            servers = pids(db)

    assert len(servers) == len(AGENTS)
    assert [pid for pid in servers if since(pid) is not None] == []
    assert not home.exists()


def read_until(terminal: int, words: bytes) -> None:
    """Raises AssertionError where they do not come."""
    text = b""
    while words not in text:
        ready, _, _ = select.select([terminal], [], [], WAIT_S)
        assert ready, f"{words!r} did not come after {text[-2000:]!r}"
        text += os.read(terminal, 65_536)
        assert len(text) < MOST, f"{words!r} did not come in {len(text)} bytes"


@pytest.mark.slow
def test_the_demo_shows_its_agents_and_ends_with_a_key(tmp_path: Path) -> None:
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    command = [sys.executable, "-m", "roundhouse_mcp.server", "demo", "--tui"]
    sizes = ("COLUMNS", "LINES")  # these would win over the terminal's own size
    environ = {name: value for name, value in os.environ.items() if name not in sizes}
    environ |= {"TMPDIR": str(tmp_path), "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environ, start_new_session=True
    ) as process:
        os.close(inner)
        read_until(terminal, b"claude-code")
        os.write(terminal, b"q")
        read_until(terminal, b"temporary home is gone")
        status = process.wait(WAIT_S)
    os.close(terminal)

    assert status == 0
    assert list(tmp_path.iterdir()) == []
