"""Budgets and Circuits over real servers: what fills their cells, and what their actions do."""

import json
import os
import signal
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from screens import screen_text, shown, until
from seats import Seat, budget, chain, rows, scripted, settled, started, write_config
from textual.pilot import Pilot
from textual.widgets import Input

from roundhouse_mcp.tui import breakers, budget_forms, circuit, spending
from roundhouse_mcp.tui.acting import Request
from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.budget import MONEY, WEEK, Money, detail_lines
from roundhouse_mcp.tui.holders import HOLDERS, Holders
from roundhouse_mcp.tui.questions import open_ones, question_row
from roundhouse_mcp.tui.reader import Reader
from roundhouse_mcp.tui.rows import Look, Row
from roundhouse_mcp.tui.store import Store
from roundhouse_mcp.tui.table import Table

DEAR = ("1000", "1000")
CONFIG = (
    chain("good", "bad", "slow", "asks"),
    scripted("good", "text=fine", price=DEAR),
    scripted("bad", "status=503"),
    scripted("slow", "hang=1", price=DEAR),
    scripted("asks", "text=dear", price=DEAR),
    budget("100", period="day") + "warn_at = 0.0001\n",
    budget("0.01", scope="provider:asks") + 'at_limit = "ask"\n',
    "[retries]\nper_provider = 5\nper_call = 5\nbase_delay_ms = 0\n",
)
BLANK = {"", "0", "0.00", "never", "—", "?"}


def home_of(tmp_path: Path, *config: str) -> Path:
    home = tmp_path / "home"
    write_config(home, *config)
    return home


def cells(row: Row, columns: tuple[spending.Column, ...]) -> Mapping[str, str]:
    return dict(zip((column.key for column in columns), row.cells, strict=True))


class Watcher:
    """A reader beside the servers, with what both views read."""

    def __init__(self, home: Path) -> None:
        self.reader = Reader(home)
        self.reader.wanted = {"money": MONEY, "week": WEEK, "holders": HOLDERS}
        self.store = Store()

    def look(self) -> Look:
        if batch := self.reader.poll():
            self.store.apply(batch)
        return Look(time.time())

    def extra(self, name: str) -> Any:
        return self.store.snapshot.extra[name]


async def call(seat: Seat, answers: list[str], model: str) -> None:
    answers.append((await seat.said("complete", prompt="Hi", model=model, max_tokens=1000))["text"])


@asynccontextmanager
async def watched(home: Path) -> AsyncGenerator[tuple[WatchApp, Pilot[None]]]:
    app = WatchApp(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.store.changes > 0)
        yield app, pilot


async def said(app: WatchApp, pilot: Pilot[None], words: str) -> None:
    await until(pilot, lambda: words in screen_text(app))


async def pointed(app: WatchApp, pilot: Pilot[None], key: str) -> None:
    table = app.screen.query_one(Table)
    await until(pilot, lambda: key in table.keys)
    while table.cursor_key != key:
        await pilot.press("j")


async def test_a_server_run_fills_every_cell_and_an_approval_lets_its_call_go_on(
    tmp_path: Path,
) -> None:
    home, answers = home_of(tmp_path, *CONFIG), list[str]()
    with anyio.fail_after(40):
        async with started(home) as seat, anyio.create_task_group() as group:
            await seat.said("complete", prompt="Hi", model="good/m", max_tokens=1000)
            await seat.refused("complete", prompt="Hi", model="bad/m")
            group.start_soon(call, seat, answers, "slow/m")
            group.start_soon(call, seat, answers, "asks/m")
            await settled(home, "SELECT 1 FROM approvals")
            await settled(home, "SELECT 1 FROM reservations WHERE provider = 'slow'")
            watcher = Watcher(home)
            budgets_are_filled(watcher, seat)
            circuits_are_filled(watcher)

            async with watched(home) as (app, pilot):
                await shown(app, pilot, "2")
                await pilot.press("A")
                await pilot.pause()
                await pilot.press("y")
                await until(pilot, lambda: answers == ["dear"])
            group.cancel_scope.cancel()
    (state,) = rows(home, "SELECT state, by FROM approvals")

    assert state["state"] == "approved"
    assert state["by"]


