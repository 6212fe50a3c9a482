"""The filter language."""

from collections.abc import Iterator

import pytest

from roundhouse_mcp.tui.sieve import Fields, nearest, sieve

NOW = 1000.0
CALL: Fields = {
    "call": "01K9XJ4T",
    "provider": "groq",
    "model": "gpt-oss-120b",
    "task": "code",
    "status": "failed",
    "error": "429 Rate limit",
    "cost": 0.02,
    "dur": 12.0,
    "tok/s": None,
    "attempts": 2,
    "in": 6100,
    "fallback": True,
    "at": NOW - 600,
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("  ", True),
        ("groq", True),
        ("GROQ code", True),
        ("groq docs", False),
        ("!groq", False),
        ("!!groq", True),
        ("!openai", True),
        ('"rate limit"', True),
        ('"limit rate"', False),
        ("provider:groq,openai", True),
        ("provider:groq|openai", True),
        ("provider:openai", False),
        ("!provider:openai", True),
        ('error:"rate limit"', True),
        ("model:gpt*", True),
        ("model:*20b", True),
        ("model:oss*", False),
        ("gpt*", True),
        ("gpt*zz", False),
        ("status:err", True),
        ("status:ok", False),
        ("status:running", False),
        ("status:fail", True),
        ("call:01K9", True),
        ("cost>0.01", True),
        ("cost>$0.03", False),
        ("dur>10", True),
        ("dur<=12s", True),
        ("dur>1m", False),
        ("tok/s<20", False),  # unknown is not less
        ("!tok/s<20", True),
        ("attempts>1", True),
        ("attempts=2", True),
        ("in>6k", True),
        ("fallback", True),
        ("!fallback", False),
        ("since:30m", True),
        ("since:5m", False),
        ("provider:groq cost>0.01 since:1h !docs", True),
    ],
)
def test_a_term_keeps_what_it_says(text: str, kept: bool) -> None:
    found = sieve(text, NOW)

    assert found(CALL) == kept
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cost>abc", "'abc' is no number; write it like cost>10"),
        ("since:soon", "'soon' is no number; write it like since:30m"),
        ("provder:groq", "provder: is no field (nearest: provider); looked for as a word"),
        ("qwen3:8b", ""),
        ("zzz:8b", "zzz: is no field; looked for as a word"),
    ],
)
def test_what_is_not_understood_is_told(text: str, problem: str) -> None:
    assert " ".join(sieve(text).problems) == problem


@pytest.mark.parametrize("text", ["provider:", "cost>", "since:", "!", '"', '!"', "provider:,"])
def test_a_term_that_is_not_finished_keeps_everything(text: str) -> None:
    found = sieve(text, NOW)

    assert found(CALL)
    assert found.problems == ()


@pytest.mark.parametrize("text", ["[", "a" * 5000, "provider:[a-", "cost>1e999", "**", "\\", "*:*"])
def test_no_text_breaks_it(text: str) -> None:
    sieve(text, NOW)(CALL)


@pytest.mark.parametrize(
    ("text", "value"),
    [("provider:gorq", "groq"), ("gorq", "groq"), ("provider:groq task:cod3", "code"), ("zz", "")],
)
def test_the_nearest_value_is_named_when_nothing_matches(text: str, value: str) -> None:
    assert nearest(sieve(text), [CALL]) == value


def test_what_is_nearest_is_found_in_little_time_however_many_rows_there_are() -> None:
    seen = 0

    def rows() -> Iterator[Fields]:
        nonlocal seen
        for number in range(1_000_000):
            seen += 1
            yield {**CALL, "call": f"c{number}" * 30}

    assert nearest(sieve("provider:gorq"), rows()) == "groq"
    assert seen < 1000
