"""The view of the providers over real server processes: every column, every order, and the end of
a server meanwhile."""

import json
import os
import signal
import time
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from local_program import Program
from mcp import Client
from screens import HOME, screen_text, watched
from seats import launch, rows, write_config
from textual.pilot import Pilot
from upstream import Request, Send, Upstream, answer, silence, upstream

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.dialogs import Form
from roundhouse_mcp.tui.providers import ProvidersView
from roundhouse_mcp.tui.services import Panorama

pytestmark = pytest.mark.slow

KEY = "sk-verysecretverysecretverysecret1"
OTHER = "sk-othersecretothersecretother1234"
LIST = json.dumps({"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})


@asynccontextmanager
async def server(**environ: str) -> AsyncGenerator[None]:
    """A real server process on the home."""
    async with Client(launch(HOME.absolute(), **environ)):
        yield


@asynccontextmanager
async def opened(size: tuple[int, int] = (120, 36)) -> AsyncGenerator[tuple[WatchApp, Pilot[None]]]:
    async with watched(size, clock=time.time) as (app, pilot):
        await pilot.press("4")
        yield app, pilot


async def happens(pilot: Pilot[None], seen: Callable[[], bool]) -> None:
    with anyio.fail_after(15):
        while not seen():
            await anyio.sleep(0.02)
            await pilot.pause()


def panorama(app: WatchApp) -> Panorama:
    found = app.store.snapshot.extra.get("providers")
    return found if isinstance(found, Panorama) else Panorama()


def cells(app: WatchApp, name: str) -> dict[str, str]:
    """What the table shows of a provider, by column; nothing while a form is over it."""
    view = app.screen
    if not isinstance(view, ProvidersView):
        return {}
    columns = view.columns_for(120)
    contents = view.contents(columns, app.look())
    if name not in contents.keys:
        return {}
    row = contents.row_at(contents.keys.index(name))
    return {column.key: cell for column, cell in zip(columns, row.cells, strict=True)}


async def lists_models(request: Request, send: Send) -> None:
    """Takes one key, and says so with it when it does not."""
    if KEY in request.headers.get("authorization", ""):
        await answer(LIST)(request, send)
    else:
        told = {"error": {"message": f"no: {request.headers.get('authorization')}"}}
        await answer(json.dumps(told), status=401)(request, send)


def config(own: Upstream, local: Upstream) -> None:
    write_config(
        HOME,
        f'[providers.own]\nwire = "openai_chat"\nbase_url = "{own.url}" # mine\npriority = 1\n'
        'cost_multiplier = 0.8\nuse_for = ["code"]\nkey_env = "OWN_KEY"\nmodels = ["a"]\n',
        f'[providers.attic]\nlike = "ollama"\nbase_url = "{local.url}"\npriority = 2\n',
    )


async def test_real_servers_fill_every_column_and_carry_out_every_order() -> None:
    program = Program()
    async with (
        upstream(lists_models, gets=True) as own,
        upstream(program.script, gets=True) as local,
    ):
        config(own, local)
        async with server(OWN_KEY=KEY), server(), opened() as (app, pilot):
            await happens(pilot, lambda: len(panorama(app).servers) == 2)
            await happens(pilot, lambda: cells(app, "attic").get("models") == "2")
            lacking = next(one.pid for one in panorama(app).named("own").lacks_key)  # pyright: ignore

            before = cells(app, "own")
            await pilot.press("T")
            await happens(pilot, lambda: cells(app, "own").get("test", "").startswith("✓"))
            tested = cells(app, "own")
            attic = cells(app, "attic")

            await pilot.press("j", "u")
            await happens(pilot, lambda: isinstance(app.screen, Form))
            await pilot.press("ctrl+s")
            await happens(pilot, lambda: not program.loaded)
            await happens(pilot, lambda: isinstance(app.screen, ProvidersView))

            await pilot.press("k", "K")
            await happens(pilot, lambda: isinstance(app.screen, Form))
            await pilot.press(*OTHER, "ctrl+s")
            await happens(pilot, lambda: cells(app, "own").get("key", "").endswith("in 2 of 2"))
            shown = screen_text(app)

            await pilot.press("w")
            await happens(pilot, lambda: isinstance(app.screen, Form))
            await pilot.press("ctrl+s")
            await happens(pilot, lambda: "would be used" in screen_text(app))
            shown += screen_text(app)

            await pilot.press("escape", "space")
            await happens(pilot, lambda: cells(app, "own").get("test") == "off in config")
            await happens(pilot, lambda: not panorama(app).outdated)
            off = panorama(app).named("own")

    assert before["key"] == f"! OWN_KEY in 1 of 2, not {lacking}"
    assert (before["on"], before["priority"], before["cost"]) == ("✓", "1", "0.80")
    assert (before["models"], before["tasks"], before["circuit"]) == ("1", "code", "? none")
    assert before["test"] == "—"
    assert tested["models"] == "3"
    assert attic["key"] == f"– none needed, {local.url.removeprefix('http://')}".removesuffix("/v1")
    assert (attic["on"], attic["priority"], attic["cost"]) == ("✓", "2", "free")
    assert off is not None
    assert [report.enabled for _, report in off.seen] == [False, False]
    assert "# mine" in (HOME / "config.toml").read_text()
    assert tomllib.loads((HOME / "keys.toml").read_text()) == {"own": OTHER}
    assert not [key for key in (KEY, OTHER) if key in shown]
    assert kept(HOME, KEY, OTHER) == {"keys.toml"}


def kept(home: Path, *keys: str) -> set[str]:
    """The files of the home in which a key stands."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return {path.name for path in files if any(key.encode() in path.read_bytes() for key in keys)}


async def test_a_failure_is_told_without_the_key_and_the_end_of_the_server_too() -> None:
    own = Moody()
    async with upstream(own.script, gets=True) as at:
        config(at, at)
        async with server(OWN_KEY=OTHER), opened((80, 24)) as (app, pilot):
            await happens(pilot, lambda: bool(panorama(app).living))
            await pilot.press("T")
            await happens(pilot, lambda: cells(app, "own").get("test", "").startswith("✗"))
            shown = screen_text(app)
            await pilot.press("t", "y")
            await happens(pilot, lambda: cells(app, "own").get("circuit", "? none") != "? none")
            own.silent = True
            await pilot.press("T")
            await own.asked.wait()
            os.kill(panorama(app).servers[0].pid, signal.SIGKILL)
            await happens(pilot, lambda: "no answer: server" in screen_text(app))
            await pilot.press("enter")
            await happens(pilot, lambda: "address" in screen_text(app))

    assert "no: Bearer [redacted]" in rows(HOME, "SELECT said FROM provider_tests")[0]["said"]
    assert OTHER not in shown
    assert kept(HOME, OTHER) == set()


@dataclass(slots=True)
class Moody:
    """Answers with an error that quotes the key, until it says nothing any more."""

    silent: bool = False
    asked: anyio.Event = field(default_factory=anyio.Event)

    async def script(self, request: Request, send: Send) -> None:
        if self.silent:
            self.asked.set()
            await silence(request, send)
        else:
            await lists_models(request, send)
