"""What keys, the mouse and the size of the terminal do."""

import pytest
import seeds
from screens import HOME, check, screen_text, shown, until, watched
from textual import events
from textual.command import CommandPalette
from textual.widgets import Input

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.table import Table


def end_a_call(call_id: str) -> None:
    with seeds.ledger(HOME) as db:
        seeds.finished(db, call_id, ago=1, took=1)


async def test_the_cursor_moves_over_the_rule_and_stays_on_its_row_as_calls_arrive() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        table = app.screen.query_one(Table)
        await pilot.press("j", "j", "j", "j")
        assert table.cursor_key == "01K9X108"
        end_a_call("01K9X109")
        await until(pilot, lambda: app.store.finished[0].call_id == "01K9X109")

        assert table.cursor_key == "01K9X108"
        await pilot.press("f")
        assert table.cursor_key == "01K9XJ5B"
        await pilot.press("G")
        assert table.cursor_key == "01K9X100"
        await pilot.press("g", "up", "k")
        assert (table.cursor, table.following) == (0, True)


async def test_pause_freezes_the_view_and_counts_what_it_misses() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        before = app.store.finished[0].call_id
        await pilot.press("space")
        end_a_call("01K9X109")
        end_a_call("01K9X110")
        await until(pilot, lambda: app.store.missed == 2)

        assert "paused, +2 new" in screen_text(app)
        assert app.store.finished[0].call_id == before
        await pilot.press("space")
        assert app.store.finished[0].call_id == "01K9X110"


async def test_the_filter_narrows_as_it_is_typed_and_escape_clears_it() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.press("slash", *"provider:anthropic")
        await pilot.pause()
        assert list(app.screen.query_one(Table).keys) == ["\nfinished", "01K9X101", "01K9X100"]
        await pilot.press("enter")
        await pilot.pause()
        assert not app.screen.query(Input)
        await pilot.press("escape")

        assert len(app.screen.query_one(Table).keys) == 14


async def test_a_filter_that_matches_nothing_says_so() -> None:
    seeds.seed(HOME)

    async with watched((80, 24)) as (app, pilot):
        await pilot.press("slash", *"gorq")
        await pilot.pause()
        await pilot.pause()

        check(app, "no_match_80x24")


async def test_the_mouse_selects_a_row_opens_it_and_switches_views() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.click(Table, offset=(10, 3))
        assert app.screen.query_one(Table).cursor_key == "01K9XJ50"
        await pilot.click(Table, offset=(10, 3))
        await pilot.pause()
        assert app.screen.has_class("detailed")
        tab = screen_text(app).splitlines()[0].index("2 Budgets")
        await pilot.click("#bar", offset=(tab, 0))
        await pilot.pause()

        assert app.current_mode == "budgets"


async def test_the_wheel_scrolls_the_rows_and_leaves_the_titles() -> None:
    seeds.seed(HOME)

    async with watched((80, 10)) as (app, pilot):
        table = app.screen.query_one(Table)
        titles = screen_text(app).splitlines()[2]
        turned = dict.fromkeys(("x", "y", "delta_x", "delta_y", "button"), 1)
        none = dict.fromkeys(("shift", "meta", "ctrl"), False)
        table.post_message(events.MouseScrollDown(table, **turned, **none))
        await until(pilot, lambda: table.scroll_offset.y > 0)

        assert screen_text(app).splitlines()[2] == titles
        assert not screen_text(app).splitlines()[3].startswith(">")


async def test_escape_steps_back_from_the_detail() -> None:
    seeds.seed(HOME)

    async with watched((80, 24)) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause()
        assert not app.screen.query_one(Table).display
        await pilot.press("j", "escape")
        await pilot.pause()

        assert app.screen.query_one(Table).cursor_key == "01K9XJ5A"
        assert app.screen.query_one(Table).display


@pytest.mark.parametrize("view", list("123456"))
async def test_any_size_is_survived_and_the_smallest_useful_one_is_named(view: str) -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await shown(app, pilot, view)
        await pilot.press("enter")
        for size in ((60, 16), (20, 5), (1, 1), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await pilot.resize_terminal(58, 15)
        await pilot.pause()
        await pilot.pause()
        assert "terminal is 58x15, smallest useful size is 60x16" in screen_text(app)
        await pilot.press("escape")
        await pilot.resize_terminal(60, 16)
        await pilot.pause()
        await pilot.pause()

        check(app, f"view_{view}_60x16")


async def test_the_command_palette_opens_on_a_colon() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.press("colon")
        await pilot.pause()
        assert isinstance(app.screen, CommandPalette)
        await pilot.press("escape")
        await pilot.press("q")

        assert app.return_code == 0


def burst(app: WatchApp, text: str) -> None:
    """All at once, as a terminal passes on what is pasted or sent to it."""
    for character in text:
        key = {"/": "slash", "\r": "enter"}.get(character, character)
        app.post_message(events.Key(key, character))


async def test_no_key_is_lost_that_follows_the_slash_at_once() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        burst(app, "/xgroqsq")
        await until(pilot, lambda: [line.value for line in app.screen.query(Input)] == ["xgroqsq"])
        burst(app, "!\r")
        await until(pilot, lambda: not app.screen.query(Input))

        assert "filter: xgroqsq!" in screen_text(app)
