"""What each state of the ledger looks like, at both sizes: a banner, never an exception."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest
import seeds
from screens import HOME, check_both, until, watched

from roundhouse_mcp.server.ledger import places
from roundhouse_mcp.server.ledger.driver import connect


@contextmanager
def locked():
    """A program has the ledger that lets nobody else in."""
    seeds.seed(HOME)
    with closing(connect(HOME / "ledger.db")) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
        db.execute("BEGIN EXCLUSIVE")
        yield


def marked(version: int, min_reader: int = 1) -> AbstractContextManager[None]:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO meta (key, value) VALUES ('min_reader', ?)", (str(min_reader),))
    return nullcontext()


def older() -> AbstractContextManager[None]:
    return marked(1)


def unreadable() -> AbstractContextManager[None]:
    return marked(99, 99)


@pytest.mark.parametrize("state", [locked, older, unreadable], ids=lambda made: made.__name__)
async def test_a_ledger_that_cannot_be_read_says_why_and_what_to_do(
    state: Callable[[], AbstractContextManager[None]],
) -> None:
    with state():
        async with watched() as (app, pilot):
            await check_both(app, pilot, state.__name__)


async def test_a_replaced_ledger_is_read_anew_and_said_so() -> None:
    seeds.seed(HOME)
    now = seeds.NOW

    async with watched(clock=lambda: now) as (app, pilot):
        seeds.seed(HOME / "other")
        (HOME / "other" / "ledger.db").replace(HOME / "ledger.db")
        for suffix in ("-wal", "-shm"):
            (HOME / f"ledger.db{suffix}").unlink(missing_ok=True)
        now += 3
        await until(pilot, lambda: app.store.health.reopened_at is not None)

        await check_both(app, pilot, "replaced")


async def test_a_ledger_on_a_network_file_system_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("1 1 0:1 / / rw - nfs4 server:/export rw\n", encoding="utf-8")
    monkeypatch.setattr(places, "MOUNTS", mounts)
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await check_both(app, pilot, "network")


async def test_numbers_that_are_old_are_called_old_at_both_sizes() -> None:
    seeds.seed(HOME)
    now = seeds.NOW

    async with watched(clock=lambda: now) as (app, pilot):
        app.feed.close()
        now += 11
        app.pause()
        app.pause()
        await pilot.pause()

        await check_both(app, pilot, "old")
