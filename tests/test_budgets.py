"""Limits, and the calendar windows they count in."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse_mcp.server.budgets import (
    Budget,
    Burn,
    Recent,
    applicable,
    burn,
    counts,
    from_settings,
    pace,
    runs_out,
    window,
)
from roundhouse_mcp.server.settings import BudgetSettings, Period

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half hours
    "Australia/Lord_Howe",  # clocks move by half an hour
    "Africa/Cairo",  # clocks skip midnight
    "America/Santiago",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Pacific/Kiritimati",
    "Pacific/Apia",
)
IN_2026 = st.floats(1_767_225_600, 1_893_456_000)  # up to 2030


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("day", "2026-11-21", "2026-11-22"),
        ("week", "2026-11-16", "2026-11-23"),
        ("month", "2026-11-01", "2026-12-01"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_a_window_is_a_calendar_period_of_the_zone(
    period: Period, start: str, end: str, zone: str
) -> None:
    found = window(period, at("2026-11-21T15:30", zone), zone)

    assert found == (at(start, zone), at(end, zone))


def test_the_same_moment_is_another_day_elsewhere() -> None:
    moment = at("2026-11-21T23:30", "UTC")

    assert window("day", moment, "Europe/Berlin")[0] == at("2026-11-22", "Europe/Berlin")


def test_a_total_has_no_end() -> None:
    assert window("total", at("2026-11-21", "UTC"), "UTC") == (0.0, None)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-21", 24)]
)
def test_a_day_on_which_clocks_move_is_shorter_or_longer(day: str, hours: int) -> None:
    start, end = window("day", at(f"{day}T12:00", "Europe/Berlin"), "Europe/Berlin")

    assert end is not None
    assert (end - start) / 3600 == hours


def test_where_clocks_skip_midnight_the_day_begins_as_they_skip() -> None:
    start, end = window("day", at("2026-04-24T12:00", "Africa/Cairo"), "Africa/Cairo")

    assert end is not None
    assert (end - start) / 3600 == 23
    assert window("day", start - 1, "Africa/Cairo")[1] == start


@given(
    moment=IN_2026, zone=st.sampled_from(ZONES), period=st.sampled_from(["day", "week", "month"])
)
def test_windows_tile_time_without_gap_or_overlap(moment: float, zone: str, period: Period) -> None:
    start, end = window(period, moment, zone)

    assert end is not None
    assert start <= moment < end
    assert window(period, start, zone) == (start, end)
    assert window(period, end, zone)[0] == end
    assert window(period, start - 0.001, zone)[1] == start


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("global", True),
        ("provider:openai", True),
        ("provider:groq", False),
        ("model:gpt-5", True),
        ("model:openai/gpt-5", True),
        ("model:azure/gpt-5", False),
        ("task:code", True),
        ("task:chat", False),
        ("client:cursor", True),
        ("client:zed", False),
        ("project:/home/me/a", True),
        ("project:/home/me/b", False),
    ],
)
def test_a_call_counts_in_the_scopes_it_belongs_to(scope: str, expected: bool) -> None:
    assert expected == counts(
        scope,
        provider="openai",
        model="gpt-5",
        task="code",
        client="cursor",
        project="/home/me/a",
    )


def test_a_call_without_a_task_counts_in_no_tasks_budget() -> None:
    assert not counts("task:None", provider="p", model="m", task=None, client="c", project="/")


def test_settings_become_budgets_in_nano_dollars() -> None:
    budgets = from_settings(
        [BudgetSettings(scope="global", limit_usd=Decimal("10.000000001"), warn_at=0.5)]
    )

    assert budgets == (
        Budget(
            id="global/day",
            scope="global",
            period="day",
            limit_nano=10_000_000_001,
            warn_at=0.5,
        ),
    )


def test_of_two_limits_for_the_same_the_smaller_counts() -> None:
    budgets = from_settings(
        BudgetSettings(scope="global", limit_usd=Decimal(limit)) for limit in (5, 3, 4)
    )

    assert [budget.limit_nano for budget in budgets] == [3_000_000_000]


def test_the_windows_of_a_call_are_those_of_its_budgets_now() -> None:
    budgets = from_settings(
        (
            BudgetSettings(scope="global", limit_usd=Decimal(1)),
            BudgetSettings(scope="client:zed", limit_usd=Decimal(1)),
            BudgetSettings(scope="task:code", period="total", limit_usd=Decimal(1)),
        )
    )
    moment = at("2026-11-21T15:30", "Europe/Berlin")

    windows = applicable(
        budgets,
        provider="openai",
        model="gpt-5",
        task="code",
        client="cursor",
        project="/p",
        at=moment,
        timezone="Europe/Berlin",
    )

    assert [(each.budget, each.start) for each in windows] == [
        ("global/day", at("2026-11-21", "Europe/Berlin")),
        ("task:code/total", 0.0),
    ]


# Forecast.


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ((900, 3, 9000, 30), Burn(3600.0, "15m")),
        ((900, 2, 6000, 3), Burn(1000.0, "6h")),
        ((900, 2, 6000, 2), Burn(500.0, "window")),
    ],
)
def test_the_burn_rate_is_measured_over_the_latest_span_with_enough_calls(
    recent: tuple[int, int, int, int], expected: Burn
) -> None:
    quarter, quarter_calls, six_hours, six_hours_calls = recent

    found = burn(
        Recent(
            quarter_nano=quarter,
            quarter_calls=quarter_calls,
            six_hours_nano=six_hours,
            six_hours_calls=six_hours_calls,
        ),
        spent_nano=1000,
        start=0,
        now=7200,
    )

    assert found == expected


@pytest.mark.parametrize(("spent", "expected"), [(0, 0.0), (25, 0.5), (50, 1.0), (100, 2.0)])
def test_pace_compares_the_share_spent_with_the_share_of_time(spent: int, expected: float) -> None:
    assert pace(spent_nano=spent, limit_nano=100, start=0, end=200, now=100) == expected


@pytest.mark.parametrize(("limit", "end", "now"), [(100, None, 5), (0, 200, 5), (100, 200, 0)])
def test_pace_is_unknown_without_a_limit_an_end_or_any_time(
    limit: int, end: float | None, now: float
) -> None:
    assert pace(spent_nano=1, limit_nano=limit, start=0, end=end, now=now) is None


@pytest.mark.parametrize(
    ("committed", "rate", "end", "expected"),
    [
        (40, 60.0, 86_400.0, 7200.0),
        (40, 60.0, None, 7200.0),
        (40, 60.0, 7200.0, None),
        (40, 0.0, 86_400.0, None),
        (100, 0.0, 86_400.0, 3600.0),
        (120, 60.0, 86_400.0, 3600.0),
    ],
)
def test_money_runs_out_when_the_rate_reaches_the_limit_before_the_reset(
    committed: int, rate: float, end: float | None, expected: float | None
) -> None:
    found = runs_out(
        committed_nano=committed, limit_nano=100, nano_per_hour=rate, end=end, now=3600.0
    )

    assert found == expected
