"""Dialogs: nothing is answered yes by accident, and a form that is wrong stays open."""

import seeds
from screens import HOME, check, screen_text, until, watched
from textual.pilot import Pilot

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.dialogs import Confirm, Field, Form, Values

FIELDS = (
    Field(name="scope", label="Scope", value="global", hint="global, provider:NAME, task:NAME"),
    Field(name="period", label="Window", kind="choice", choices=("day", "week"), value="week"),
    Field(name="limit", label="Limit in $", check=lambda v: "" if v.isdigit() else "is no number"),
    Field(name="key", label="Key", kind="secret"),
    Field(name="on", label="On", kind="flag", value="yes"),
)

KEYS = {
    ("y",): True,
    ("n",): False,
    ("escape",): False,
    ("enter",): False,  # no is where one starts
    ("tab", "enter"): True,
    ("left", "space"): True,
}


async def test_a_question_is_answered_by_keys() -> None:
    seeds.seed(HOME)
    found: list[bool | None] = []

    async with watched() as (app, pilot):
        for keys in KEYS:
            app.push_screen(Confirm("Trip [/x]\x1b?", more=["Calls skip it."]), found.append)
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()

    assert found == list(KEYS.values())


async def test_a_question_is_answered_by_the_mouse_and_a_click_beside_it_means_no() -> None:
    seeds.seed(HOME)
    found: list[bool | None] = []

    async with watched() as (app, pilot):
        app.push_screen(Confirm("Trip?"), found.append)
        await pilot.pause()
        await pilot.click("#press-yes")
        app.push_screen(Confirm("Trip?"), found.append)
        await pilot.pause()
        await pilot.click(offset=(1, 1))
        await pilot.pause()

    assert found == [True, False]


async def form(app: WatchApp, pilot: Pilot[None], form: Form) -> list[Values | None]:
    found: list[Values | None] = []
    app.push_screen(form, found.append)
    await pilot.pause()
    await pilot.pause()
    return found


async def test_a_form_shows_its_fields_and_hides_secrets() -> None:
    seeds.seed(HOME)

    async with watched((60, 16)) as (app, pilot):
        await form(app, pilot, Form("Add a budget", FIELDS))
        await pilot.press("down", "down", "down", *"sk-secret", "enter", "ctrl+s")
        await pilot.pause()

        check(app, "form_60x16")


async def test_a_form_returns_what_was_filled_in_and_enter_goes_on() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        found = await form(app, pilot, Form("Add a budget", FIELDS))
        await pilot.press("x", "enter", "space", "down", *"12", "enter", *" k ", "enter", "space")
        await pilot.press("tab", "enter")
        await pilot.pause()

    values = {"scope": "globalx", "period": "day", "limit": "12", "key": "k", "on": "no"}
    assert found == [values]


async def test_a_form_that_cannot_be_saved_says_why_and_stays() -> None:
    seeds.seed(HOME)
    said = ["Nothing was changed: [/disk] full.", ""]

    async with watched() as (app, pilot):
        wanted = Form("Edit", FIELDS[:1], save=lambda values: said.pop(0))
        found = await form(app, pilot, wanted)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(said) == 1 and not wanted.saving)
        assert "! Nothing was changed: [/disk] full." in screen_text(app)
        assert found == []
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(found))

    assert found == [{"scope": "global"}]


async def test_escape_leaves_a_form_without_values() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        found = await form(app, pilot, Form("Edit", FIELDS))
        await pilot.press("escape")
        await pilot.pause()

    assert found == [None]
