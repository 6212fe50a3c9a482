"""Redaction: no key leaves in any form it may be echoed in, and words stay readable."""

import base64
import io
import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse_mcp.server.redact import MASK, RedactingFilter, Redactor

CANARY = "canary/0123+456789=abcdef"
REDACTOR = Redactor([CANARY])


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {CANARY}.",
        f"https://host/v1?key={quote(CANARY, safe='')}",
        f"{CANARY}{CANARY}",
        base64.b64encode(CANARY.encode()).decode(),
        base64.b64encode(f"user:{CANARY}".encode()).decode(),
        base64.b64encode(f"x{CANARY}yy".encode()).decode(),
        base64.urlsafe_b64encode(f"xy{CANARY}".encode()).decode(),
    ],
)
def test_a_key_in_use_is_taken_out_in_every_form(text: str) -> None:
    cleaned = REDACTOR.text(text)

    assert CANARY not in cleaned
    assert MASK in cleaned
    assert len(cleaned.replace(MASK, "")) <= len(text) - len(CANARY)


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-ab12***********************wxyz.",
        "invalid x-api-key sk-ant-api03-AAAABBBBCCCC",
        "gsk_abcdefghijklmnopqrstuvwx is not valid",
        "AIzaSyA1234567890abcdefghijklmnopq",
        "authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc-_",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "Credential=ASIAABCDEFGHIJKLMNOP/20261101",
        "x-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE+TOKEN/0123456789==",
        "the key bedrock-api-key-YmVkcm9ja0FCQ0RFRg== has expired",
        "https://host/v1/models?alt=sse&key=abcdefgh1234",
    ],
)
def test_what_looks_like_a_key_is_taken_out_though_nobody_told_us_of_it(text: str) -> None:
    assert MASK in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "the task-force asked for risk-free models",
        "openai/gpt-5.4-mini throttled: retry after 3 s",
        "monkey=banana and api key missing; set OPENAI_API_KEY",
        "the bearer of bad news",
        "sk-1",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize("word", ["ollama", "lm-studio", "none", "x"])
def test_a_word_used_as_a_key_does_not_blot_out_the_word(word: str) -> None:
    text = f"{word} does not answer"

    assert Redactor([word]).text(text) == text


@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=60),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_text_around_it_hides_a_key(key: str, before: str, after: str) -> None:
    assert key not in Redactor([key]).text(f"{before} {key} {after}").replace(MASK, "\0")


@contextmanager
def heard(name: str) -> Generator[tuple[logging.Logger, io.StringIO]]:
    """A logger, and what is read of it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter(REDACTOR))
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger, out
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def test_log_records_are_redacted_and_exceptions_told_by_their_place() -> None:
    with heard("roundhouse_mcp.test_redact") as (logger, out):
        try:
            raise ValueError(f"Tell me about zebras, {CANARY}")
        except ValueError:
            logger.exception("call with %s failed", CANARY)

    first, second = out.getvalue().splitlines()
    assert first == "call with [redacted] failed"
    assert re.fullmatch(r"ValueError at test_redact\.py:\d+", second)


def test_a_library_that_repeats_what_it_was_given_is_told_by_its_place() -> None:
    with heard("mcp.test_redact") as (logger, out):
        logger.warning("bad request: %s", {"prompt": "Tell me about zebras"})

    assert re.fullmatch(
        r"mcp\.test_redact reports a problem at test_redact\.py:\d+\n", out.getvalue()
    )


def test_a_record_whose_arguments_do_not_fit_is_told_without_them() -> None:
    with heard("roundhouse_mcp.test_redact") as (logger, out):
        logger.warning("%d calls", "zebras")

    assert out.getvalue() == "%d calls\n"


def test_the_redactor_itself_does_not_show_what_it_knows() -> None:
    assert CANARY not in repr(REDACTOR)


def test_secrets_met_on_the_way_stay_known_when_the_keys_change() -> None:
    redactor = Redactor(["old/key/0123456789"])
    redactor.meet(["met/key/0123456789"])
    redactor.meet(["met/key/0123456789"])

    redactor.learn(["new/key/0123456789"])

    text = redactor.text("old/key/0123456789 new/key/0123456789 met/key/0123456789")
    assert text == f"old/key/0123456789 {MASK} {MASK}"
