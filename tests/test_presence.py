"""What a server shows of itself in the ledger, whether or not anybody calls."""

from pathlib import Path

import anyio
from seats import budget, scripted, seated


async def test_a_server_shows_itself_and_its_budgets_before_any_call(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one"), budget("2.50", period="day")) as seat:
        with anyio.fail_after(5):
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
