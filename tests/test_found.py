"""Faults that the simulation of the whole router found, each as small as it gets."""

from pathlib import Path

import anyio
from seats import budget, scripted, seated, served
from upstream import Request, Send, event, head, upstream

from roundhouse_mcp.providers.types import Call, Message
from roundhouse_mcp.server.asks import Size, Wish
from roundhouse_mcp.server.desk import Client


async def test_the_route_of_a_prompt_counts_what_the_call_counts(tmp_path: Path) -> None:
    """A budget with room for the call lowers its cap by the last token: the same in both."""
    config = (scripted("one", models="m", price=("1", "1")), budget("0.001"))
    prompt, client = "Which way?", Client("tests")
    async with seated(tmp_path, *config) as seat:
        shown = await seat.desk.calls.route(Wish(), Size(prompt=prompt), client)
        call = Call(messages=(Message(role="user", text=prompt),), max_tokens=4096)
        run = seat.desk.calls.start(Wish(), call, client, 5.0)
        await run.done.wait()

    assert run.plan is not None
    caps = [each.max_tokens for each in run.plan.candidates]
    assert [each.max_tokens for each in shown.candidates] == caps
    assert caps[0] < 4096
