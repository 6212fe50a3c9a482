"""View 5: what it shows, what the keys do, and that its numbers are those of cost_report."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import seeds
import spends
from screens import HOME, check, check_both, screen_text, until, watched
from seats import budget, scripted, seated, write_config
from textual.pilot import Pilot

from roundhouse_mcp.server.bars import share, stacked
from roundhouse_mcp.server.ledger import totals
from roundhouse_mcp.server.ledger.driver import connect_read_only
from roundhouse_mcp.tui import spent
from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.cost import CostView, after
from roundhouse_mcp.tui.costs import BY, MEASURES, PERIODS, Question, look_up, measured, span_of

EVIL = "a\x1b]52;c;RVZJTA==\x07b\x9bd\u202ee\n[/oops]"


async def press(app: WatchApp, pilot: Pilot[None], *keys: str) -> CostView:
    """The view, once what the keys asked for was read."""
    for key in keys:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, CostView))
        view = app.screen
        assert isinstance(view, CostView)
        await until(pilot, lambda view=view: view.costs is not None)
    assert isinstance(app.screen, CostView)
    return app.screen


async def test_two_weeks_of_spending() -> None:
    spends.spend(HOME)

    async with watched() as (app, pilot):
        await press(app, pilot, "5")

        await check_both(app, pilot, "cost")


async def test_a_row_opens_into_what_it_is_made_of_and_closes_again() -> None:
    spends.spend(HOME)

    async with watched() as (app, pilot):
        view = await press(app, pilot, "5", "b", "j", "enter")
        await check_both(app, pilot, "cost_opened")
        opened = view.question
        await press(app, pilot, "escape")

    assert (opened.by, opened.where) == (("model",), (("provider", "openai"),))
    assert view.question == Question(by=("provider",))


async def test_the_detail_of_a_row_says_its_sums_exactly() -> None:
    spends.spend(HOME)

    async with watched() as (app, pilot):
        await press(app, pilot, "5", "d")
        await pilot.pause()

        check(app, "cost_detail_120x36")


async def test_the_picture_is_drawn_in_ascii_too() -> None:
    spends.spend(HOME)

    async with watched(ascii_only=True) as (app, pilot):
        await press(app, pilot, "5", "m", "b", "b")

        assert screen_text(app).isascii()
        check(app, "ascii_cost_120x36")


async def test_keys_choose_another_period_group_and_measure() -> None:
    spends.spend(HOME)

    async with watched((80, 24)) as (app, pilot):
        view = await press(app, pilot, "5", "p", "b", "m")

    assert view.question == Question(period=PERIODS[1], by=BY[1])
    assert view.measure == MEASURES[1]


@pytest.mark.parametrize("choices", [PERIODS, BY, MEASURES], ids=["period", "by", "measure"])
def test_choices_go_round(choices: Sequence[object]) -> None:
    gone, one = list[object](), choices[0]
    for _ in choices:
        gone.append(one)
        one = after(choices, one)

    assert (gone, one) == (list(choices), choices[0])


async def test_without_a_call_it_says_so() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")

    async with watched((80, 24)) as (app, pilot):
        await press(app, pilot, "5")

        check(app, "empty_cost_80x24")


async def test_costs_are_read_only_while_they_are_on_the_screen() -> None:
    spends.spend(HOME)

    async with watched((80, 24)) as (app, pilot):
        before = dict(app.store.snapshot.extra)
        await press(app, pilot, "5")
        during = dict(app.store.snapshot.extra)
        await pilot.press("1")
        await until(pilot, lambda: "costs" not in app.feed.reader.wanted)

    assert "costs" not in before
    assert "costs" in during


async def test_hostile_names_reach_no_screen() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        for table in ("usage_hour", "model_hour"):
            labels = {"hour": seeds.HOUR, "provider": EVIL, "model": EVIL * 500, "calls": 1}
            who = {"task": EVIL, "client": EVIL, "project": EVIL} if table == "usage_hour" else {}
            seeds.insert(db, table, **labels, **who, cost_nano=10**9, output_tokens=5)

    async with watched() as (app, pilot):
        for keys in (["5"], ["b"], ["b"], ["b"], ["enter"], ["d"]):
            await press(app, pilot, *keys)
            shown = screen_text(app)
            assert all(line.isprintable() for line in shown.splitlines())
            assert "[/oops]" in shown or "␛" in shown or "Nothing was called" in shown


@pytest.mark.parametrize("by", BY, ids="/".join)
@pytest.mark.parametrize("period", ["month", "all"])
def test_the_sums_are_those_of_the_report(period: str, by: tuple[str, ...]) -> None:
    spends.spend(HOME)
    question = Question(period=period, by=by)  # pyright: ignore[reportArgumentType]

    with closing(connect_read_only(HOME / "ledger.db")) as db:
        found = look_up(question, HOME, db, seeds.NOW)
        span = span_of(question.period, seeds.NOW, "UTC")
        report = totals.totals(db, span, by, 10_000, seeds.NOW)

    assert found.total == report.total
    assert sorted(map(list, map(dict.values, found.rows)), key=str) == sorted(  # pyright: ignore
        (list(group.values()) for group in report.groups), key=str
    )


def test_the_free_calls_are_priced_like_the_report_does_it() -> None:
    spends.spend(HOME)

    with closing(connect_read_only(HOME / "ledger.db")) as db:
        found = look_up(Question(period="all"), HOME, db, seeds.NOW)

    free = [row for row in found.rows if row["provider"] == "ollama"]
    read, wrote = free[0]["input_tokens"], free[0]["output_tokens"]
    assert found.elsewhere is not None
    assert found.elsewhere.model == "anthropic/claude-sonnet-4-5"
    assert found.elsewhere.nano == (read * 1_250_000_000 + wrote * 10_000_000_000) // 1_000_000


async def test_a_real_run_fills_every_column(tmp_path: Path) -> None:
    home = tmp_path / "real"
    names = ("text=one%20two%20three", "status=500")
    config = (
        scripted("bad", names[1]),
        scripted("good", names[0], price=("1000", "2000")),
        '[routing]\nchain = ["bad", "good"]\n',
        budget("100"),
    )
    async with seated(home, *config) as seat:
        await seat.said("complete", prompt="Hi there", task="code")
        said = await seat.said("cost_report", period="day", group_by=["provider", "model"])
        with closing(connect_read_only(home / "ledger.db")) as db:
            found = look_up(Question(period="today"), home, db, seat.desk.clock())

    columns = spent.columns_for(found.question.by, 120)
    row = next(row for row in found.rows if row["provider"] == "good")
    cells = spent.cost_row(row, columns, found, "$", plain=False).cells
    shown = dict(zip((column.key for column in columns), cells, strict=True))
    assert found.total["cost_nano"] / 1e9 == pytest.approx(said["totals"]["cost_usd"])
    assert shown["calls"] == "1"
    assert shown["share"].endswith("100 %")
    empty = [key for key, cell in shown.items() if cell.strip() in ("", "—")]
    assert empty == []
    assert [row["attempts"] for row in found.rows if row["provider"] == "bad"] != [0]


def test_days_begin_as_the_users_time_zone_says() -> None:
    write_config(HOME, 'timezone = "Asia/Tokyo"')
    config = (HOME / "config.toml").read_text(encoding="utf-8")
    (HOME / "config.toml").write_text(
        'timezone = "Asia/Tokyo"\n' + config.replace('timezone = "Asia/Tokyo"', "")
    )
    spends.spend(HOME)

    with closing(connect_read_only(HOME / "ledger.db")) as db:
        found = look_up(Question(by=("day",)), HOME, db, seeds.NOW)
        report = totals.totals(
            db,
            span_of("14 days", seeds.NOW, "Asia/Tokyo"),
            ["day"],
            99,
            seeds.NOW,
            timezone="Asia/Tokyo",
        )

    assert {row["day"]: row["calls"] for row in found.rows} == {
        group["day"]: group["calls"] for group in report.groups
    }


@pytest.mark.parametrize(
    ("part", "width", "plain", "drawn"),
    [
        (0, 8, False, ""),
        (1, 8, False, "████████"),
        (0.5, 8, False, "████"),
        (0.3, 8, False, "██▍"),
        (0.001, 8, False, "▏"),
        (0.001, 8, True, "#"),
        (0.5, 8, True, "####"),
        (2, 3, False, "███"),
        (1, 0, False, ""),
    ],
)
def test_a_share_is_a_bar_in_eighths(part: float, width: int, plain: bool, drawn: str) -> None:
    assert share(part, 1, width, plain=plain) == drawn


def test_stacks_stand_under_one_scale_with_the_last_columns_where_not_all_fit() -> None:
    columns = [[1.0, 1.0], [4.0], [], [0.01]]

    drawn = stacked(columns, list("abcd"), height=4, width=16, scale=lambda value: f"{value:g}")
    narrow = stacked(columns, list("abcd"), height=4, width=8, scale=lambda value: f"{value:g}")

    assert drawn == [
        "4 ┤   ██",
        "  │   ██",
        "2 ┤▓▓ ██",
        "  │██ ██    ██",
        "  └a──b──c──d──",
    ]
    assert narrow[-1] == "  └c─d──" or narrow[-1].endswith("d─")


@pytest.mark.parametrize("columns", [[], [[]], [[0.0]], [[0.0], [0.0]]])
def test_nothing_is_drawn_as_nothing(columns: list[list[float]]) -> None:
    labels = ["1"] * len(columns)

    assert len(stacked(columns, labels, height=3, width=20, scale=str)) == 4


def test_measures_are_dollars_calls_tokens_and_errors() -> None:
    row = {"cost_nano": 2 * 10**9, "calls": 3, "input_tokens": 4, "output_tokens": 5, "errors": 1}

    assert [measured(row, measure) for measure in MEASURES] == [2.0, 3.0, 9.0, 1.0]
