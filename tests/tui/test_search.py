"""Searching further back than memory reaches."""

import queue

import pytest
import seeds
from screens import HOME, screen_text, until, watched

from roundhouse_mcp.server.ledger.driver import connect_read_only
from roundhouse_mcp.server.ledger.watch import newest
from roundhouse_mcp.tui import reader, search, searches
from roundhouse_mcp.tui.calls import fields_of
from roundhouse_mcp.tui.question import condition
from roundhouse_mcp.tui.search import Found, Search
from roundhouse_mcp.tui.sieve import sieve

FILTERS = [
    "groq",
    "!groq",
    "provider:anthropic,ollama",
    "!provider:anthropic",
    "model:gpt*",
    "!gpt*",
    "status:err",
    "status:ok,lost",
    "!status:ok",
    "cost>0.01",
    "!cost>0.01",
    "dur>=3 dur<8",
    "attempts>1",
    "tok/s>100",
    "fallback",
    "!fallback",
    "since:5m",
    "!since:5m",
    "call:01K9X10",
    'error:"needs"',
    "näh",
    "scope:x",
    "cost>0.001 provider:openai !cancelled",
]


@pytest.mark.parametrize("text", FILTERS)
def test_sqlite_leaves_out_no_call_the_filter_keeps(text: str) -> None:
    seeds.seed(HOME)
    kept = sieve(text, seeds.NOW)
    sql, values = condition(kept, seeds.NOW)
    db = connect_read_only(HOME / "ledger.db")

    found = db.execute(f"SELECT call_id FROM calls WHERE {sql}", values).fetchall()
    wanted = {call.call_id for call in newest(db, 99) if kept(fields_of(call))}
    db.close()

    assert wanted <= {call_id for (call_id,) in found}


def searched(text: str, before: int = 10**9) -> list[Found]:
    """All that one search says, to its end."""
    said: queue.Queue[Found] = queue.Queue()
    one = Search(
        HOME / "ledger.db",
        text,
        before=before,
        now=seeds.NOW,
        fields_of=fields_of,
        emit=said.put,
    )
    one.start()
    found = [said.get(timeout=5)]
    while not found[-1].done:
        found.append(said.get(timeout=5))
    return found


def test_a_search_goes_back_in_steps_and_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "STEP", 10**9 - 3)
    seeds.seed(HOME)

    found = searched("provider:anthropic")

    assert [call.call_id for call in found[-1].calls] == ["01K9X101", "01K9X100"]
    assert len(found) == 3
    assert found[-1].back_to == found[-1].calls[-1].ended


def test_a_search_with_an_age_ends_where_nothing_is_young_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "STEP", 1)
    seeds.seed(HOME)

    found = searched("since:1m", before=10)

    assert len(found[-1].calls) == 7
    assert len(found) < 10


def test_a_stopped_search_says_nothing_more() -> None:
    seeds.seed(HOME)
    said: list[Found] = []
    one = Search(HOME / "ledger.db", "x", before=9, now=0.0, fields_of=fields_of, emit=said.append)

    one.stop()
    one.start()
    one.stop()

    assert said == []


async def test_the_filter_finds_calls_that_are_no_longer_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (reader, searches):
        monkeypatch.setattr(module, "RING", 3)
    seeds.seed(HOME)

    async with watched() as (app, pilot):
        while len(app.store.finished) > 3:
            app.store.finished.pop()
        app.go("", filter_text="provider:anthropic")
        await until(pilot, lambda: "searched back to 12:3" in screen_text(app))

        assert [call.call_id for call in app.store.older] == ["01K9X101", "01K9X100"]
        assert "01K9X100" in "".join(
            key
            for key in app.screen.query_one("Table").keys  # pyright: ignore
        )
        await pilot.press("escape")
        assert app.store.older == ()
