"""Each attempt is a client span below the request's own, with its metrics, and says no word of
what was asked or answered."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import RequestParamsMeta
from opentelemetry.trace import SpanKind, StatusCode
from seats import Inside, chain, scripted, seated, served
from traced import Listening, said, traced
from upstream import answer, in_turn, silence, spoken, upstream

from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.server.own_rows import alike

pytestmark = pytest.mark.anyio
SECRET = "canary/0123+456789=abcdefghij"
ONE = scripted("one", "text=All%20is%20well.", more='embedding_model = "finder"')


@pytest.fixture
def told() -> Generator[Listening]:
    with traced() as listening:
        yield listening


async def test_an_attempt_is_a_client_span_below_the_request(
    told: Listening, tmp_path: Path
) -> None:
    async with seated(tmp_path, ONE) as seat:
        done = await seat.said(
            "complete", prompt="Hi", model="one/m", max_tokens=9, temperature=0.5
        )

    (span,), request = told.attempts, told.called("tools/call complete")
    assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
    assert request.context is not None
    assert span.parent == request.context
    assert span.status.status_code is StatusCode.UNSET
    found = said(span)
    assert found["gen_ai.response.time_to_first_chunk"] >= 0
    (row,) = rows_of(seat)
    assert (
        found
        | {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "mock",
            "gen_ai.request.model": "m",
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": row["input_tokens"],
            "gen_ai.usage.output_tokens": row["output_tokens"],
            "roundhouse.call_id": done["call_id"],
            "roundhouse.attempt": 1,
            "roundhouse.outcome": "ok",
            "roundhouse.provider": "one",
            "roundhouse.cost.nano_usd": row["cost_nano"],
            "roundhouse.cost.kind": row["cost_kind"],
        }
        == found
    )
    assert row["cost_nano"] > 0


def rows_of(seat: Inside) -> list[dict[str, Any]]:
    return seat.rows("SELECT * FROM attempts ORDER BY n")


async def test_the_trace_of_the_client_goes_on(told: Listening, tmp_path: Path) -> None:
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    meta: RequestParamsMeta = {"traceparent": f"00-{trace_id}-{parent}-01"}  # type: ignore[typeddict-unknown-key]
    async with seated(tmp_path, ONE) as seat:
        await seat.client.call_tool("complete", {"prompt": "Hi", "model": "one/m"}, meta=meta)

    (span,), request = told.attempts, told.called("tools/call complete")
    assert span.context is not None
    assert request.parent is not None
    assert f"{span.context.trace_id:032x}" == trace_id
    assert span.parent == request.context


async def test_every_attempt_of_a_call_has_its_own_span(told: Listening, tmp_path: Path) -> None:
    failing = in_turn(answer('{"error": {"message": "busy: Hi"}}', status=503), spoken("Well."))
    async with upstream(failing) as server:
        config = (served("far", server.url), served("gone", "http://127.0.0.1:9/v1"))
        async with seated(tmp_path, chain("gone", "far"), *config) as seat:
            await seat.said("complete", prompt="Hi")

    request = told.called("tools/call complete")
    kinds = [row["outcome"] for row in rows_of(seat)]
    assert kinds[-1] == "ok"
    assert [said(span).get("error.type", "ok") for span in told.attempts] == kinds
    assert all(span.parent == request.context for span in told.attempts)
    *failed, last = told.attempts
    assert all(span.status.status_code is StatusCode.ERROR for span in failed)
    assert all(span.status.description is None for span in failed)
    assert said(last)["server.address"] == "127.0.0.1"
    assert said(last)["server.port"] == int(server.url.split(":")[2].split("/")[0])
    assert said(failed[-1])["http.response.status_code"] == 503


async def test_a_cancelled_attempt_says_so(told: Listening, tmp_path: Path) -> None:
    async with upstream(silence) as server, seated(tmp_path, served("one", server.url)) as seat:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: seat.call("complete", prompt="Hi", model="one/m"))
            with anyio.fail_after(5):
                while not server.posts:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            while not told.attempts:
                await anyio.lowlevel.checkpoint()

    (span,) = told.attempts
    assert said(span)["error.type"] == "cancelled"
    assert span.status.status_code is StatusCode.ERROR


async def test_embeddings_have_spans_too(told: Listening, tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        await seat.said("embed", texts=["a", "b"], model="one/finder", dimensions=64)

    (span,) = told.attempts
    assert span.name == "embeddings finder"
    assert said(span)["gen_ai.operation.name"] == "embeddings"
    assert said(span)["gen_ai.embeddings.dimension.count"] == 64
    assert said(span)["gen_ai.usage.input_tokens"] > 0
    assert "gen_ai.usage.output_tokens" not in said(span)


async def test_durations_and_counted_tokens_are_measured(told: Listening, tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("metered", models="counted")) as seat:
        await seat.said("complete", prompt="Hi", model="metered/counted")

    (row,) = rows_of(seat)
    (took,) = of_model("counted", told.points("gen_ai.client.operation.duration"))
    used = of_model("counted", told.points("gen_ai.client.token.usage"))
    assert took.count == 1
    assert 0 < took.sum < 10
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in used} == {
        "input": row["input_tokens"],
        "output": row["output_tokens"],
    }


def of_model(model: str, points: Any) -> list[Any]:
    return [point for point in points if point.attributes["gen_ai.request.model"] == model]


async def test_neither_prompts_nor_answers_nor_keys_are_told(
    told: Listening, tmp_path: Path
) -> None:
    body = json.dumps({"error": {"message": f"bad {SECRET}: Tell me about zebras"}})
    scripts = in_turn(answer(body, status=500, x_request_id=SECRET), spoken("Zebras are striped."))
    async with upstream(scripts) as server:
        config = served("one", server.url, more='api_key = "${THE_KEY}"')
        async with seated(tmp_path, config, environ={"THE_KEY": SECRET}) as seat:
            await seat.said("complete", prompt="Tell me about zebras", system="Be brief, giraffe")

    everything = "".join(span.to_json() for span in told.spans)
    assert len(told.attempts) == 2
    for word in (SECRET, "ebras", "giraffe"):
        assert word not in everything


RECORD = "[telemetry]\nrecord_content = true\n"


async def test_content_is_recorded_only_where_the_user_says_so_and_without_keys(
    told: Listening, tmp_path: Path
) -> None:
    async with upstream(spoken("Striped.")) as server:
        config = served("one", server.url, more='api_key = "${THE_KEY}"')
        async with seated(tmp_path, RECORD, config, environ={"THE_KEY": SECRET}) as seat:
            await seat.said("complete", prompt=f"Zebras? {SECRET}", system="Be brief")

    found = said(told.attempts[0])
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Zebras? [redacted]"}]}
    ]
    assert json.loads(found["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "Be brief"}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Striped."}],
            "finish_reason": "stop",
        }
    ]


async def test_what_must_stay_on_this_machine_is_never_recorded(
    told: Listening, tmp_path: Path
) -> None:
    async with upstream(spoken("Striped.")) as server:
        config = served("one", server.url, more="local = true")
        async with seated(tmp_path, RECORD, config) as seat:
            await seat.said("complete", prompt="Zebras?", privacy="local")

    assert len(told.attempts) == 1
    assert "gen_ai.input.messages" not in said(told.attempts[0])


async def test_a_listener_that_fails_takes_no_call_along(told: Listening, tmp_path: Path) -> None:
    told.broken = True
    async with seated(tmp_path, ONE) as seat:
        done = await seat.said("complete", prompt="Hi", model="one/m")

    assert done["text"] == "All is well."
    assert [row["outcome"] for row in rows_of(seat)] == ["ok"]


QUIETLY = """
import sys
import roundhouse_mcp.server.serve
from roundhouse_mcp.server import calls, telemetry
apart = ("opentelemetry.sdk", "opentelemetry.exp")
loaded = [name for name in sys.modules if name.startswith(apart)]
print(telemetry.tracer.start_span("x").is_recording(), loaded)
"""


def test_nothing_is_collected_or_loaded_unless_the_user_says_so() -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}

    done = subprocess.run(
        [sys.executable, "-c", QUIETLY], capture_output=True, text=True, check=True, env=plain
    )

    assert done.stdout.strip() == "False []"


def test_the_services_the_conventions_know_have_their_names() -> None:
    names = {name: row.otel_name for name, row in shipped().items() if row.otel_name}
    assert names == {
        "gemini": "gcp.gemini",
        "mistral": "mistral_ai",
        "xai": "x_ai",
        "azure": "azure.ai.openai",
        "azure_v1": "azure.ai.openai",
        "bedrock": "aws.bedrock",
    }
    assert alike("work", shipped()["openai"]).otel_name == "openai"
