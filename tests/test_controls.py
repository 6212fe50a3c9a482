"""Requests from outside: circuits by hand and calls to be cancelled, in every running server."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from seats import (
    Inside,
    Seat,
    chain,
    launch,
    rows,
    scripted,
    seated,
    served,
    settled,
    started,
    write_config,
)
from upstream import spoken, upstream

from roundhouse_mcp.server.ledger import control_rows

WORKER = Path(__file__).with_name("ledger_worker.py")
BOTH = (chain("first", "second"), scripted("first", "text=1"), scripted("second", "text=2"))
CONTROLS = "SELECT taken_by, done, result FROM control WHERE done IS NOT NULL"


async def asked(
    seat: Inside, kind: str, argument: str | dict[str, Any], *, target: str = control_rows.ANY
) -> dict[str, Any]:
    """The answer to a request in the ledger."""
    text = argument if isinstance(argument, str) else json.dumps(argument)
    number = await seat.desk.ledger.write(
        control_rows.ask, by="tui", kind=kind, argument=text, target=target, now=seat.desk.clock()
    )
    with anyio.fail_after(20):
        return json.loads((await done(seat.home, number))["result"])


async def done(home: Path, number: int) -> dict[str, Any]:
    return (await settled(home, f"{CONTROLS} AND id = ?", number))[0]


async def circuit(home: Path, *arguments: str) -> tuple[int, str]:
    """Status and words of `roundhouse circuit`, as a process of its own."""
    how = launch(home)
    command = [how.command, "-m", "roundhouse_mcp.server", "circuit", *arguments]
    finished = await anyio.run_process(command, env=how.env, check=False, stderr=PIPE)
    return finished.returncode, (finished.stdout + finished.stderr).decode()


async def left_out(seat: Seat) -> dict[str, dict[str, Any]]:
    route = await seat.said("route_for_task")
    return {each["provider"]: each for each in route["excluded"]}


async def test_a_circuit_is_steered_by_a_request_in_the_ledger(tmp_path: Path) -> None:
    async with seated(tmp_path, *BOTH) as seat:
        said = await asked(seat, "circuit.trip", {"provider": "first", "model": "m"})
        out = await left_out(seat)
        reset = await asked(seat, "circuit.reset", {"provider": "first"})
        events = seat.rows("SELECT to_state, by FROM circuit_events ORDER BY id")

        assert said["ok"]
        assert said["server"] == seat.desk.server_id
    assert said["said"].startswith("first/m was tripped by hand; calls pass it by until ")
    assert out["first"]["reason"] == "circuit_open"
    assert out["first"]["until"].endswith("+00:00")
    assert reset["said"] == "first is reset; calls may use it"
    assert events == [{"to_state": "open", "by": "tui"}, {"to_state": "closed", "by": "tui"}]


async def test_a_hold_keeps_calls_away_until_it_is_lifted(tmp_path: Path) -> None:
    async with seated(tmp_path, *BOTH) as seat:
        until = seat.desk.clock() + 600
        await asked(seat, "circuit.hold", {"provider": "first", "until": until})
        held = await left_out(seat)
        answered = await seat.said("complete", prompt="Hi")
        await asked(seat, "circuit.unhold", {"provider": "first"})
        lifted = await left_out(seat)

    assert held["first"]["reason"] == "hold"
    assert held["first"]["until"] is not None
    assert answered["text"] == "2"
    assert "first" not in lifted


@pytest.mark.parametrize(
    ("kind", "argument", "code", "words"),
    [
        ("circuit.trip", {"provider": "frist"}, "not_found", "Did you mean 'first'?"),
        ("circuit.trip", {"provider": "first", "model": "x"}, "not_found", "Known: m."),
        ("circuit.burn", {"provider": "first"}, "bad_request", "cannot be told to 'burn'"),
        ("circuit.trip", "[", "bad_request", "is a JSON object"),
        ("circuit.trip", "[" * 100_000, "bad_request", "is a JSON object"),
        ("circuit.trip", '{"provider": "first", "model": "\\ud800"}', "bad_request", "no model's"),
        ("reload", {}, "bad_request", "takes no request 'reload'"),
        ("cancel", {}, "bad_request", "named by its call_id"),
        ("cancel", {"call_id": "01X"}, "not_found", "No call '01X' runs here."),
    ],
)
async def test_a_request_that_cannot_be_done_is_answered_with_the_reason(
    tmp_path: Path, kind: str, argument: str | dict[str, Any], code: str, words: str
) -> None:
    async with seated(tmp_path, *BOTH) as seat:
        said = await asked(seat, kind, argument)

    assert (said["ok"], said["code"]) == (False, code)
    assert words in said["said"]


async def test_a_call_is_cancelled_in_the_server_it_runs_in(tmp_path: Path) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        write_config(tmp_path, served("one", server.url))
        with anyio.fail_after(20):
            async with started(tmp_path) as busy, seated(tmp_path, served("one", server.url)) as me:
                refused: list[str] = []
                answers: list[dict[str, Any]] = []

                async def cancel() -> None:
                    await said.wait()
                    (running,) = await settled(tmp_path, "SELECT * FROM inflight")
                    call_id = running["call_id"]
                    target = await me.desk.ledger.read(control_rows.server_of, call_id)
                    assert target is not None
                    assert target == running["server"] != me.desk.server_id
                    answers.append(await asked(me, "cancel", {"call_id": call_id}, target=target))

                async with anyio.create_task_group() as group:
                    group.start_soon(cancel)
                    refused.append(await busy.refused("complete", prompt="Hi"))
                await server.gone.wait()
    (call,) = rows(tmp_path, "SELECT call_id, server, status FROM calls")

    assert call["status"] == "cancelled"
    assert answers[0]["said"] == f"Call {call['call_id']} is cancelled."
    assert answers[0]["server"] == call["server"]
    assert refused[0].startswith("The call was cancelled.")


# Processes.


async def test_a_trip_by_command_reaches_every_server_within_a_second(tmp_path: Path) -> None:
    write_config(tmp_path, *BOTH)
    with anyio.fail_after(40):
        async with started(tmp_path) as one, started(tmp_path) as two:
            for seat in (one, two):
                await seat.said("complete", prompt="Hi")
            tripped = await circuit(tmp_path, "trip", "first/m")
            out = [await left_out(seat) for seat in (one, two)]
            texts = [(await seat.said("complete", prompt="Hi"))["text"] for seat in (one, two)]
            reset = await circuit(tmp_path, "reset", "first")
            after = [(await seat.said("complete", prompt="Hi"))["text"] for seat in (one, two)]
    (row,) = rows(tmp_path, "SELECT * FROM control WHERE kind = 'circuit.trip'")

    assert tripped[0] == reset[0] == 0
    assert tripped[1].startswith("first/m was tripped by hand; calls pass it by until ")
    assert f"(server {row['taken_by'][-6:]})" in tripped[1]
    assert row["done"] - row["created"] < 1.0
    assert [each["first"]["reason"] for each in out] == ["circuit_open"] * 2
    assert all(each["first"]["until"] for each in out)
    assert (texts, after) == (["2", "2"], ["1", "1"])
    events = rows(tmp_path, "SELECT to_state, by FROM circuit_events")
    assert events == [{"to_state": "open", "by": "cli"}, {"to_state": "closed", "by": "cli"}]


async def test_a_command_does_it_itself_where_no_server_runs(tmp_path: Path) -> None:
    write_config(tmp_path, *BOTH)
    with anyio.fail_after(20):
        held = await circuit(tmp_path, "hold", "first", "--for", "10m")

    assert held[0] == 0
    assert held[1].startswith("first is on hold (manual): set by hand; calls pass it by until ")
    assert "server" not in held[1]
    assert rows(tmp_path, "SELECT COUNT(*) AS n FROM control") == [{"n": 0}]


@asynccontextmanager
async def taker(home: Path, what: str) -> AsyncGenerator[Process]:
    """A server that takes requests once it is told to go, and carries none out."""
    how = launch(home)
    line = [sys.executable, str(WORKER), "take", str(home), what]
    async with await anyio.open_process(line, env=how.env, stderr=None) as running:
        try:
            assert running.stdout is not None
            assert await running.stdout.receive() == b"ready\n"
            yield running
        finally:
            if running.returncode is None:
                running.kill()


async def test_a_request_taken_by_a_killed_server_is_done_by_another(tmp_path: Path) -> None:
    write_config(tmp_path, *BOTH)
    with anyio.fail_after(40):
        async with taker(tmp_path, "ask") as other:
            assert other.stdin is not None
            assert other.stdout is not None
            await other.stdin.send(b"go\n")
            number = int(await other.stdout.receive())
            async with started(tmp_path) as seat:
                await seat.said("complete", prompt="Hi")
                before = rows(tmp_path, "SELECT taken_by, done FROM control")
                other.kill()
                await other.wait()
                row = await done(tmp_path, number)
                out = await left_out(seat)

    assert before == [{"taken_by": "taker", "done": None}]
    assert row["taken_by"] != "taker"
    assert json.loads(row["result"])["ok"]
    assert out["first"]["reason"] == "circuit_open"


async def test_a_command_nobody_answers_does_it_itself_once(tmp_path: Path) -> None:
    write_config(tmp_path, *BOTH)
    with anyio.fail_after(20):
        async with taker(tmp_path, "ignore"):
            said = await circuit(tmp_path, "trip", "first")
    (row,) = rows(tmp_path, "SELECT taken_by, result FROM control")

    assert said[0] == 0
    assert (row["taken_by"], json.loads(row["result"])["changed"]) == ("cli", 1)
    assert len(rows(tmp_path, "SELECT * FROM circuit_events")) == 1


async def test_a_command_says_so_when_a_server_is_still_at_it(tmp_path: Path) -> None:
    write_config(tmp_path, *BOTH)
    with anyio.fail_after(20):
        async with taker(tmp_path, "keep") as other:
            assert other.stdin is not None
            await other.stdin.send(b"go\n")
            said = await circuit(tmp_path, "trip", "first")

    assert said[0] == 1
    assert "Server taker has taken the request and has not answered yet" in said[1]
    assert rows(tmp_path, "SELECT * FROM circuit_events") == []
