"""Every cell of the Live view is filled by a server that really makes the call."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from screens import HOME, screen_text, until
from seats import Inside, budget, chain, seated, served
from textual.pilot import Pilot
from upstream import answer, silence, spoken, upstream

from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.table import Table

WORDS = "one two three four five six seven eight nine ten " * 4


@dataclass(frozen=True, slots=True)
class Watch:
    """The app at a server in this process, and calls that run meanwhile."""

    app: WatchApp
    pilot: Pilot[None]
    seat: Inside
    group: TaskGroup

    def call(self, **arguments: Any) -> None:
        self.group.start_soon(partial(self.seat.call, "complete", prompt="Hi", **arguments))

    def cells(self, **wanted: str) -> dict[str, str]:
        """The cells of the first row that has these; empty when there is none."""
        table = self.app.screen.query_one(Table)
        names = [column.key for column in table.columns]
        for index in range(len(table.keys)):
            row = table.row_at(index)
            cells = dict(zip(names, row.cells, strict=False)) | {"key": row.key}
            if all(value in cells.get(name, "") for name, value in wanted.items()):
                return cells
        return {}

    async def row(self, enough: Callable[[dict[str, str]], bool], **wanted: str) -> dict[str, str]:
        await until(self.pilot, lambda: enough(self.cells(**wanted)))
        return self.cells(**wanted)

    async def told(self, key: str, *words: str) -> str:
        """The screen with the detail of this row open, once it holds these words."""
        table = self.app.screen.query_one(Table)
        table.move(table.keys.index(key) - table.cursor)
        self.app.screen.add_class("detailed")
        await until(self.pilot, lambda: all(word in screen_text(self.app) for word in words))
        return screen_text(self.app)


@asynccontextmanager
async def watch(*config: str, size: tuple[int, int] = (120, 40)) -> AsyncGenerator[Watch]:
    app = WatchApp(HOME)
    async with seated(HOME, *config) as seat, anyio.create_task_group() as group:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.store.servers_alive(app.clock()) > 0)
            yield Watch(app, pilot, seat, group)
        group.cancel_scope.cancel()


async def test_a_call_fills_every_cell_and_every_line_as_it_runs_and_when_it_ended() -> None:
    go = anyio.Event()
    refusal = '{"error": {"message": "no room"}}'
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(
            upstream(answer(refusal, status=500, x_request_id="req_1"))
        )
        good = await stack.enter_async_context(upstream(spoken(WORDS, "end", pause=go)))
        live = await stack.enter_async_context(
            watch(
                *("[retries]\nper_provider = 1\n", chain("bad", "good"), budget("5")),
                *(served("bad", bad.url), served("good", good.url)),
            )
        )
        live.call(task="code")
        running = await live.row(lambda c: c.get("speed", "—") != "—", state="stream")
        during = await live.told(running["key"], "2 good/m", "in global/total")
        go.set()
        ended = await live.row(bool, state="ok")
        after = await live.told(ended["key"], "REQUEST", "→ ✓")
        await live.seat.desk.ledger.write(corrected, ended["key"])
        later = await live.row(lambda c: c["cost"] != ended["cost"], state="ok")
        corrections = await live.told(ended["key"], "LATER", "*")

    assert running["state"] == "▶ stream"
    assert running["start"].count(":") == 2
    assert float(running["dur"].removesuffix("s")) > 0
    assert (running["client"], running["task"], running["strategy"]) == ("mcp", "code", "priority")
    assert (running["route"], running["n"]) == ("good/m ← bad✗500", "2")
    assert int(running["in"]) > 0
    assert int(running["out"]) > 30
    assert float(running["speed"].replace(",", "")) > 0
    assert running["cost"].startswith("~0.0")
    for words in (
        "→ ✗500",
        "▶ stream",
        "TOKENS  in ~",
        "BUDGET  reserved ~0.0",
        "attempt 1: no room",
    ):
        assert words in during
    assert ended["state"] == "✓ ok"
    assert (ended["client"], ended["task"], ended["strategy"]) == ("mcp", "code", "priority")
    assert (ended["route"], ended["n"]) == ("good/m ← bad✗500", "2")
    assert (ended["in"], ended["out"], ended["cost"]) == ("7", "5", "<0.0001")
    assert float(ended["speed"].replace(",", "")) > 0
    for words in (
        f"call {ended['key']} · complete · code · priority · mcp pid ",
        *("1 bad/m: priority ", "→ ✗500", "✗ key missing: ", "✗ 500 faulted", "✓ ok 5 out"),
        *("TOKENS  in 7 (cached", "first token after", "COST    <0.0001 · reserved 0."),
        *("REQUEST 1 req_1", "ERROR   attempt 1: no room", "PROMPT not stored"),
    ):
        assert words in after
    assert later["cost"] == "0.5000"
    assert "COST    0.5000, corrected (was <0.0001)" in corrections
    assert "LATER   attempt 2 +0.5000, the bill says so (by me," in corrections
    assert "0.5000*" in corrections


async def test_calls_that_wait_say_for_what() -> None:
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(upstream(silence))
        busy = await stack.enter_async_context(upstream(answer("{}", status=503, retry_after="5")))
        live = await stack.enter_async_context(
            watch(served("mute", mute.url, more="concurrency = 1\n"), served("busy", busy.url))
        )
        live.call(model="mute/m", task="code")
        waits = await live.row(bool, state="wait")
        live.call(model="mute/m", task="quick")
        queued = await live.row(bool, state="queue")
        live.call(model="busy/m", task="testing")
        again = await live.row(bool, state="retry")
        text = await live.told(again["key"], "again", "reserved 0 until", "1 busy/m")

    assert (waits["task"], waits["route"], waits["n"]) == ("code", "mute/m", "1")
    assert (queued["task"], queued["route"], queued["n"]) == ("quick", "mute/m", "0")
    assert (queued["cost"], waits["cost"][0]) == ("0", "~")
    assert "✗503, again in" in again["route"]
    assert again["cost"] == "0"
    assert "✗ 503" in text
    assert "↻ in " in text


def corrected(db: Any, call_id: str) -> None:
    from roundhouse_mcp.server.ledger.adjustments import Correction, correct

    correct(
        db,
        Correction(
            call_id=call_id,
            attempt=2,
            cost_nano=500_000_000,
            why="the bill says so",
            by="me",
            now=0.0,
        ),
    )
