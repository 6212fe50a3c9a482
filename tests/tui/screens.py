"""Screens as text: what a user sees, one line per terminal row, compared with accepted ones."""

import difflib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path

import anyio
from seeds import NOW
from textual.pilot import Pilot
from textual.strip import Strip

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.options import Options
from roundhouse_mcp.tui.view import View

HOME = Path("home")  # relative: the tests run in a folder of their own
GOLDEN = Path(__file__).parent / "screens"


def strips_of(app: WatchApp) -> list[Strip]:
    return app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]


def screen_text(app: WatchApp) -> str:
    lines = ("".join(part.text for part in strip).rstrip() for strip in strips_of(app))
    return "\n".join(lines) + "\n"


def colourful(app: WatchApp) -> bool:
    """Is any text drawn in something else than a grey?"""
    styles = (part.style for strip in strips_of(app) for part in strip if part.style)
    inks = {style.color.triplet for style in styles if style.color}
    return any(len(set(ink)) > 1 for ink in inks if ink)


def check(app: WatchApp, name: str) -> None:
    compare(screen_text(app), name)


async def check_both(app: WatchApp, pilot: Pilot[None], name: str) -> None:
    """As it is, which is at 120x36, and then at 80x24."""
    check(app, f"{name}_120x36")
    await pilot.resize_terminal(80, 24)
    await pilot.pause()
    await pilot.pause()
    check(app, f"{name}_80x24")


def compare(shown: str, name: str) -> None:
    """Equal to the accepted text; UPDATE_SCREENS=1 accepts what is shown now."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    accepted = path.read_text(encoding="utf-8") if path.exists() else ""
    difference = difflib.unified_diff(
        accepted.splitlines(), shown.splitlines(), "accepted", "shown", lineterm=""
    )

    assert not list(difference), f"screen {name} changed:\n{shown}"


async def until(pilot: Pilot[None], happened: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not happened():
            await pilot.pause()
    await pilot.pause()
    await pilot.pause()


async def shown(app: WatchApp, pilot: Pilot[None], key: str) -> None:
    """Go to the view with this key, and wait for what it alone reads."""
    await pilot.press(key)

    def is_read() -> bool:
        view = app.screen
        return isinstance(view, View) and set(view.reads()) <= set(app.store.snapshot.extra)

    await until(pilot, is_read)


@asynccontextmanager
async def watched(
    size: tuple[int, int] = (120, 36),
    *,
    ascii_only: bool = False,
    read_only: bool = False,
    options: Options | None = None,
    clock: Callable[[], float] = lambda: NOW,
) -> AsyncGenerator[tuple[WatchApp, Pilot[None]]]:
    """The app over the home, after its first look; the clock stands still unless one is given."""
    app = WatchApp(
        HOME,
        ascii_only=ascii_only,
        read_only=read_only,
        options=options,
        clock=clock,
        zone=UTC,
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.store.changes > 0)
        yield app, pilot
