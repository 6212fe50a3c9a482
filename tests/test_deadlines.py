"""Time: deadlines, hand-backs, hung providers, cancellation. Real loopback HTTP, no clocks."""

import itertools
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Era, Inside, budget, chain, scripted, seated, served, settled
from upstream import Request, Send, answer, event, head, in_turn, silence, spoken, upstream

from roundhouse_mcp.server import books, telling
from roundhouse_mcp.server import desk as desks
from roundhouse_mcp.server.errors import LedgerUnavailable
from roundhouse_mcp.server.ledger.store import Ledger

LONG = "A long answer that goes on."


async def nothing_is_left(seat: Inside) -> bool:
    held = seat.rows("SELECT * FROM reservations WHERE state = 'held'")
    reserved = seat.rows("SELECT * FROM budget_windows WHERE reserved_nano != 0")
    return held == reserved == seat.rows("SELECT * FROM inflight") == []


async def cancelled_once(seat: Inside, said: anyio.Event, arguments: dict[str, Any]) -> None:
    """Makes the call and takes it back when the answer has begun."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(seat.client.call_tool, "complete", arguments)
            await said.wait()
            group.cancel_scope.cancel()


async def finished_calls(seat: Inside) -> list[dict[str, Any]]:
    with anyio.fail_after(20):
        return await settled(seat.home, "SELECT * FROM calls")


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_cancelled_call_hangs_up_upstream_and_settles(tmp_path: Path, era: Era) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        config = (served("one", server.url), budget("10"))
        async with seated(tmp_path, *config, era=era) as seat:
            await cancelled_once(seat, said, {"prompt": "Hi"})
            with anyio.fail_after(20):
                await server.gone.wait()
            call = (await finished_calls(seat))[0]
            attempt = seat.rows("SELECT * FROM attempts")[0]
            left = await nothing_is_left(seat)
            circuits = seat.rows("SELECT * FROM circuits WHERE failures > 0")

    assert (call["status"], call["error_kind"]) == ("cancelled", "cancelled")
    assert attempt["outcome"] == "cancelled"
    assert left
    assert circuits == []


async def test_a_call_cancelled_before_an_answer_began_charges_what_may_have_been_spent(
    tmp_path: Path,
) -> None:
    asked = anyio.Event()

    async def hang(request: Request, send: Send) -> None:
        asked.set()
        await silence(request, send)

    async with (
        upstream(hang) as server,
        seated(tmp_path, served("one", server.url), budget("10")) as seat,
    ):
        await cancelled_once(seat, asked, {"prompt": "Hi"})
        call = (await finished_calls(seat))[0]
        reservation = seat.rows("SELECT state, amount_nano FROM reservations")[0]
        window = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")[0]

    assert (call["status"], call["cost_kind"]) == ("cancelled", "presumed")
    assert reservation["state"] == "presumed"
    assert window == {"spent_nano": reservation["amount_nano"], "reserved_nano": 0}


async def test_at_the_deadline_the_text_so_far_comes_back_and_the_rest_can_be_read(
    tmp_path: Path,
) -> None:
    pause = anyio.Event()
    async with upstream(spoken("A long answer ", "that goes on.", pause=pause)) as server:
        config = (served("one", server.url), budget("10"))
        async with seated(tmp_path, *config) as seat:
            first = await seat.said("complete", prompt="Hi", timeout_s=1)
            running = seat.rows("SELECT call_id FROM inflight")
            pause.set()
            rest = await seat.said("complete", call_id=first["call_id"], offset=len(first["text"]))
            call = seat.rows("SELECT status, finish_reason FROM calls")[0]
            left = await nothing_is_left(seat)

    assert (first["text"], first["finish_reason"]) == ("A long answer ", "timeout")
    assert first["cost_usd"] is None
    assert f"call_id='{first['call_id']}', offset=14" in first["warnings"][0]
    assert running == [{"call_id": first["call_id"]}]
    assert (rest["text"], rest["finish_reason"]) == ("that goes on.", "stop")
    assert first["text"] + rest["text"] == LONG
    assert rest["cost_usd"] is not None
    assert call == {"status": "ok", "finish_reason": "stop"}
    assert left
    assert len(server.posts) == 1


async def test_reading_on_too_early_gives_the_text_so_far_again(tmp_path: Path) -> None:
    pause = anyio.Event()
    async with (
        upstream(spoken("A long answer ", "that goes on.", pause=pause)) as server,
        seated(tmp_path, served("one", server.url)) as seat,
    ):
        first = await seat.said("complete", prompt="Hi", timeout_s=0.8)
        again = await seat.said("complete", call_id=first["call_id"], offset=2, timeout_s=0.1)
        pause.set()
        whole = await seat.said("complete", call_id=first["call_id"])

    assert (again["text"], again["finish_reason"]) == ("long answer ", "timeout")
    assert whole["text"] == LONG


async def test_nothing_answering_at_the_deadline_is_an_error_that_says_so(tmp_path: Path) -> None:
    async with (
        upstream(silence) as server,
        seated(tmp_path, served("one", server.url), budget("10")) as seat,
    ):
        text = await seat.refused("complete", prompt="Hi", timeout_s=0.3)
        with anyio.fail_after(20):
            await server.gone.wait()
        call = (await finished_calls(seat))[0]
        left = await nothing_is_left(seat)

    assert "code: deadline_exceeded" in text
    assert "Nothing was sent" not in text
    assert "one/m" in text
    assert call["status"] == "timeout"
    assert left


async def test_an_embedding_that_does_not_come_in_time_is_an_error_that_says_so(
    tmp_path: Path,
) -> None:
    async with upstream(silence) as server:
        config = served("one", server.url, price=None, more='embedding_model = "m"')
        async with seated(tmp_path, config) as seat:
            text = await seat.refused("embed", texts=["one"], timeout_s=0.3)
            call = (await finished_calls(seat))[0]

    assert "code: deadline_exceeded" in text
    assert (call["tool"], call["status"]) == ("embed", "timeout")


async def test_a_provider_that_hangs_leaves_time_for_the_next(tmp_path: Path) -> None:
    async with upstream(silence) as hung, upstream(spoken("In time.")) as good:
        config = (chain("hung", "good"), served("hung", hung.url), served("good", good.url))
        async with seated(tmp_path, *config) as seat:
            said = await seat.said("complete", prompt="Hi", timeout_s=2)
            with anyio.fail_after(20):
                await hung.gone.wait()

    assert said["text"] == "In time."
    assert [(a["provider"], a["outcome"]) for a in said["attempts"]] == [
        ("hung", "timed_out"),
        ("good", "ok"),
    ]


async def test_an_impatient_caller_opens_nobodys_circuit(tmp_path: Path) -> None:
    async with upstream(silence) as hung:
        config = (served("hung", hung.url), "[circuits]\nfailure_threshold = 1\n")
        async with seated(tmp_path, *config) as seat:
            await seat.refused("complete", prompt="Hi", timeout_s=0.2)
            circuits = seat.rows("SELECT * FROM circuits WHERE state != 'closed'")

    assert circuits == []


async def test_a_stream_that_breaks_is_tried_again_and_texts_are_never_stitched(
    tmp_path: Path,
) -> None:
    async def broken(request: Request, send: Send) -> None:
        await spoken("Half an answer", "")(request, partly(send))

    def partly(send: Send) -> Send:
        async def first_only(data: bytes) -> None:
            if b"DONE" not in data:
                await send(data)

        return first_only

    async with (
        upstream(in_turn(broken, broken, broken)) as bad,
        upstream(spoken("A whole answer.")) as good,
    ):
        config = (chain("bad", "good"), served("bad", bad.url), served("good", good.url))
        async with seated(tmp_path, *config, budget("10")) as seat:
            said = await seat.said("complete", prompt="Hi")
            attempts = seat.rows("SELECT outcome, cost_kind, cost_nano FROM attempts ORDER BY n")
            spent = seat.rows("SELECT spent_nano FROM budget_windows")[0]["spent_nano"]

    assert said["text"] == "A whole answer."
    assert attempts[0]["outcome"] == "interrupted"
    assert attempts[0]["cost_kind"] == "presumed"  # it may have made, and billed, the rest
    assert attempts[0]["cost_nano"] > 0
    assert sum(row["cost_nano"] for row in attempts) == spent


async def test_an_answer_that_breaks_after_part_of_it_was_read_is_not_replaced(
    tmp_path: Path,
) -> None:
    pause = anyio.Event()

    async def broken(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": "text/event-stream"}))
        await send(event({"content": "Part one, "}))
        await pause.wait()

    async with upstream(broken) as bad, upstream(spoken("Another answer.")) as good:
        config = (chain("bad", "good"), served("bad", bad.url), served("good", good.url))
        async with seated(tmp_path, *config, budget("10")) as seat:
            first = await seat.said("complete", prompt="Hi", timeout_s=1)
            pause.set()
            text = await seat.refused("complete", call_id=first["call_id"], offset=10)
            left = await nothing_is_left(seat)

    assert first["text"] == "Part one, "
    assert "bad/m interrupted" in text
    assert good.posts == []
    assert left


async def test_a_call_cancelled_while_it_waits_to_try_again_settles(tmp_path: Path) -> None:
    told = anyio.Event()
    slow_down = answer('{"error":{"message":"slow down"}}', status=429, retry_after="4")

    async def busy(request: Request, send: Send) -> None:
        await slow_down(request, send)
        told.set()

    async with upstream(busy) as server:
        config = (served("one", server.url), budget("10"))
        async with seated(tmp_path, *config) as seat:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    group.start_soon(seat.client.call_tool, "complete", {"prompt": "Hi"})
                    await told.wait()
                    await settled(tmp_path, "SELECT * FROM inflight WHERE phase = 'retry'")
                    group.cancel_scope.cancel()
            call = (await finished_calls(seat))[0]
            left = await nothing_is_left(seat)

    assert (call["status"], call["attempts"], call["cost_nano"]) == ("cancelled", 1, 0)
    assert left


async def test_a_missed_deadline_lists_what_was_tried_until_then(tmp_path: Path) -> None:
    busy = answer('{"error":{"message":"slow down"}}', status=429, retry_after="0.5")
    script = in_turn(busy, silence)
    async with upstream(script) as server, seated(tmp_path, served("one", server.url)) as seat:
        text = await seat.refused("complete", prompt="Hi", timeout_s=1.5)

    first, *facts = text.split("\n")
    assert first.startswith("No model had begun to answer after 1.5 s. Raise timeout_s")
    assert any(fact.startswith("call_id: ") for fact in facts)
    assert any(fact.startswith("cost: $") for fact in facts)
    assert any(fact.startswith("- one/m throttled 429: slow down (") for fact in facts)
    assert any(fact.startswith("- one/m deadline (") for fact in facts)


async def test_a_call_goes_elsewhere_when_too_many_wait_for_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "QUEUE", 0)
    pause = anyio.Event()
    async with upstream(spoken("a ", "b", pause=pause)) as server:
        one = served("one", server.url, more="concurrency = 1")
        config = (chain("one", "two"), one, scripted("two", "text=elsewhere"), budget("10"))
        async with seated(tmp_path, *config) as seat:
            await seat.said("complete", prompt="Hi", timeout_s=0.8)
            other = await seat.said("complete", prompt="Hi")
            refused = await seat.refused("complete", prompt="Hi", model="one/m")
            calls = seat.rows("SELECT status, attempts FROM calls ORDER BY id")
            pause.set()

    assert other["text"] == "elsewhere"
    assert refused.startswith("0 calls already wait for one. Try again later, or name another")
    assert "code: busy" in refused
    assert calls == [{"status": "ok", "attempts": 1}, {"status": "refused", "attempts": 0}]


async def test_many_calls_at_once_never_spend_more_than_the_budget(tmp_path: Path) -> None:
    costs_a_cent = scripted("one", "delay_ms=5&text=a%20b%20c", price=("0", "100"))
    ended: list[bool] = []
    async with seated(tmp_path, costs_a_cent, budget("0.05")) as seat:

        async def ask(n: int) -> None:
            result = await seat.call("complete", prompt=f"{n}", model="one/m", max_tokens=100)
            ended.append(not result.is_error)

        async with anyio.create_task_group() as group:
            for n in range(12):
                group.start_soon(ask, n)
        window = seat.rows("SELECT spent_nano, reserved_nano, limit_nano FROM budget_windows")[0]
        answered = seat.rows("SELECT * FROM calls WHERE status = 'ok'")
        spent = seat.rows("SELECT sum(cost_nano) AS nano FROM attempts")[0]["nano"]

    assert len(ended) == 12
    assert 5 <= ended.count(True) == len(answered)
    assert window["spent_nano"] == spent <= window["limit_nano"]
    assert window["reserved_nano"] == 0


async def test_what_came_before_an_error_inside_a_stream_is_paid_for(tmp_path: Path) -> None:
    async def fails(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": "text/event-stream"}))
        await send(event({"content": "Half of an "}))
        await send(b'data: {"error": {"message": "overloaded", "code": 503}}\n\n')

    async with (
        upstream(fails) as server,
        seated(tmp_path, served("one", server.url), budget("10")) as seat,
    ):
        await seat.refused("complete", prompt="Hi", model="one/m")
        attempts = seat.rows("SELECT cost_kind, cost_nano, output_tokens FROM attempts")
        spent = seat.rows("SELECT spent_nano FROM budget_windows")[0]["spent_nano"]

    assert {row["cost_kind"] for row in attempts} == {"presumed"}
    assert all(row["output_tokens"] > 0 for row in attempts)
    assert sum(row["cost_nano"] for row in attempts) == spent > 0


async def test_waiting_is_told_before_the_first_word(tmp_path: Path) -> None:
    heard: list[str] = []
    pause = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        pause.set()

    async def late(request: Request, send: Send) -> None:
        await pause.wait()
        await spoken("At last.")(request, send)

    async with upstream(late) as server, seated(tmp_path, served("one", server.url)) as seat:
        with anyio.fail_after(20):
            await seat.client.call_tool("complete", {"prompt": "Hi"}, progress_callback=note)

    assert heard[0] == "one/m: waiting for the first word"


async def test_an_answer_outlives_a_ledger_that_fails_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, failed = Ledger.write, list[str]()

    async def fails_once(ledger: Ledger, operation: Any, *arguments: Any) -> Any:
        if operation is books.close_attempt and not failed:
            failed.append("once")
            raise LedgerUnavailable("The ledger is away.")
        return await works(ledger, operation, *arguments)

    monkeypatch.setattr(Ledger, "write", fails_once)
    async with seated(tmp_path, scripted("one", "text=Paid%20for."), budget("10")) as seat:
        said = await seat.said("complete", prompt="Hi")
        await works(seat.desk.ledger, lambda db: None)
        call = seat.rows("SELECT status, cost_nano FROM calls")[0]
        left = await nothing_is_left(seat)

    assert said["text"] == "Paid for."
    assert said["warnings"] == ["the ledger could not be written; what this cost is noted later"]
    assert call["status"] == "ok"
    assert call["cost_nano"] == round(said["cost_usd"] * 1e9)
    assert left


async def test_a_caller_hears_a_heartbeat_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY_S", 0.05)
    monkeypatch.setattr(telling, "HEARTBEAT_S", 0.1)
    heard: list[tuple[float, str]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message or ""))

    async with upstream(silence) as server, seated(tmp_path, served("one", server.url)) as seat:
        arguments = {"prompt": "Hi", "timeout_s": 1}
        await seat.client.call_tool("complete", arguments, progress_callback=note)

    waiting = [words for _, words in heard if words == "one/m: waiting for the first word"]
    assert len(waiting) >= 3
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(heard))


async def test_a_server_that_ends_settles_what_runs(tmp_path: Path) -> None:
    async with upstream(spoken("So far ", "never", pause=anyio.Event())) as server:
        async with seated(tmp_path, served("one", server.url), budget("10")) as seat:
            first = await seat.said("complete", prompt="Hi", timeout_s=0.8)
        ended = seat.rows("SELECT call_id, status FROM calls")
        left = await nothing_is_left(seat)

    assert ended == [{"call_id": first["call_id"], "status": "cancelled"}]
    assert left


async def test_a_scripted_provider_that_hangs_is_left_as_well(tmp_path: Path) -> None:
    config = (chain("hung", "good"), scripted("hung", "hang=1"), scripted("good", "text=Up."))
    async with seated(tmp_path, *config) as seat:
        said = await seat.said("complete", prompt="Hi", timeout_s=2)

    assert said["provider"] == "good"
