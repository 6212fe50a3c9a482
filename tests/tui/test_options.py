"""The user's own theme, keys and polling; and the commands."""

from pathlib import Path

import pytest
import seeds
from screens import HOME, check, screen_text, until, watched
from textual.command import CommandList
from textual.widgets import Input

from roundhouse_mcp.tui.actions import Action
from roundhouse_mcp.tui.keymap import keymap
from roundhouse_mcp.tui.options import Options, load
from roundhouse_mcp.tui.table import Table

FILE = Path("config.toml")
COMMANDS = {
    "call 01K9X101": "filter: call:01K9X101",
    "filter slow": "filter: dur>10",
    "go budgets": "[2 Budgets]",
    "theme nord": "",
    "poll 1s": "looking every 1s",
    "read-only": "i read-only: actions are off",
}
VIEWS = {
    "live": [Action(name="cancel", key="x", title=""), Action(name="sort", key="s", title="")],
    "cost": [Action(name="sort", key="s", title=""), Action(name="period", key="p", title="")],
}


def loaded(text: str, **environ: str) -> Options:
    FILE.write_text(text)
    return load(FILE, environ)


def test_what_the_file_says_is_taken() -> None:
    options = loaded(
        'timezone = "x"\n[tui]\ntheme = "nord"\npoll = "1s"\nmouse = false\n'
        '[tui.keys]\ncancel = "X"\n[tui.columns]\nlive = ["state", "cost"]\n'
        '[tui.filters]\nslow = "dur>10"\n',
        ROUNDHOUSE_TUI__ASCII="true",
    )

    assert options == Options(
        theme="nord",
        poll="1s",
        ascii=True,
        mouse=False,
        keys={"cancel": "X"},
        columns={"live": ("state", "cost")},
        filters={"slow": "dur>10"},
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[tui]\npoll = "7s"', "[tui] poll: input should be '200ms', '1s' or '5s'; run:"),
        ("[tui]\ncolour = 1", "[tui] colour: is no option; run:"),
        ("[tui]\nkeys = 5", "[tui] keys: input should be a valid dictionary; run:"),
        ("tui = 5", "[tui] is no table"),
        ("[tui", "config.toml cannot be read; run: roundhouse config check"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_and_the_others_hold(text: str, problem: str) -> None:
    options = loaded(f"{text}\n" + ('theme = "nord"' if text.startswith("[tui]") else ""))

    assert len(options.problems) == 1
    assert options.problems[0].startswith(problem)
    assert options.theme == ("nord" if text.startswith("[tui]") else "")


def test_without_a_file_everything_is_as_it_comes() -> None:
    assert load(FILE, {}) == Options()


@pytest.mark.parametrize(
    ("wanted", "kept", "problem"),
    [
        ({"cancel": "X"}, ["cancel"], ""),
        ({"cancel": "p"}, ["cancel"], ""),  # another view's key
        ({"cancel": "s"}, [], "cancel = 's' is the key of sort in live; it keeps its own"),
        ({"cancel": "s", "sort": "x"}, ["cancel", "sort"], ""),
        ({"cancle": "X"}, [], "no action is called 'cancle'; nearest: cancel"),
        ({"cancel": "z,z"}, [], "cancel = 'z' is the key of cancel in live"),
        ({"cancel": " "}, [], ""),
    ],
)
def test_keys_are_taken_as_far_as_they_fit_together(
    wanted: dict[str, str], kept: list[str], problem: str
) -> None:
    found = keymap(wanted, VIEWS)

    assert sorted(found.keys) == kept
    assert problem in " ".join(found.problems)
    assert bool(found.problems) == bool(problem)


async def test_the_users_keys_work_and_stand_in_the_footer() -> None:
    seeds.seed(HOME)
    options = Options(keys={"sort": "o", "budgets": "B", "nonsense": "N"})

    async with watched(options=options) as (app, pilot):
        shown = screen_text(app)
        assert "o sort" in shown
        assert "! [tui] keys: no action is called 'nonsense'" in shown
        await pilot.press("s")
        await pilot.pause()
        assert "sorted by" not in screen_text(app)
        await pilot.press("o")
        await pilot.pause()
        assert "sorted by" in screen_text(app)
        await pilot.press("B")

        await until(pilot, lambda: app.current_mode == "budgets")


async def test_an_unknown_theme_is_told_and_a_known_one_is_worn() -> None:
    seeds.seed(HOME)

    async with watched(options=Options(theme="roundhouse-lihgt")) as (app, _):
        assert app.theme == "roundhouse-dark"
        assert "nearest: roundhouse-light" in screen_text(app)
    async with watched(options=Options(theme="nord", read_only=True)) as (app, _):
        assert app.theme == "nord"
        assert "i read-only: actions are off" in screen_text(app)


async def test_commands_do_what_is_typed() -> None:
    seeds.seed(HOME)

    async with watched(options=Options(filters={"slow": "dur>10"})) as (app, pilot):
        for typed, said in COMMANDS.items():
            await pilot.press("colon")
            await pilot.pause()
            for key in typed:
                app.screen.query_one(Input).insert_text_at_cursor(key)
            await until(pilot, lambda: bool(app.screen.query_one(CommandList).options))
            await pilot.press("enter")
            await until(pilot, lambda: bool(app.screen.query(Table)))

            await until(pilot, lambda said=said: said in screen_text(app))

        assert app.theme == "nord"
        assert app.feed.look_s == 1.0


async def test_the_commands_are_drawn_with_ascii_alone_where_wanted() -> None:
    seeds.seed(HOME)

    async with watched((80, 24), ascii_only=True) as (app, pilot):
        await pilot.press("colon")
        await until(pilot, lambda: bool(app.screen.query_one(CommandList).options))

        assert screen_text(app).isascii()
        check(app, "ascii_commands_80x24")


async def test_a_circuit_is_gone_to_by_its_name() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        app.go("circuits", "openai/gpt-5")
        await until(pilot, lambda: app.current_mode == "circuits")

        assert app.screen.query_one(Table).cursor_key == "openai/gpt-5"


async def test_what_was_started_read_only_stays_so() -> None:
    seeds.seed(HOME)

    async with watched(read_only=True) as (app, pilot):
        app.switch_read_only()
        await pilot.pause()

        assert app.read_only
        assert "it stays so" in screen_text(app)


async def test_help_is_made_of_the_actions_of_the_view() -> None:
    seeds.seed(HOME)

    async with watched((60, 16), options=Options(keys={"copy": "Y"}), read_only=True) as (
        app,
        pilot,
    ):
        await pilot.press("2", "question_mark")
        await pilot.pause()
        await pilot.pause()
        check(app, "help_budgets_60x16")
        await pilot.press("j", "k", "escape")
        await pilot.pause()

        assert app.screen.query(Table)


async def test_the_palette_shows_hostile_names_as_text() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.circuit(db, "ev[/oops]il\x1b]52;c;x\x07", "[@click=app.quit]m", state="open")

    async with watched() as (app, pilot):
        await pilot.press("colon")
        await pilot.pause()
        app.screen.query_one(Input).insert_text_at_cursor("circuit ev")
        await until(pilot, lambda: "ev[/oops]il" in screen_text(app))

        assert all(line.isprintable() for line in screen_text(app).splitlines())
