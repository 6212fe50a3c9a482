"""The pure functions behind the screens."""

from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from roundhouse_mcp.server.ledger.watch import Spending, Used
from roundhouse_mcp.tui import figures
from roundhouse_mcp.tui.calls import came_from
from roundhouse_mcp.tui.clean import MAX_LENGTH, clean, clean_json
from roundhouse_mcp.tui.draw import Change, bar, fit, spark, time_scale, time_strip
from roundhouse_mcp.tui.glyphs import PLAIN, in_ascii
from roundhouse_mcp.tui.reader import Totals
from roundhouse_mcp.tui.rows import Look
from roundhouse_mcp.tui.sieve import sieve
from roundhouse_mcp.tui.spending import counted, forecast, needs_look
from roundhouse_mcp.tui.why import left_out, reasons

HOUR = 3600.0
SPENDING = Spending(
    budget="global/day",
    window_start=0,
    window_end=24 * HOUR,
    scope="global",
    period="day",
    limit_nano=10_000,
    spent_nano=6_000,
    reserved_nano=0,
    warn_at=0.8,
    at_limit="refuse",
)


def spent(nano: int, calls: int = 5) -> Used:
    return Used(
        provider="openai",
        model="gpt-5",
        task="code",
        client="cursor",
        project="~/site",
        calls=calls,
        errors=0,
        attempts=calls,
        cost_nano=nano,
    )


@given(st.text())
def test_clean_text_is_printable_bounded_and_stays_as_it_is(text: str) -> None:
    once = clean(text)

    assert once.isprintable()
    assert len(once) <= MAX_LENGTH
    assert clean(once) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gpt-5", "gpt-5"),
        ("a\x1b[31mb", "a␛[31mb"),
        ("\x9b0m", "\ufffd0m"),
        ("a\nb\tc", "a⏎b c"),
        ("\u202egnp", "\ufffdgnp"),
        ("a\u200bb\U000e0041", "a\ufffdb\ufffd"),
        ("z\u0300\u0301\u0302\u0303\u0304", "z\u0300\u0301"),
        ("\ud800", "\ufffd"),
        ("日本", "日本"),
    ],
)
def test_what_is_not_printable_becomes_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_escapes_inside_json_are_cleaned_after_decoding() -> None:
    assert clean_json(b'{"why": ["\\u001b[2J", 3]}') == {"why": ["␛[2J", 3]}
    assert clean_json(b"{") is None
    assert clean_json(b"[" * 100_000) is None


@given(st.text(), st.integers(1, 30), st.sampled_from(["left", "right"]))
def test_fitted_text_is_exactly_as_wide_as_asked(text: str, width: int, align: str) -> None:
    assert cell_len(fit(clean(text), width, "left" if align == "left" else "right")) == width


@given(st.text(st.sampled_from([chr(code) for code in PLAIN] + ["日", "a"])))
def test_the_ascii_form_is_ascii_and_no_longer(text: str) -> None:
    assert in_ascii(text).isascii()
    assert len(in_ascii(text)) == len(text)


def test_a_bar_shows_spent_then_held_and_marks_the_time() -> None:
    drawn = bar(spent=50, held=20, limit=100, passed=0.85, width=10)

    assert drawn == "█████▒▒ ▕ "
    assert bar(spent=300, held=0, limit=100, passed=None, width=4) == "████"
    assert bar(spent=1, held=0, limit=0, passed=0.5, width=4) == "    "


def test_a_spark_is_scaled_to_its_largest_value() -> None:
    assert spark([0, 1, 2, 4]) == "▁▃▅█"
    assert spark([0, 0]) == "▁▁"


def test_a_time_strip_shows_the_gravest_state_of_each_span() -> None:
    changes = [
        Change(at=70, before="closed", after="open"),
        Change(at=80, before="open", after="half_open"),
        Change(at=85, before="half_open", after="closed"),
    ]

    strip = time_strip(changes, now_state="closed", now=100, cells=5, cell_s=20)

    assert strip == ["closed", "closed", "closed", "open", "half_open"]


