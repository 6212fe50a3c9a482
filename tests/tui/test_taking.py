"""What a user takes along: copies and files, and the columns and order they are looked at in."""

import csv
import json
import stat
from pathlib import Path

import pytest
import seeds
from screens import HOME, check, screen_text, until, watched

from roundhouse_mcp.tui import taking
from roundhouse_mcp.tui.dialogs import NO, Pick
from roundhouse_mcp.tui.table import Table

COPIED = {
    "d": "call 01K9X108",
    "j": '"call_id": "01K9X108"',
    "r": "✓ ok\t12:40:55\t3.1s\tcursor\tcode\tpriority\topenai/gpt-5-mini ← 1",
    "i": "01K9X108",
}


@pytest.fixture(autouse=True)
def no_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' terminal has no programs for a clipboard unless a test makes one."""
    monkeypatch.setenv("PATH", "")


async def test_a_row_is_copied_as_the_user_wants_it() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.press("j", "j", "j", "j")
        for letter, copied in COPIED.items():
            await pilot.press("y")
            await pilot.pause()
            await pilot.press(letter)
            await until(pilot, lambda copied=copied: copied in app.clipboard)

            await until(pilot, lambda: "asked the terminal to copy" in screen_text(app))


async def test_the_copy_menu_is_chosen_from_by_arrows_and_mouse_and_left_by_escape() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.press("y")
        await pilot.pause()
        check(app, "copy_120x36")
        await pilot.press("down", "down", "up", "enter")
        await pilot.pause()
        assert "\t" in app.clipboard
        await pilot.press("y")
        await pilot.pause()
        await pilot.click("Menu Lines", offset=(5, 4))
        await pilot.pause()
        assert app.clipboard.startswith("{")
        await pilot.press("y", "escape")
        await pilot.pause()

        assert app.screen.query(Table)


def test_a_program_that_takes_the_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("bin").absolute()
    folder.mkdir()
    program = folder / "wl-copy"
    program.write_text(f"#!/bin/sh\n/bin/cat > {folder / 'taken'}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder))

    assert taking.copy_by_program("text", {}) == ""
    assert taking.copy_by_program("text", {"WAYLAND_DISPLAY": "w"}) == "wl-copy"
    assert (folder / "taken").read_text() == "text"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert taking.copy_by_program("text", {"WAYLAND_DISPLAY": "w"}) == ""


async def test_what_the_filter_shows_is_exported_and_nothing_is_overwritten() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        app.go("", filter_text="provider:anthropic")
        await pilot.press("e")
        await pilot.pause()
        check(app, "export_120x36")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.screen.query(Table)))
        file = Path("roundhouse-live-20261121-124107.csv")
        assert f"wrote 2 rows to {file}" in screen_text(app)
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is there already" in screen_text(app))

    assert ids_in(file) == ["01K9X101", "01K9X100"]


def ids_in(file: Path) -> list[str]:
    with file.open(newline="") as lines:
        return [row["call_id"] for row in csv.DictReader(lines)]


def test_exports_are_exact_and_no_spreadsheet_takes_text_for_a_formula() -> None:
    rows = [{"model": "=HYPERLINK(1)", "cost_nano": 5}, {"model": None, "cost_nano": -5}]

    assert taking.export(Path("a.csv"), "csv", rows) == ""
    assert taking.export(Path("a.jsonl"), "jsonl", rows) == ""

    assert Path("a.csv").read_text() == "model,cost_nano\n'=HYPERLINK(1),5\n,-5\n"
    assert [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()] == rows


@pytest.mark.parametrize("path", ["no/such/folder/a.csv", ".", "a\0b.csv"])
def test_a_place_that_cannot_be_written_is_named(path: str) -> None:
    said = taking.export(Path(path), "csv", [])

    assert said.startswith(str(Path(path)))


async def test_rows_are_sorted_by_key_and_by_a_click_on_the_title() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        table = app.screen.query_one(Table)
        await pilot.press("s")
        await pilot.pause()
        assert "sorted by STATE ↑" in screen_text(app)
        cost = screen_text(app).splitlines()[2].index("COST")
        await pilot.click(Table, offset=(cost, 0))
        await pilot.pause()
        check(app, "sorted_120x36")
        assert table.keys[0] == "01K9XJ5B"
        await pilot.click(Table, offset=(cost, 0))
        await pilot.pause()
        assert table.keys[-1] == "01K9XJ5B"
        await pilot.press("S")
        await pilot.pause()
        assert table.keys[0] == "01K9XJ5B"


async def test_columns_are_chosen_and_remembered_and_one_stays() -> None:
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        await pilot.press("c")
        await pilot.pause()
        check(app, "columns_120x36")
        picks = list(app.screen.query(Pick))
        before = [pick.value for pick in picks]
        for pick in picks:
            pick.value = NO
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "one column has to stay" in screen_text(app)
        for pick, value in zip(picks, before, strict=True):
            pick.value = value
        await pilot.press("space", "down", "down", "space", "ctrl+s")
        await pilot.pause()
        await pilot.pause()

        titles = screen_text(app).splitlines()[2]
        assert "STATE" not in titles
        assert "DUR" not in titles
        assert titles.startswith(" START    CLIENT")
        await pilot.press("2", "1")
        await pilot.pause()
        assert screen_text(app).splitlines()[2] == titles
