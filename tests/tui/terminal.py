"""`roundhouse watch` in a real terminal, over a home with four servers under load.

    python tests/tui/terminal.py [80x24]    keys are sent and the screens captured, through tmux

tmux runs on a socket of its own; the load is scripted, on loopback only.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

sys.path.insert(0, str(Path(__file__).parent.parent))  # also as a script

from seats import Seat, budget, chain, launch, served, started, write_config
from upstream import Request, Script, Send, answer, event, head, upstream

SIZE = (120, 36)
CLIENTS = ("cursor", "claude-code", "zed", "script")
PIECES = 60
EACH_S = 0.08
WAIT_S = 20.0
ESCAPE_S = 0.25  # a key that follows escape sooner is one key with it, in every terminal


@dataclass(slots=True)
class Terminal:
    """A tmux of our own; `kill-server` reaches no other."""

    home: Path
    size: tuple[int, int] = SIZE
    socket: str = field(default_factory=lambda: f"roundhouse-{os.getpid()}")

    async def tmux(self, *arguments: str, check: bool = True) -> str:
        command = ["tmux", "-u", "-L", self.socket, "-f", "/dev/null", *arguments]
        done = await anyio.run_process(command, check=check)
        return done.stdout.decode()

    async def start(self, *options: str) -> None:
        how = launch(self.home)
        env = [f"{name}={value}" for name, value in (how.env or {}).items()]
        line = [
            "env",
            "-i",
            *env,
            "TERM=screen-256color",
            "COLORTERM=truecolor",
            how.command,
            "-m",
            "roundhouse_mcp.server",
        ]
        width, height = map(str, self.size)
        await self.tmux(*("new-session", "-d", "-x", width, "-y", height, *line, "watch", *options))

    async def press(self, *keys: str) -> None:
        await self.tmux("send-keys", *keys)
        if keys[-1] == "Escape":
            await anyio.sleep(ESCAPE_S)

    async def screen(self) -> str:
        return await self.tmux("capture-pane", "-p", check=False)

    async def showing(self, *words: str) -> str:
        """The screen, as soon as it holds all these words twice in a row: one look may meet a
        frame that is half painted. Raises TimeoutError with what it shows instead."""
        shown, seen = "", 0
        with anyio.move_on_after(WAIT_S):
            while seen < 2:
                shown = await self.screen()
                seen = seen + 1 if all(word in shown for word in words) else 0
                await anyio.sleep(0.05)
            return shown
        raise TimeoutError(f"no {words} on:\n{shown}")

    async def ended(self) -> None:
        """Until the program has ended. Raises TimeoutError with what it shows instead."""
        with anyio.move_on_after(WAIT_S):
            while (await self.tmux("list-sessions", check=False)).strip():  # noqa: ASYNC110
                await anyio.sleep(0.05)
            return
        raise TimeoutError(f"still there:\n{await self.screen()}")


@asynccontextmanager
async def terminal(home: Path, size: tuple[int, int] = SIZE) -> AsyncGenerator[Terminal]:
    made = Terminal(home, size)
    await made.start()
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.tmux("kill-server", check=False)


def slowly(pieces: int) -> Script:
    """A streamed answer, word by word."""

    async def script(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": "text/event-stream"}))
        for number in range(pieces):
            await send(event({"content": f"word {number} "}))
            await anyio.sleep(EACH_S)
        await send(event({}, "stop") + b"data: [DONE]\n\n")

    return script


@asynccontextmanager
async def load(home: Path) -> AsyncGenerator[None]:
    """Four servers whose clients call again and again: some calls stream for long, some wait for
    a place, some fail over, some are refused."""
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(upstream(slowly(PIECES)))
        quick = await stack.enter_async_context(upstream(slowly(5)))
        full = await stack.enter_async_context(
            upstream(answer('{"error": {"message": "overloaded"}}', status=529))
        )
        write_config(
            home,
            chain("full", "quick", "slow"),
            budget("20", period="day"),
            budget("0.5", scope="client:zed", period="month"),
            served("slow", slow.url, more="concurrency = 1\n", price=("3", "15")),
            served("quick", quick.url, price=("1", "4")),
            served("full", full.url, price=("1", "4")),
        )
        seats = [
            await stack.enter_async_context(started(home, "--client", client)) for client in CLIENTS
        ]
        group = await stack.enter_async_context(anyio.create_task_group())
        for seat in seats:
            for number in range(3):
                busy(group, seat, model="slow/m" if number else "", task="code")
        yield
        group.cancel_scope.cancel()


def busy(group: TaskGroup, seat: Seat, **arguments: str) -> None:
    wanted = {name: value for name, value in arguments.items() if value}

    async def again() -> None:
        while True:
            result = await seat.call("complete", prompt="Write sixty words.", **wanted)
            await anyio.sleep(1.0 if result.is_error else 0.2)

    group.start_soon(again)


@dataclass(frozen=True, slots=True)
class Shot:
    """What was pressed, and what the terminal then showed."""

    pressed: str
    screen: str


RESIZE = "resize"
SHORT = {
    "[1 Live]": "[1Live]",
    "[2 Budgets]": "[2Bud]",
    "[3 Circuits]": "[3Circ]",
    "[4 Providers]": "[4Prov]",
    "[5 Cost]": "[5Cost]",
    "[6 Servers]": "[6Srv]",
    "● 4 servers": "● 4 srv",
    "WHY   1 slow/m": "1 slow/m",
    "is cancelled": "done",
}
TOUR: Sequence[tuple[Sequence[str], Sequence[str]]] = (  # pressed, and what the screen then holds
    ((), ("[1 Live]", "● 4 servers", "▶ stream", "▶ queue", "✓ ok")),
    (("2",), ("[2 Budgets]", "client:zed", "global")),
    (("3",), ("[3 Circuits]", "full")),
    (("4",), ("[4 Providers]",)),
    (("5",), ("[5 Cost]",)),
    (("6",), ("[6 Servers]",)),
    (("1",), ("[1 Live]", "▶ stream")),
    (("/",), ("filter",)),
    (("-l", "slow"), ("filter: slow",)),
    (("Enter",), ("filter: slow", "▶ stream")),
    (("Enter",), ("ATTEMPTS", "WHY   1 slow/m", "esc back")),
    (("Escape",), ("enter detail",)),
    (("x",), ("Cancel call", "slow/m")),
    (("y",), ("is cancelled",)),
    (("Escape",), ("– cancel", "quick/m")),
    (("?",), ("esc or ? closes",)),
    (("Escape",), ("[1 Live]", "▶ stream", "enter detail")),
    ((RESIZE, "80", "24"), ("[1Live]", "▶ stream")),
    (("Enter",), ("WHY", "ATTEMPTS", "esc back")),
    (("Escape",), ("[1Live]", "enter detail")),
)


def in_short(words: Sequence[str]) -> list[str]:
    """What a narrow screen holds in their place."""
    return [SHORT.get(word, word) for word in words]


async def tour(home: Path, size: tuple[int, int] = SIZE) -> list[Shot]:
    """Every key of the tour, and each screen once it shows what it should; `q` ends it."""
    shots: list[Shot] = []
    async with load(home), terminal(home, size) as watch:
        for keys, words in TOUR:
            if keys[:1] == (RESIZE,):
                await watch.tmux("resize-window", "-x", keys[1], "-y", keys[2])
            elif keys:
                await watch.press(*keys)
            wanted = words if size[0] >= SIZE[0] else in_short(words)
            shots.append(Shot(" ".join(keys), await watch.showing(*wanted)))
        await watch.press("q")
        await watch.ended()
    return shots


async def main() -> None:
    if shutil.which("tmux") is None:
        raise SystemExit("tmux is not installed: nothing was run")
    with tempfile.TemporaryDirectory() as folder:
        size = tuple(map(int, sys.argv[1].split("x"))) if sys.argv[1:] else SIZE
        for shot in await tour(Path(folder) / "home", (size[0], size[1])):
            sys.stdout.write(f"--- {shot.pressed or 'at the start'}\n{shot.screen}\n")


if __name__ == "__main__":
    anyio.run(main)