def test_a_time_scale_never_runs_over_its_width() -> None:
    assert time_scale(10, 40) == "0 s     2 s     4 s     6 s     8 s     "
    assert len(time_scale(100_000, 20)) == 20


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "?"),
        (0, "0"),
        (1, "<0.0001"),
        (2_100_000, "0.0021"),
        (79_880_000_000, "79.8800"),
        (12_345_000_000_000, "12,345"),
    ],
)
def test_money_is_told_to_the_hundredth_of_a_cent(nano: int | None, text: str) -> None:
    assert figures.money(nano) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.44, "9.4s"), (59.96, "59s"), (587, "9m47s"), (4320, "1h12m"), (189_000, "2d4h")],
)
def test_a_duration_is_told_in_its_own_units(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        ("global", True),
        ("provider:openai", True),
        ("provider:groq", False),
        ("model:gpt-5", True),
        ("model:openai/gpt-5", True),
        ("task:code", True),
        ("client:zed", False),
    ],
)
def test_spending_counts_in_the_budgets_of_its_scope(scope: str, counts: bool) -> None:
    assert counted(replace(SPENDING, scope=scope), [spent(1)]) == ((1, 5) if counts else (0, 0))


def test_a_budget_runs_out_when_its_burn_says_so() -> None:
    seen = forecast(SPENDING, Totals(quarter=(spent(500),)), 12 * HOUR)

    assert (seen.burn, seen.over, seen.pace) == (2_000, "15 min", 1.2)
    assert seen.runs_out_s == 2 * HOUR
    assert needs_look(SPENDING, seen)


def test_few_calls_are_measured_over_a_longer_time() -> None:
    quarter, hours = (spent(500, calls=2),), (spent(600, calls=9),)

    long = forecast(SPENDING, Totals(quarter=quarter, six_hours=hours), 12 * HOUR)
    mean = forecast(SPENDING, Totals(quarter=quarter), 12 * HOUR)

    assert (long.burn, long.over, long.runs_out_s) == (100, "6 h", None)
    assert (mean.burn, mean.over) == (500, "this window")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("GROQ", True),
        ("groq code", True),
        ("groq docs", False),
        ("!docs", True),
        ("!groq", False),
        ("provider:groq", True),
        ("task:groq", False),
        ("provider:openai,groq", True),
        ("qwen3:8b", True),
        ("!task:code", False),
    ],
)
def test_the_filter_keeps_what_its_words_say(text: str, kept: bool) -> None:
    row = {"provider": "groq", "task": "code", "model": "qwen3:8b"}

    assert sieve(text)(row) == kept


def test_many_models_left_out_for_one_reason_share_a_line() -> None:
    def out(provider: str, reason: str, detail: str) -> dict[str, str]:
        return {"provider": provider, "model": "m", "reason": reason, "detail": detail}

    keyless = [out(name, "key_missing", f"set {name.upper()}_API_KEY") for name in ("a", "b", "c")]
    told = left_out([out("ollama", "capability", "no tools"), *keyless], Look(0.0))

    assert told == ["✗ ollama/m: no tools", "✗ 3 others: key missing"]


ODD: list[object] = [
    None,
    7,
    [],
    {"candidates": 3},
    {"excluded": [4, {"model": None}]},
    {"candidates": [{"why": 3, "estimated_cost_usd": "x"}], "passed_by": [{}, 1]},
    {"excluded": [{"provider": "a", "until": "no moment"}, {"reason": ["x"], "until": 9e99}]},
]


@pytest.mark.parametrize("why", ODD)
def test_a_decision_of_any_shape_is_told(why: object) -> None:
    assert all(isinstance(line, str) for line in reasons(why, (), Look(0.0), ended=True))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (1_795_264_848, "⊘ a/m: circuit open: 5 failures, for 19s more"),
        (1_795_264_900, "⊘ a/m: circuit open: 5 failures, until 12:41:07"),
    ],
)
def test_an_open_circuit_says_for_how_long(now: float, said: str) -> None:
    excluded = {
        "provider": "a",
        "model": "m",
        "reason": "circuit_open",
        "detail": "5 failures",
        "until": "2026-11-21T12:41:07+00:00",
    }

    assert left_out([excluded], Look(now, UTC)) == [said]


def test_failures_before_are_counted_by_provider_and_reason() -> None:
    failed = ["openai/gpt-5 429", "openai/gpt-5-mini 429", "groq/llama timed_out", "odd"]

    assert came_from(failed) == "openai✗429×2 groq✗timeout odd"
