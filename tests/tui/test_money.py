"""Budgets and Circuits: what they show beside the table of the frame, and what can be done."""

import tomllib
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import seeds
from screens import HOME, check, screen_text, shown, until, watched
from textual.pilot import Pilot
from textual.widgets import Input

from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.tui import budget_forms, circuit_orders
from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.table import Table

SIZES = [(120, 36), (80, 24)]
EVIL = "a\x1b]52;c;RVZJTA==\x07b\x1b[31mc\u202ed[/oops][@click=app.quit]"
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
BUDGETS, CIRCUITS = "2", "3"
KEPT = """\
# My own words.
[[budgets]] # the one for everything
scope = "global"
limit_usd = "5" # a day
"""


def named(name: str, size: tuple[int, int]) -> str:
    return f"{name}_{size[0]}x{size[1]}"


def configured() -> list[dict[str, Any]]:
    return tomllib.loads((HOME / "config.toml").read_text(encoding="utf-8")).get("budgets", [])


def quiet_home(config: str = "") -> None:
    """A server, and nothing called yet."""
    seeds.configure(HOME, config)
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "cursor")


def asking() -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        seeds.question(db, "01K9XJ60")
        seeds.question(db, "01K9XJ40", client="zed", waits_until=seeds.NOW - 30)
        seeds.question(
            db, "01K9XJ20", state="approved", answered_at=seeds.NOW - 60, by="ana", used_by="01K9"
        )


async def said(app: WatchApp, pilot: Pilot[None], words: str) -> None:
    await until(pilot, lambda: words in screen_text(app))


@sizes
async def test_calls_that_ask_are_rows_above_the_budgets(size: tuple[int, int]) -> None:
    asking()

    async with watched(size) as (app, pilot):
        await shown(app, pilot, BUDGETS)
        check(app, named("budgets_asked", size))
        await pilot.press("enter")
        await pilot.pause()

        check(app, named("budgets_asked_detail", size))


async def test_every_view_says_that_a_call_waits_for_its_user_and_not_when_it_gave_up() -> None:
    asking()

    async with watched() as (app, pilot):
        assert "! 1 call asks" in screen_text(app).splitlines()[0]
        with seeds.ledger(HOME) as db:
            db.execute("UPDATE approvals SET waits_until = ?", (seeds.NOW - 1,))
        await until(pilot, lambda: "! 2 circuits" in screen_text(app).splitlines()[0])


async def test_a_call_that_asks_is_answered_after_a_yes_and_only_then() -> None:
    asking()

    async with watched() as (app, pilot):
        await shown(app, pilot, BUDGETS)
        await pilot.press("A", "n")
        await pilot.pause()
        before = states()
        await pilot.press("A")
        await pilot.pause()
        await pilot.press("y")
        await said(app, pilot, "Approved 1: openai/gpt-5 for cursor")

    assert before == ["waiting", "waiting", "approved"]
    assert states() == ["approved", "waiting", "approved"]


def states() -> list[str]:
    with seeds.ledger(HOME) as db:
        return [state for (state,) in db.execute("SELECT state FROM approvals ORDER BY id")]


def test_a_question_is_answered_once_and_a_busy_ledger_is_given_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking()
    monkeypatch.setattr(budget_forms, "WRITE_S", 0.05)

    with closing(Gate(HOME / "ledger.gate")) as gate, gate.held(1.0):
        busy = budget_forms.answered(HOME, 1, approved=False, now=seeds.NOW)
    first = budget_forms.answered(HOME, 1, approved=False, now=seeds.NOW)
    again = budget_forms.answered(HOME, 1, approved=True, now=seeds.NOW)

    assert busy == (False, "the ledger is busy: nobody could write for 0.05 s; try again")
    assert first == (True, "Denied 1: openai/gpt-5 for cursor, up to $0.41.")
    assert again == (
        False,
        "no call asks for approval as 1: it was answered, or its time is over",
    )
    assert states() == ["denied", "waiting", "approved"]


