"""What each view shows, in every state, at both sizes."""

from datetime import UTC
from pathlib import Path

import pytest
import seeds
from screens import HOME, check, colourful, compare, screen_text, shown, until, watched

from roundhouse_mcp.tui.once import render

SIZES = [(120, 36), (80, 24)]
VIEWS = {"live": "1", "budgets": "2", "circuits": "3"}
EVIL = "a\x1b]52;c;RVZJTA==\x07b\x1b[31mc\x9bd\u202ee\u200bf\n[/oops][@click=app.quit]\U000e0041"
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
views = pytest.mark.parametrize("view", VIEWS)


def named(name: str, size: tuple[int, int]) -> str:
    return f"{name}_{size[0]}x{size[1]}"


@sizes
@views
async def test_a_view_shows_what_the_ledger_says(view: str, size: tuple[int, int]) -> None:
    seeds.seed(HOME)

    async with watched(size) as (app, pilot):
        await shown(app, pilot, VIEWS[view])

        check(app, named(view, size))


@sizes
@views
async def test_enter_opens_the_detail_of_the_row(view: str, size: tuple[int, int]) -> None:
    seeds.seed(HOME)

    async with watched(size) as (app, pilot):
        moves = ["j"] * 9 if view == "live" else []
        await shown(app, pilot, VIEWS[view])
        await pilot.press(*moves, "enter")
        if view == "live":
            await until(pilot, lambda: app.store.snapshot.detail is not None)
        await pilot.pause()

        check(app, named(f"{view}_detail", size))


@sizes
async def test_without_a_ledger_the_first_steps_are_shown(size: tuple[int, int]) -> None:
    async with watched(size) as (app, _):
        check(app, named("missing", size))


@sizes
async def test_a_file_that_is_no_database_is_named(size: tuple[int, int]) -> None:
    HOME.mkdir()
    (HOME / "ledger.db").write_bytes(b"garbage" * 1000)

    async with watched(size) as (app, _):
        check(app, named("not_a_database", size))


@sizes
async def test_a_newer_ledger_is_read_as_far_as_it_is_understood(size: tuple[int, int]) -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("PRAGMA user_version = 99")

    async with watched(size) as (app, _):
        check(app, named("newer", size))


@sizes
async def test_a_ledger_without_servers_says_it_is_history(size: tuple[int, int]) -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("DELETE FROM inflight")
        db.execute("UPDATE servers SET ended = beat")

    async with watched(size) as (app, _):
        check(app, named("history", size))


async def test_numbers_that_are_no_longer_renewed_are_called_old() -> None:
    seeds.seed(HOME)
    now = seeds.NOW

    async with watched((80, 24), clock=lambda: now) as (app, pilot):
        app.feed.close()
        now += 11
        app.pause()
        app.pause()
        await pilot.pause()

        check(app, "stale_80x24")


@views
async def test_an_empty_ledger_says_what_will_appear(view: str) -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")

    async with watched((80, 24)) as (app, pilot):
        await shown(app, pilot, VIEWS[view])

        check(app, f"empty_{view}_80x24")


@views
async def test_the_ascii_form_holds_nothing_but_ascii(view: str) -> None:
    seeds.seed(HOME)

    async with watched(ascii_only=True) as (app, pilot):
        await shown(app, pilot, VIEWS[view])
        await pilot.press("enter")
        await pilot.pause()
        await pilot.pause()

        assert screen_text(app).isascii()
        check(app, f"ascii_{view}_120x36")


async def test_help_explains_keys_and_signs() -> None:
    seeds.seed(HOME)

    async with watched((80, 24)) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.pause()

        check(app, "help_80x24")


@sizes
def test_the_views_are_told_without_a_terminal_too(size: tuple[int, int]) -> None:
    seeds.seed(HOME)

    text = render(HOME, clock=lambda: seeds.NOW, zone=UTC, width=size[0])

    compare(text, named("once", size))


@pytest.mark.parametrize("wanted", [True, False])
async def test_colour_is_left_out_when_the_user_says_so(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not wanted:
        monkeypatch.setenv("NO_COLOR", "1")
    seeds.seed(HOME)

    async with watched() as (app, _):
        assert colourful(app) == wanted


def poison(home: Path) -> None:
    """Hostile text in every column that strangers write."""
    home.mkdir()
    with seeds.ledger(home) as db:
        seeds.server(db, 1, EVIL)
        outside = {"client": EVIL, "project": EVIL, "task": EVIL, "strategy": EVIL}
        names = {"provider": EVIL, "model": EVIL * 500}
        seeds.running(db, f"1{EVIL}", **outside, **names, trail=EVIL)
        seeds.finished(db, f"2{EVIL}", ago=9, took=1, **outside, **names, trail=EVIL)
        error = {"error": EVIL, "error_kind": EVIL, "status": "failed", "attempts": 1}
        seeds.finished(db, "3", ago=8, took=1, **outside, **names, **error)
        seeds.attempt(db, "3", 1, **names, started=seeds.NOW - 8, ended=seeds.NOW - 7, error=EVIL)
        seeds.budget(db, f"task:{EVIL}/day", limit_nano=10, spent_nano=9, at_limit=EVIL)
        seeds.circuit(db, EVIL, EVIL, state="open", last_error=EVIL, hold_by=EVIL)
        seeds.insert(
            db,
            "decisions",
            call_id="3",
            json='{"candidates": [{"provider": "\\u001b[31m", "why": "[/oops] \\u202e"}]}',
        )


@views
async def test_hostile_text_reaches_no_screen(view: str) -> None:
    poison(HOME)

    async with watched() as (app, pilot):
        for key in (VIEWS[view], "enter", "j", "j", "y", "i"):
            await pilot.press(key)
        if view == "live":
            await until(pilot, lambda: app.store.snapshot.detail is not None)
        shown = screen_text(app)

        assert all(line.isprintable() for line in shown.splitlines())
        assert "␛" in shown
