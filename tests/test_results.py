"""Each half of a result is complete alone; an error is short text, its sentence first."""

from dataclasses import replace

from mcp.types import TextContent

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.types import ToolCall, Usage
from roundhouse_mcp.server import results
from roundhouse_mcp.server.answers import limits_for
from roundhouse_mcp.server.candidates import Offer
from roundhouse_mcp.server.errors import BadRequest
from roundhouse_mcp.server.outcomes import Attempted, Failed, Outcome

OUTCOME = Outcome(
    call_id="01CALL",
    text="Paris",
    finish_reason="stop",
    provider="openai",
    model="gpt-5",
    usage=Usage(input=12, output=3, cached=4),
    cost_nano=1_250_000,
    cost_kind="actual",
)


def attempt(n: int, outcome: str = "ok", detail: str = "") -> Attempted:
    return Attempted(n=n, provider="openai", model="gpt-5", outcome=outcome, ms=40, detail=detail)


def texts(result: results.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, TextContent)]


def test_a_concise_completion_says_the_seven_things_in_both_halves() -> None:
    result = results.completed(OUTCOME, full=False)

    assert result.structured_content == {
        "text": "Paris",
        "finish_reason": "stop",
        "model": "gpt-5",
        "provider": "openai",
        "usage": {"input": 12, "output": 3, "cached": 4},
        "cost_usd": 0.00125,
        "call_id": "01CALL",
    }
    answer, caption = texts(result)
    assert answer == "Paris"
    for word in ("openai/gpt-5", "stop", "12 in", "3 out", "$0.00125", "01CALL"):
        assert word in caption


def test_an_unknown_price_is_null_and_said_so() -> None:
    outcome = replace(OUTCOME, cost_nano=None, cost_kind="unknown")

    result = results.completed(outcome, full=False)

    assert result.structured_content is not None
    assert result.structured_content["cost_usd"] is None
    assert "cost unknown" in texts(result)[1]


def test_tool_calls_and_warnings_reach_clients_that_show_only_text() -> None:
    call = ToolCall(id="c1", name="lookup", arguments={"q": "x"}, signature="sig")
    outcome = replace(OUTCOME, tool_calls=(call,), warnings=("careful",))

    result = results.completed(outcome, full=False)

    assert result.structured_content is not None
    assert result.structured_content["tool_calls"] == [
        {"id": "c1", "name": "lookup", "arguments": {"q": "x"}, "signature": "sig"}
    ]
    caption = texts(result)[1]
    assert '"lookup"' in caption
    assert '"careful"' in caption


def test_attempts_are_told_when_there_was_more_than_one() -> None:
    one = replace(OUTCOME, attempts=(attempt(1),))
    two = replace(OUTCOME, attempts=(attempt(1, "throttled"), attempt(2)))

    assert "attempts" not in (results.completed(one, full=False).structured_content or {})
    assert "attempts" in (results.completed(two, full=False).structured_content or {})
    assert "attempts" in (results.completed(one, full=True).structured_content or {})


def test_an_error_puts_its_sentence_first_and_says_that_nothing_was_sent() -> None:
    text = results.error_text(BadRequest("the prompt is empty", next_step="Say something."))

    assert text.splitlines()[0] == "The prompt is empty. Say something."
    assert "code: bad_request" in text
    assert "retryable: false" in text
    assert "Nothing was sent, no cost." in text


def test_an_error_stays_under_a_kilobyte_whatever_the_provider_said() -> None:
    failed = Failed(
        "x" * 5_000,
        call_id="01CALL",
        attempts=tuple(attempt(n, "faulted", "é" * 500) for n in range(1, 9)),
        raw="<html>" * 1000,
        nothing_sent=False,
    )

    assert len(results.error_text(failed).encode()) <= 1024
    assert "provider's own answer" not in results.error_text(failed)


def test_the_providers_own_answer_is_added_only_when_asked_for() -> None:
    failed = Failed(
        "it failed", call_id="01CALL", attempts=(attempt(1, "faulted"),), raw='{"error": "boom"}'
    )

    assert "boom" not in results.error_text(failed)
    assert "boom" in results.error_text(failed, raw=True)


def test_a_model_that_reasons_may_think_in_silence_for_longer() -> None:
    row = shipped()["openai"]
    idle = [
        limits_for(Offer(provider=row, model=model, facts=row.facts(model)), 9.0).idle_s
        for model in ("gpt-5.5", "gpt-4o")
    ]

    assert idle == [120.0, 30.0]