async def test_money_of_the_dead_and_every_kind_of_event_are_told() -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("UPDATE servers SET ended = ? WHERE id = 's1'", (seeds.NOW - 70,))
        for n, kind in enumerate(("presumed", "overrun", "changed", "reset")):
            seeds.insert(
                db,
                "budget_events",
                at=seeds.NOW - 10 - n,
                budget="project:~/site/month",
                window_start=seeds.MONTH_BEGAN,
                kind=kind,
                call_id="01K9X101" if n < 2 else None,
                amount_nano=12_000_000,
                spent_nano=0,
                reserved_nano=0,
                limit_nano=80 * seeds.NANO,
                by="s2",
            )

    async with watched((80, 24)) as (app, pilot):
        await shown(app, pilot, BUDGETS)
        await pilot.press("enter")
        await pilot.pause()

        check(app, "budgets_dead_80x24")


async def test_without_a_budget_the_last_days_suggest_one_and_a_adds_it() -> None:
    quiet_home("# nothing yet\n")
    with seeds.ledger(HOME) as db:
        seeds.used(db, "openai", "gpt-5", calls=12, cost_nano=3_300_000_000, hour=seeds.HOUR - 30)

    async with watched((80, 24)) as (app, pilot):
        await shown(app, pilot, BUDGETS)
        check(app, "budgets_suggested_80x24")
        await pilot.press("a")
        await pilot.pause()
        check(app, "budgets_add_80x24")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen.query_one(Table).cursor_key == "global/day")

    assert configured() == [
        {
            "scope": "global",
            "period": "day",
            "limit_usd": "5",
            "warn_at": 0.8,
            "at_limit": "refuse",
        }
    ]
    assert (HOME / "config.toml").read_text(encoding="utf-8").startswith("# nothing yet\n")


