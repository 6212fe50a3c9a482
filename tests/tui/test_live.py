"""The Live view: calls in every state, one looked at closely, and text written by strangers."""

import json
import sqlite3
from typing import Any

import pytest
from screens import HOME, check, screen_text, until, watched
from seeds import NOW, attempt, finished, insert, ledger, running, server
from textual.pilot import Pilot

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.dialogs import Confirm
from roundhouse_mcp.tui.table import Table

SIZES = [(120, 36), (80, 24)]
EVIL = "a\x1b]52;c;RVZJTA==\x07b\x1b[31mc\x9bd\u202ee\u200bf\n[/oops][@click=app.quit]\U000e0041"
LOOKED_AT = {SIZES[0]: ("run", "again", "lost"), SIZES[1]: ("run", "queue", "gone", "paid")}
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
CLAUDE = {"provider": "anthropic", "model": "claude-sonnet-4-5"}
GPT = {"provider": "openai", "model": "gpt-5-mini"}


def seed_states() -> None:
    """A call in each state that there is, and two servers: one lives."""
    HOME.mkdir()
    with ledger(HOME) as db:
        server(db, 1, "cursor")
        server(db, 2, "zed", beat=NOW - 60)
        running(db, "run", started=NOW - 9.4, attempt=4, trail=BEFORE, **STREAMING)
        insert(db, "decisions", call_id="run", json=json.dumps(DECISION))
        began = NOW - 9.4
        seed_tries(db, began)
        retry = {"phase": "retry", "next_try_at": NOW + 1.2, "trail": "together/qwen3-32b 503"}
        running(db, "again", provider="together", model="qwen3-32b", started=NOW - 5.6, **retry)
        queue = {"phase": "queue", "attempt": 0, "attempt_started": None, "task": "quick"}
        running(db, "queue", started=NOW - 1.5, **queue)
        running(db, "gone", server="s2", owner="o2", client="zed", started=NOW - 70)
        died = "Its server (pid 7990) ended before the call did."
        lost = {"status": "lost", "finish_reason": None, "cost_kind": "presumed", "error": died}
        finished(db, "lost", ago=587, took=300.0, **CLAUDE, **lost)
        finished(db, "paid", ago=30, took=2.0, cost_kind="presumed", cost_nano=50_000_000)
        attempt(
            db,
            "paid",
            1,
            **GPT,
            started=NOW - 30,
            first_token_at=NOW - 29,
            ended=NOW - 28,
            cost_kind="presumed",
            cost_nano=50_000_000,
            reserved_nano=50_000_000,
            output_tokens=512,
            provider_request_id="req_01jx",
            answered_by="gpt-5-mini-2025-08-07",
        )
        corrected = {"attempt": 1, "delta_nano": -20_000_000, "why": "invoice", "by": "cli"}
        insert(db, "adjustments", at=NOW - 5, call_id="paid", **corrected)


STREAMING: dict[str, Any] = {
    "attempt_started": NOW - 3.4,
    "first_token_at": NOW - 3.1,
    "input_tokens": 6104,
    "output_tokens": 188,
    "reserved_nano": 400_000,
}
BEFORE = "openai/gpt-5-mini 429, openai/gpt-5-mini 429, openai/gpt-5-mini timed_out"
DECISION = {
    "strategy": "priority",
    "candidates": [
        {**GPT, "why": "priority 2", "estimated_cost_usd": 0.012, "circuit": "closed"},
        {"provider": "groq", "model": "llama-3.3-70b-versatile", "why": "priority 3"},
    ],
    "excluded": [
        {
            **CLAUDE,
            "reason": "circuit_open",
            "detail": "5 failures in a row",
            "until": "2026-11-21T12:41:26+00:00",
        },
        {"provider": "ollama", "model": "qwen3:8b", "reason": "capability", "detail": "no tools"},
        {"provider": "cohere, gemini, deepseek", "reason": "key_missing"},
    ],
}


def seed_tries(db: sqlite3.Connection, began: float) -> None:
    limit = {"outcome": "throttled", "http_status": 429, "error": "rate limit of your tier"}
    attempt(db, "run", 1, **GPT, **limit, started=began, ended=began + 0.6)
    waited = {"waited_s": 0.8, "waited_for": "retry-after"}
    attempt(db, "run", 2, **GPT, **limit, **waited, started=began + 1.4, ended=began + 2.0)
    silent = {"outcome": "timed_out", "error": "no answer began within 4 s"}
    attempt(db, "run", 3, **GPT, **silent, started=began + 2.0, ended=began + 6.0)