def budgets_are_filled(watcher: Watcher, seat: Seat) -> None:
    look = watcher.look()
    store, money, holders = watcher.store, watcher.extra("money"), watcher.extra("holders")
    assert isinstance(money, Money)
    assert isinstance(holders, Holders)
    known = {one.budget: one for one in store.snapshot.spendings}
    day = known["global/day"]
    seen = spending.forecast(day, store.snapshot.totals, look.now)
    told = cells(spending.spending_row(day, seen, spending.WIDE, look), spending.WIDE)
    lines = "\n".join(
        detail_lines(day, store.snapshot, money, watcher.extra("week"), holders, look, 120)
    )
    (server,) = seat.rows("SELECT pid, client FROM servers")
    (asked,) = open_ones(money.questions, look.now)
    question = cells(question_row(asked, spending.WIDE, look), spending.WIDE)

    assert {key for key, cell in told.items() if cell.strip() in BLANK} <= {"pace", "burn"}
    assert told["limited"] == "refuse"
    assert f"{server['client']} pid {server['pid']}" in lines
    assert "held by " in lines
    assert "█ at most " in lines
    assert "slow/m" in lines
    assert "warned at" in lines
    assert question["bar"] == "over provider:asks/total"
    assert question["out"].startswith("waits ")
    assert known["provider:asks/total"].at_limit == "ask"


def circuits_are_filled(watcher: Watcher) -> None:
    look = watcher.look()
    found = {one.name: one for one in breakers.circuits(watcher.store, look, {"new": ()})}
    told = {
        name: cells(breakers.circuit_row(one, breakers.WIDE, look), breakers.WIDE)
        for name, one in found.items()
    }
    lines = circuit.detail_lines(found["bad/m"], watcher.store, watcher.extra("holders"), look, 120)
    (pid,) = (one.pid for one in watcher.store.snapshot.servers)

    assert told["bad/m"]["state"] == "⊘ OPEN"
    assert told["bad/m"]["evidence"].startswith("5 of 5 failed · ")
    assert told["bad/m"]["next"].startswith("probe in ")
    assert (told["good/m"]["state"], told["good/m"]["ok"]) != ("● closed", "never")
    assert told["good/m"]["evidence"] == "0 of 1 calls failed, 24 h"
    assert told["new/*"]["state"] == "? no data"
    assert any(line.startswith("open ") and "a call tests it from" in line for line in lines)
    assert any("closed → open" in line and f"pid {pid}" in line for line in lines)


async def test_two_interfaces_order_at_once_and_each_ends_done(tmp_path: Path) -> None:
    both = (chain("one", "two"), scripted("one", "text=1"), scripted("two", "text=2"))
    home = home_of(tmp_path, *both)
    with anyio.fail_after(40):
        async with started(home) as seat:
            await seat.said("complete", prompt="Hi")
            async with watched(home) as (first, one), watched(home) as (second, two):
                await shown(first, one, "3")
                await shown(second, two, "3")
                await pointed(first, one, "one/m")
                await one.press("t")
                await two.press("n")
                await two.pause()
                for name, value in (("name", "two"), ("note", "moving")):
                    second.screen.query_one(f"#field-{name}", Input).value = value
                await one.press("y")
                await two.press("ctrl+s")
                await said(first, one, "done: one/m was tripped by hand")
                await said(second, two, "done: two is on hold (manual): moving")
                await until(one, lambda: "held by tui: moving" in screen_text(first))
                route = await seat.said("route_for_task")
                await one.press("p")
                await one.pause()
                await one.press("y")
                await said(first, one, "one/m waits no longer; the next call tests it")
                answered = await seat.said("complete", prompt="Hi")
                await until(one, lambda: first.store.snapshot.breakers[0].state == "closed")

            wrong = budget_forms.saved(
                home, "global", "day", {"limit": "0", "warn_at": "0.8", "at_limit": "refuse"}
            )
            refused = await seat.refused("complete", prompt="Hi")

    out = {one["provider"]: one["reason"] for one in route["excluded"]}
    assert (out["one"], out["two"]) == ("circuit_open", "hold")
    assert answered["text"] == "1"
    assert wrong == ""
    assert "budget global/day has $0.00 left" in refused


@pytest.mark.skipif(os.name != "posix", reason="stops a process with a signal")
async def test_an_order_to_a_server_that_dies_meanwhile_ends_without_an_answer(
    tmp_path: Path,
) -> None:
    home = home_of(tmp_path, scripted("one"))
    argument = json.dumps({"provider": "one"})
    ends = list[str]()

    async def order() -> None:
        request = Request(home, kind="circuit.trip", argument=argument)
        ends.append((await anyio.to_thread.run_sync(request.carried_out, 0.5)).state)

    with anyio.fail_after(20):
        async with started(home) as seat:
            await seat.said("complete", prompt="Hi", model="one/m")
            (server,) = seat.rows("SELECT pid FROM servers")
            os.kill(server["pid"], signal.SIGSTOP)
            async with anyio.create_task_group() as group:
                group.start_soon(order)
                await settled(home, "SELECT 1 FROM control")
                os.kill(server["pid"], signal.SIGKILL)
            await order()

    assert ends == ["no answer", "no answer"]
