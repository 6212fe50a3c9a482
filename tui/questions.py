"""Calls that wait for the user's word, because a budget asks first, as rows and lines."""

from collections.abc import Iterable
from dataclasses import asdict

from ..server.ledger.approval_rows import Approval
from . import glyphs
from .figures import NANO, count_of, money, span, time_of_day
from .rows import Cells, Column, Look, Row, row_of
from .sieve import Value

KEY = "approval "


def key_of(asked: Approval) -> str:
    return f"{KEY}{asked.id}"


def number_of(key: str) -> int | None:
    """The question a row is about; None for a row that is none."""
    number = key.removeprefix(KEY)
    return int(number) if key.startswith(KEY) and number.isdecimal() else None


def open_ones(questions: Iterable[Approval], now: float) -> list[Approval]:
    """Those that can be answered, the one that gives up first at the top."""
    waiting = [one for one in questions if one.is_open(now)]
    return sorted(waiting, key=lambda one: (one.waits_until <= now, one.waits_until, one.id))


def question_row(asked: Approval, columns: tuple[Column, ...], look: Look) -> Row:
    period = asked.budget.rpartition("/")[2]
    amount = money(asked.amount_nano)
    cells: Cells = {
        "scope": (f"{glyphs.LOOK} {asked.client}: {asked.provider}/{asked.model}", "warn"),
        "window": (period, ""),
        "resets": ("", ""),
        "spent": ("", ""),
        "held": (amount, "warn"),
        "limit": ("", ""),
        "of": ("asks" if asked.is_first_use else f"asks {amount}", "warn"),
        "bar": (topic(asked), "warn"),
        "pace": ("", ""),
        "burn": ("", ""),
        "out": (waits(asked, look.now), "warn"),
        "limited": ("ask", ""),
    }
    return row_of(key_of(asked), cells, columns)


def topic(asked: Approval) -> str:
    return f"first use in {asked.project}" if asked.is_first_use else f"over {asked.budget}"


def waits(asked: Approval, now: float) -> str:
    left = asked.waits_until - now
    return f"waits {span(left)}" if left > 0 else "gave up"


def sentence(asked: Approval) -> str:
    """What would be allowed, for a question of yes or no."""
    if asked.is_first_use:
        return f"The project {asked.project} may use {asked.provider}, from now on"
    return (
        f"{asked.client} may spend up to {money(asked.amount_nano)} dollars on"
        f" {asked.provider}/{asked.model}, this once"
    )


def detail_lines(asked: Approval, look: Look) -> list[str]:
    left = asked.waits_until - look.now
    if left > 0:
        state = f"the call waits {span(left)} more"
    else:
        lasts = span(asked.expires - look.now)
        state = f"the call gave up; an answer is good for {lasts} when it is made again"
    if asked.is_first_use:
        return [
            f"{asked.client} in {asked.project} asks to use {asked.provider}, for the first time",
            f"call    {asked.call_id}, asked at {time_of_day(asked.asked_at, look.zone)}",
            f"state   {state}",
            "A approves the provider for this project from now on, D denies it",
        ]
    return [
        f"{asked.client} in {asked.project} asks to exceed {asked.budget}, once",
        f"up to   {money(asked.amount_nano)} on {asked.provider}/{asked.model}",
        f"call    {asked.call_id}, asked at {time_of_day(asked.asked_at, look.zone)}",
        f"state   {state}",
        "A approves it for this one call, D denies it; other budgets hold all the same",
    ]


def fields_of(asked: Approval) -> dict[str, Value]:
    return {
        "budget": asked.budget,
        "client": asked.client,
        "project": asked.project,
        "provider": asked.provider,
        "model": asked.model,
        "call": asked.call_id,
        "held": asked.amount_nano / NANO,
        "state": "ask",
    }


def record_of(asked: Approval) -> dict[str, object]:
    """For export and copies: without what tells requests apart."""
    hidden = ("fingerprint", "reservations")
    return {name: value for name, value in asdict(asked).items() if name not in hidden}


def answers_of(questions: Iterable[Approval], budget: str, look: Look) -> list[tuple[float, str]]:
    """What became of the questions about a budget, as moments and words."""
    return [
        (
            one.answered_at,
            f"{one.state} {one.call_id} by {one.by or 'nobody'}: {money(one.amount_nano)} on"
            f" {one.provider}/{one.model}" + (f", used by {one.used_by}" if one.used_by else ""),
        )
        for one in questions
        if one.budget == budget and one.answered_at is not None
    ]


def summary(waiting: int) -> str:
    """Nothing when nobody asks."""
    if not waiting:
        return ""
    return f"{glyphs.LOOK} {count_of(waiting, 'call')} to answer, A approves, D denies · "
