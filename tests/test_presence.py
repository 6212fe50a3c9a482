"""What a server shows of itself in the ledger, whether or not anybody calls."""

from pathlib import Path

import anyio
from seats import budget, scripted, seated, served
from upstream import spoken, upstream

from roundhouse_mcp.server import controls, presence


async def test_a_server_shows_itself_and_its_budgets_before_any_call(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one"), budget("2.50", period="day")) as seat:
        with anyio.fail_after(20):
            while not (await seat.said("cost_report"))["budgets"]:
                pass

        assert seat.rows("SELECT budget, limit_nano, spent_nano FROM budget_windows") == [
            {"budget": "global/day", "limit_nano": 2_500_000_000, "spent_nano": 0}
        ]
        assert len(seat.rows("SELECT * FROM servers WHERE ended IS NULL")) == 1


async def test_a_call_refused_when_it_was_planned_shows_among_the_budgets_events(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, scripted("one"), budget("0.000001")) as seat:
        await seat.refused("complete", prompt="Hi", model="one/m", max_tokens=4000)

        events = seat.rows("SELECT budget, kind, amount_nano FROM budget_events")

    assert [(e["budget"], e["kind"]) for e in events] == [("global/total", "refused")]
    assert events[0]["amount_nano"] > 1_000


async def test_the_client_is_named_by_what_it_calls_itself(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one")) as seat:
        await seat.said("complete", prompt="Hi", model="one/m")

        shown = seat.rows("SELECT client, client_version FROM servers")
        calls = seat.rows("SELECT client FROM calls")

    assert shown[0]["client"] == calls[0]["client"] == "mcp"
    assert shown[0]["client_version"]


async def test_progress_carries_no_control_characters(tmp_path: Path) -> None:
    words = "a%20%1b]0;owned%07%20b%20" * 20
    heard: list[str] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with seated(tmp_path, scripted("one", f"text={words}&delay_ms=30")) as seat:
        await seat.client.call_tool(
            "complete", {"prompt": "Hi", "model": "one/m"}, progress_callback=report
        )

    assert any("owned" in message for message in heard)
    assert all(message.isprintable() for message in heard)


async def test_an_answer_from_another_model_than_the_one_asked_for_is_pointed_out(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, scripted("one", "model=tiny")) as seat:
        said = await seat.said("complete", prompt="Hi", model="one/m")

    assert said["warnings"] == ["asked for m, answered by tiny"]


async def test_a_finished_call_keeps_its_answer_and_forgets_what_was_asked(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=Kept")) as seat:
        said = await seat.said("complete", prompt="Forget me", model="one/m")
        await seat.said("embed", texts=["Forget me too"], model="one/m")
        kept = list(seat.desk.calls.shelf.runs.values())
        again = await seat.said("complete", call_id=said["call_id"])

    assert [run.call_id for run in kept] == [said["call_id"]]
    assert "Forget me" not in repr(kept[0].asked)
    assert again["text"] == "Kept"


async def test_a_ledger_that_fails_during_a_call_takes_neither_call_nor_server_along(
    tmp_path: Path,
) -> None:
    said, pause = anyio.Event(), anyio.Event()
    async with (
        upstream(spoken("So far ", "good.", said=said, pause=pause)) as server,
        seated(tmp_path, served("one", server.url)) as seat,
    ):
        answers: list[str] = []

        async def call() -> None:
            answers.append((await seat.said("complete", prompt="Hi"))["text"])

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await said.wait()
            (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
            (tmp_path / "ledger.db").mkdir()
            for task in (presence.show_progress, controls.attend):
                with anyio.move_on_after(1):
                    await task(seat.desk)
            (tmp_path / "ledger.db").rmdir()
            (tmp_path / "gone.db").rename(tmp_path / "ledger.db")
            pause.set()

    assert answers == ["So far good."]