@pytest.mark.parametrize(
    ("check", "wrong", "right"),
    [
        (budget_forms.wrong_scope, ["clint:x", "task:", "", "task: "], ["global", "task:docs"]),
        (budget_forms.wrong_limit, ["five", "-1", "1e999", "nan", ""], ["5", "$2.50", "0"]),
        (budget_forms.wrong_share, ["120 %", "0", "x", "nan"], ["0.8", "80 %", "1"]),
        (circuit_orders.wrong_length, ["ten", "0m", "999999d"], ["10m", "1.5h", "30", ""]),
        (circuit_orders.wrong_name, ["", "/m"], ["openai", "openai/gpt-5"]),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    check: Callable[[str], str], wrong: list[str], right: list[str]
) -> None:
    assert all(check(text) for text in wrong)
    assert [check(text) for text in right] == [""] * len(right)


async def test_a_form_that_is_wrong_stays_and_changes_nothing() -> None:
    quiet_home(KEPT)

    async with watched() as (app, pilot):
        await shown(app, pilot, BUDGETS)
        await pilot.press("a")
        await pilot.pause()
        await pilot.press("ctrl+s")
        await said(app, pilot, "limit: write dollars, like 5 or 2.50")
        fill(app, limit="3")
        await pilot.press("ctrl+s")
        await said(app, pilot, "there is a budget global/day already")

    assert (HOME / "config.toml").read_text(encoding="utf-8") == KEPT


def fill(app: WatchApp, **values: str) -> None:
    for name, text in values.items():
        app.screen.query_one(f"#field-{name}", Input).value = text


async def test_a_limit_is_changed_and_removed_with_the_users_comments_kept() -> None:
    quiet_home(KEPT)

    async with watched() as (app, pilot):
        await shown(app, pilot, BUDGETS)
        await pilot.press("E")
        await pilot.pause()
        fill(app, limit="7.25")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await said(app, pilot, "7.25")
        changed = (HOME / "config.toml").read_text(encoding="utf-8")
        await pilot.press("X")
        await pilot.pause()
        await pilot.press("y")
        await said(app, pilot, "No budget: nothing is limited")

    assert 'limit_usd = "7.25" # a day' in changed
    assert "# the one for everything" in changed
    assert configured() == []


async def test_a_file_that_is_wrong_is_named_and_left_alone() -> None:
    seeds.seed(HOME)
    seeds.configure(HOME, "[[budgets]\n")

    async with watched((80, 24)) as (app, pilot):
        await shown(app, pilot, BUDGETS)
        check(app, "budgets_wrong_file_80x24")
        await pilot.press("E")
        await said(app, pilot, "config.toml has not been understood")


async def test_read_only_watches_and_says_so() -> None:
    asking()

    async with watched(read_only=True) as (app, pilot):
        for view, keys in ((BUDGETS, "aEXAD"), (CIRCUITS, "trhupn")):
            await shown(app, pilot, view)
            await pilot.press(*keys)
            await said(app, pilot, "actions are off: read-only")
            assert len(app.screen_stack) == 1


@sizes
async def test_a_whole_provider_that_is_kept_out_shows_at_its_models(size: tuple[int, int]) -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        seeds.circuit(db, "azure", "gpt-4o")
        seeds.circuit(
            db,
            "mistral",
            "small",
            hold_reason="manual",
            hold_by="ana",
            hold_note="moving to the new account",
        )
        seeds.circuit(
            db,
            "xai",
            "grok",
            state="half_open",
            failures=5,
            probe_owner="o2",
            probe_lease_until=seeds.NOW + 60,
            changed_at=seeds.NOW - 2,
        )
    seeds.configure(HOME, '[providers.cerebras]\n[providers.voyage]\nmodels = ["voyage-4"]\n')

    async with watched(size) as (app, pilot):
        await shown(app, pilot, CIRCUITS)
        check(app, named("circuits_known", size))
        table = app.screen.query_one(Table)
        while table.cursor_key != "azure/gpt-4o":
            await pilot.press("j")
        await pilot.press("enter")
        await pilot.pause()

        check(app, named("circuits_whole", size))


async def test_orders_are_asked_first_and_a_hold_wants_a_length_and_a_reason() -> None:
    seeds.seed(HOME)

    async with watched((80, 24)) as (app, pilot):
        await shown(app, pilot, CIRCUITS)
        await pilot.press("t")
        await pilot.pause()
        check(app, "circuits_trip_80x24")
        await pilot.press("n", "h")
        await pilot.pause()
        fill(app, length="ten")
        await pilot.press("ctrl+s")
        await said(app, pilot, "for: write 30s, 10m, 2h or 1d")
        check(app, "circuits_hold_80x24")
    with seeds.ledger(HOME) as db:
        assert db.execute("SELECT count(*) FROM control").fetchone() == (0,)


async def test_hostile_text_in_money_and_circuits_reaches_no_screen() -> None:
    toml_evil = EVIL.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
    seeds.configure(
        HOME,
        f'[[budgets]]\nscope = "task:{toml_evil}"\nlimit_usd = "1"\n'
        f'[providers."{toml_evil}"]\nlike = "openai"\nmodels = ["{toml_evil}"]\n',
    )
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, EVIL)
        outside = {"client": EVIL, "project": EVIL, "provider": EVIL, "model": EVIL * 500}
        seeds.question(db, EVIL, budget=EVIL, **outside)
        seeds.budget(db, f"task:{EVIL}/day", limit_nano=10, spent_nano=9, at_limit=EVIL)
        seeds.circuit(
            db,
            EVIL,
            EVIL,
            state="half_open",
            hold_reason=EVIL,
            hold_note=EVIL,
            hold_by=EVIL,
            probe_owner=EVIL,
            last_error=EVIL,
        )

    async with watched() as (app, pilot):
        for view, actions in ((BUDGETS, "AE"), (CIRCUITS, "th")):
            await shown(app, pilot, view)
            for action in actions:
                await pilot.press("enter")
                await pilot.pause()
                assert printable(app)
                await pilot.press("escape", action)
                await pilot.pause()
                assert printable(app)
                if len(app.screen_stack) > 1:
                    await pilot.press("escape")
                    await pilot.pause()
                await pilot.press("G")


def printable(app: WatchApp) -> bool:
    return all(line.isprintable() for line in screen_text(app).splitlines())
