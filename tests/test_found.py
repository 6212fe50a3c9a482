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


async def test_what_is_guessed_of_a_broken_answer_is_never_more_than_was_held(
    tmp_path: Path,
) -> None:
    """A tokenizer may make one token of a word that we take for four."""

    async def breaks_off(request: Request, send: Send) -> None:
        await send(head(200, {"content-type": "text/event-stream", "content-length": "100000"}))
        await send(event({"content": "internationalisation " * 20}))

    async with upstream(breaks_off) as server:
        config = (served("one", server.url, price=("0", "1000")), budget("1"))
        async with seated(tmp_path, *config) as seat:
            await seat.refused("complete", prompt="Hi", max_tokens=20)
            attempt = seat.rows("SELECT cost_nano, reserved_nano, cost_kind FROM attempts")[0]
            events = seat.rows("SELECT kind FROM budget_events WHERE kind = 'overrun'")

    assert attempt["cost_kind"] == "presumed"
    assert attempt["cost_nano"] == attempt["reserved_nano"]
    assert events == []


async def test_a_clock_that_steps_back_makes_no_model_faster_than_nothing(tmp_path: Path) -> None:
    stepped = [0.0]

    async def steps(request: Request, send: Send) -> None:
        stepped[0] -= 3600.0
        await send(head(200, {"content-type": "text/event-stream"}))
        await send(event({"content": "Some words "}))
        await anyio.sleep(0.01)
        stepped[0] -= 3600.0
        await send(event({"content": "more"}, "stop") + b"data: [DONE]\n\n")

    async with upstream(steps) as server, seated(tmp_path, served("one", server.url)) as seat:
        clock = seat.desk.clock
        seat.desk.clock = lambda: clock() + stepped[0]
        said = await seat.said("complete", prompt="Hi", detail="full")
        speed = seat.rows("SELECT first_ms, token_ms FROM speeds")[0]

    assert 0 <= speed["first_ms"] < 60_000
    assert 0 <= speed["token_ms"] < 60_000
    assert 0 <= said["attempts"][0]["ms"] < 60_000