def named(name: str, size: tuple[int, int]) -> str:
    return f"{name}_{size[0]}x{size[1]}"


async def opened(app: WatchApp, pilot: Pilot[None], call_id: str) -> None:
    """The detail of this call, once it was read."""
    table = app.screen.query_one(Table)
    table.move(table.keys.index(call_id) - table.cursor)
    await pilot.press("enter")
    await until(pilot, lambda: read_of(app) == call_id)


def read_of(app: WatchApp) -> str:
    detail = app.store.snapshot.detail
    return detail.call_id if detail else ""


@sizes
async def test_every_state_of_a_call_is_told_and_each_call_can_be_looked_at(
    size: tuple[int, int],
) -> None:
    seed_states()

    async with watched(size) as (app, pilot):
        check(app, named("calls", size))
        for call_id in LOOKED_AT[size]:
            await opened(app, pilot, call_id)
            check(app, named(f"call_{call_id}", size))
            await pilot.press("escape")


@sizes
async def test_cancelling_asks_first_and_a_paused_view_counts_what_it_misses(
    size: tuple[int, int],
) -> None:
    seed_states()

    async with watched(size) as (app, pilot):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        check(app, named("cancel", size))
        await pilot.press("escape", "space")
        with ledger(HOME) as db:
            db.execute("DELETE FROM inflight")
            finished(db, "new", ago=1, took=1)
        await until(pilot, lambda: app.store.missed == 1)
        check(app, named("paused", size))


async def test_a_call_that_has_ended_cannot_be_cancelled() -> None:
    seed_states()

    async with watched() as (app, pilot):
        await pilot.press("G", "x")
        await pilot.pause()

        assert "Cancel call: this call has ended" in screen_text(app)


async def test_many_attempts_leave_room_for_the_rest() -> None:
    seed_states()
    with ledger(HOME) as db:
        finished(db, "many", ago=20, took=20, status="failed", error="All 9 attempts failed.")
        for n in range(1, 10):
            fault = {"outcome": "faulted", "http_status": 500, "waited_s": 0.5}
            at = NOW - 20 + n * 2
            attempt(db, "many", n, **GPT, **fault, started=at, ended=at + 1)

    async with watched() as (app, pilot):
        await opened(app, pilot, "many")

        check(app, "call_many_120x36")


def poison() -> None:
    """Hostile text in every column of calls, attempts, decisions and corrections."""
    HOME.mkdir()
    outside: dict[str, Any] = dict.fromkeys(
        ("client", "project", "task", "strategy", "trail"), EVIL
    )
    names: dict[str, Any] = {"provider": EVIL, "model": "m" * 1_000_000 + EVIL}
    with ledger(HOME) as db:
        server(db, 1, EVIL)
        for call_id, more in (("run", {}), ("again", {"phase": "retry", "next_try_at": NOW})):
            running(db, f"{call_id}{EVIL}", **outside, tool=EVIL, **more)
        bad = {"status": "failed", "error": EVIL, "error_kind": EVIL, "finish_reason": EVIL}
        finished(db, "bad", ago=9, took=1, **{**outside, **names}, **bad, tool=EVIL)
        finished(db, "ok", ago=9, took=1, **outside, finish_reason=EVIL)
        finished(db, "lost", ago=9, took=1, **outside, status="lost", error=f"pid {EVIL}")
        said = dict.fromkeys(
            ("outcome", "error", "provider_request_id", "answered_by", "waited_for"), EVIL
        )
        times = {"started": NOW - 9, "ended": NOW - 8, "waited_s": 1}
        attempt(db, "bad", 1, **names, **times, **said)
        insert(db, "adjustments", at=NOW, call_id="bad", attempt=1, delta_nano=1, why=EVIL, by=EVIL)
        evil = {"provider": EVIL, "model": EVIL, "why": EVIL, "reason": EVIL, "detail": EVIL}
        evil |= {"until": EVIL, "circuit": EVIL}
        why = {"candidates": [evil], "excluded": [evil] * 2, "passed_by": [evil], "strategy": EVIL}
        insert(db, "decisions", call_id="bad", json=json.dumps(why))


async def test_hostile_text_reaches_no_frame_of_the_live_view() -> None:
    poison()
    shown = ""

    async with watched() as (app, pilot):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        shown += screen_text(app)
        await pilot.press("escape")
        first = app.screen.query_one(Table).keys[0]
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for key in (first, "bad"):
                await opened(app, pilot, key)
                shown += screen_text(app)
                await pilot.press("escape")

    assert all(line.isprintable() for line in shown.splitlines())
    assert "[/oops]" in shown
    assert "␛" in shown
