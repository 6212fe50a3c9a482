"""Replicate: what is asked of a model, and an answer made in several requests."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import seated, served
from upstream import Request, Script, Send, Upstream, answer, head, silence, upstream

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.errors import Misdirected, Refused, UpstreamError
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.outgoing import followed
from roundhouse_mcp.providers.types import Call, Image, Message, ToolCall, Usage
from roundhouse_mcp.providers.types import Tool as ToolSpec
from roundhouse_mcp.providers.wire import chat_wire

KEY = "r8-canary-0123456789"
USER = Message(role="user", text="Hi")
CALL = Call(messages=(USER,), max_tokens=16)
QUICK = Limits(first_byte_s=4.0, idle_s=4.0, look_every_s=0.001)
SOME_MODEL = "acme/words"


def asked(call: Call, model: str = SOME_MODEL, **changes: Any) -> tuple[str, dict[str, Any]]:
    """The path and the body a call becomes."""
    row = replace(shipped()["replicate"], **changes)
    question = chat_wire("replicate").encode(call, model=model, provider=row)
    assert question.body is not None
    return question.path, dict(question.body)


def inputs(call: Call, model: str = SOME_MODEL) -> dict[str, Any]:
    return asked(call, model)[1]["input"]


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        ("acme/words", "/v1/models/acme/words/predictions", None),
        ("acme/words-2.1:" + "ab12" * 16, "/v1/predictions", "ab12" * 16),
        ("ab12" * 16, "/v1/predictions", "ab12" * 16),
        ("mine", "/v1/deployments/acme/fast-words/predictions", None),
    ],
)
def test_a_model_is_named_by_owner_by_version_or_by_its_deployment(
    model: str, path: str, version: str | None
) -> None:
    found, body = asked(CALL, model, deployments={"mine": "acme/fast-words"})

    assert (found, body.get("version"), body["stream"]) == (path, version, True)


@pytest.mark.parametrize(
    "model", ["../account", "a/../../account", "a/b?c", "a/b#c", "a//b", "a/b c"]
)
def test_a_name_that_leads_to_another_path_is_no_model(model: str) -> None:
    with pytest.raises(Misdirected) as refused:
        asked(CALL, model)

    assert refused.value.model_specific


def test_one_turn_is_the_prompt_and_system_messages_stand_apart() -> None:
    system = Message(role="system", text="Be brief.")

    assert inputs(replace(CALL, messages=(system, USER), temperature=0.2)) == {
        "prompt": "Hi",
        "system_prompt": "Be brief.",
        "max_tokens": 16,
        "temperature": 0.2,
    }


def test_several_turns_are_written_out_with_the_calls_and_results_in_them() -> None:
    made = ToolCall(id="1", name="look", arguments={"city": "Oslo"})
    turns = (
        Message(role="user", text="Is it raining?"),
        Message(role="assistant", text="I look.", tool_calls=(made,)),
        Message(role="tool", tool_call_id="1", text="yes"),
    )

    assert inputs(replace(CALL, messages=turns))["prompt"] == (
        "User: Is it raining?\n\n"
        'Assistant: I look.\n[called look with {"city": "Oslo"}]\n\n'
        "Tool: yes\n\n"
        "Assistant:"
    )


@pytest.mark.parametrize(
    ("model", "cap", "system"),
    [
        ("openai/gpt-5-mini", "max_completion_tokens", "system_prompt"),
        ("google/gemini-2.5-flash", "max_output_tokens", "system_instruction"),
        ("anthropic/claude-4.5-sonnet", "max_tokens", "system_prompt"),
        ("meta/llama-2-70b-chat", "max_new_tokens", "system_prompt"),
    ],
)
def test_inputs_have_the_names_the_model_has_for_them(model: str, cap: str, system: str) -> None:
    messages = (Message(role="system", text="Be brief."), USER)

    said = inputs(replace(CALL, messages=messages), model)

    assert (said[cap], said[system]) == (16, "Be brief.")


def test_sampling_stops_and_effort_go_only_to_models_that_have_such_inputs() -> None:
    call = replace(CALL, temperature=0.2, stop=("END", "###"), effort="low")

    assert inputs(call, "meta/meta-llama-3-70b-instruct") == {
        "prompt": "Hi",
        "max_tokens": 16,
        "temperature": 0.2,
        "stop_sequences": "END,###",
    }
    assert inputs(call, "openai/gpt-5-mini") == {
        "prompt": "Hi",
        "max_completion_tokens": 16,
        "reasoning_effort": "low",
    }


def test_images_travel_inside_the_request_under_the_models_name_for_them() -> None:
    picture = Image("image/png", "QUJD")
    call = replace(CALL, messages=(replace(USER, images=(picture, picture)),))
    url = "data:image/png;base64,QUJD"

    assert inputs(call, "openai/gpt-5-mini")["image_input"] == [url, url]
    one = replace(CALL, messages=(replace(USER, images=(picture,)),))
    assert inputs(one, "anthropic/claude-4.5-sonnet")["image"] == url
    with pytest.raises(Refused, match="one image only"):
        inputs(call, "anthropic/claude-4.5-sonnet")


def test_what_no_model_here_can_do_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Refused, match="no tools"):
        inputs(replace(CALL, tools=(ToolSpec(name="look"),)))
    with pytest.raises(Refused, match="comma"):
        inputs(replace(CALL, stop=("a,b",)))


def test_a_schema_is_asked_for_in_words() -> None:
    said = inputs(replace(CALL, output_schema={"type": "object"}))

    assert '{"type": "object"}' in said["system_prompt"]


BASE = "https://api.replicate.com"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        (BASE, "https://stream.replicate.com/v1/files/x"),
        (BASE, "https://streaming-api.svc.us.c.replicate.net:443/v1/streams/x"),
        (BASE, BASE + "/v1/predictions/x"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/stream"),
    ],
)
def test_an_address_of_the_services_own_is_followed(base_url: str, address: str) -> None:
    assert followed(replace(shipped()["replicate"], base_url=base_url), address) == address


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        (BASE, "https://evil.example/x"),
        (BASE, "https://replicate.com.evil.example/x"),
        (BASE, "https://evilreplicate.com/x"),
        (BASE, "http://stream.replicate.com/x"),
        (BASE, "https://stream.replicate.com:8443/x"),
        (BASE, "https://me@stream.replicate.com/x"),
        (BASE, "https://stream.replicate.com:no/x"),
        (BASE, "https://evil.example\\@stream.replicate.com/x"),
        (BASE, "https://evil.example%2f.replicate.com/x"),
        (BASE, "file:///etc/passwd"),
        (BASE, "/v1/streams/x"),
        (BASE, ""),
        ("https://gate.example", "https://stream.replicate.com/x"),
        ("http://127.0.0.1:9", "http://127.0.0.1:10/stream"),
        ("http://127.0.0.1:9", "http://169.254.169.254/latest"),
    ],
)
def test_any_other_address_gets_no_key(base_url: str, address: str) -> None:
    with pytest.raises(Misdirected, match="nothing was sent there"):
        followed(replace(shipped()["replicate"], base_url=base_url), address)


def prediction(status: str, output: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "p1", "model": "acme/words", "status": status, "output": output, **more}


def whole(body: dict[str, Any]) -> Script:
    return answer(json.dumps(body), status=200)


def streamed(*lines: str) -> Script:
    async def script(request: Request, send: Send) -> None:
        body = "\n".join([*lines, ""]).encode()
        await send(head(200, {"content-type": "text/event-stream"}) + body)

    return script


class Service:
    """Answers a creation, a stream, looks in their order (the last one stays) and a cancellation.
    `address` is what it names as its stream; empty: its own."""

    def __init__(
        self,
        *,
        created: dict[str, Any] | None = None,
        stream: Script | None = None,
        looks: Sequence[Script] = (),
        address: str = "",
        cancelled: Script | None = None,
    ) -> None:
        self.created = created or prediction("starting")
        self.stream = stream
        self.looks = list(looks)
        self.address = address
        self.cancelled = cancelled or whole(prediction("canceled"))

    async def __call__(self, request: Request, send: Send) -> None:
        await self.chosen(request)(request, send)

    def chosen(self, request: Request) -> Script:
        if request.path.endswith("/cancel"):
            return self.cancelled
        if request.method == "POST":
            urls: dict[str, str] = {}
            if self.stream or self.address:
                urls["stream"] = self.address or f"http://{request.headers['host']}/stream"
            return answer(json.dumps(self.created | {"urls": urls}), status=201)
        if request.path == "/stream" and self.stream:
            return self.stream
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def row(server: Upstream) -> Provider:
    return replace(shipped()["replicate"], base_url=server.url.removesuffix("/v1"))


def paths(server: Upstream) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.asked]


CREATE = "POST /v1/models/acme/words/predictions"
STREAM = "GET /stream"
LOOK = "GET /v1/predictions/p1"
STOP = "POST /v1/predictions/p1/cancel"
SAYS = ("event: output", "data: Good", "", "event: output", "data:  day", "")
ENDS = ("event: done", "data: {}", "")
COUNTED = {"input_token_count": 3, "output_token_count": 2, "predict_time": 0.1}


async def heard(
    service: Service, *, limits: Limits = QUICK
) -> tuple[Assembler, UpstreamError | None, Upstream]:
    assembler = Assembler()
    with anyio.fail_after(20):
        async with upstream(service, gets=True) as server, Http() as http:
            try:
                async with http.stream(
                    row(server), KEY, CALL, model=SOME_MODEL, limits=limits
                ) as chunks:
                    assembler.request_id = chunks.request_id
                    async for chunk in chunks:
                        assembler.add(chunk)
            except UpstreamError as error:
                return assembler, error, server
            return assembler, None, server


async def test_an_answer_is_begun_heard_and_settled_by_three_requests() -> None:
    done = whole(prediction("succeeded", ["Good", " day"], metrics=COUNTED))

    found, error, server = await heard(Service(stream=streamed(*SAYS, *ENDS), looks=[done]))

    completion = found.completion(provider="replicate")
    assert error is None
    assert (completion.text, completion.finish_reason) == ("Good day", "stop")
    assert completion.usage == Usage(input=3, output=2)
    assert (completion.model, completion.request_id) == ("acme/words", "p1")
    assert paths(server) == [CREATE, STREAM, LOOK]
    assert {request.headers["authorization"] for request in server.asked} == {f"Bearer {KEY}"}
    assert server.asked[1].headers["accept"] == "text/event-stream"


async def test_the_last_look_waits_for_the_counts() -> None:
    late = whole(prediction("processing", ["Good"]))
    done = whole(prediction("succeeded", ["Good", " day"], metrics=COUNTED))

    found, error, _ = await heard(Service(stream=streamed(*SAYS, *ENDS), looks=[late, done]))

    assert (error, found.text, found.usage) == (None, "Good day", Usage(input=3, output=2))


@pytest.mark.parametrize(
    "look",
    [
        answer("{}", status=503),
        answer("{}", status=404),
        answer("no JSON"),
        answer("{}"),
        whole(prediction("succeeded", {"text": "Good day"}, metrics=COUNTED)),
    ],
)
async def test_a_whole_answer_whose_counts_cannot_be_read_has_unknown_usage(look: Script) -> None:
    found, error, server = await heard(Service(stream=streamed(*SAYS, *ENDS), looks=[look]))

    assert (error, found.text, found.usage, found.complete) == (None, "Good day", None, True)
    assert STOP not in paths(server)


async def test_a_stream_that_ends_well_of_work_that_failed_is_a_failure() -> None:
    look = whole(prediction("failed", error="no memory"))

    _, error, _ = await heard(Service(stream=streamed(*SAYS, *ENDS), looks=[look]))

    assert error is not None
    assert (error.kind, error.detail) == ("faulted", "no memory")


async def test_without_a_stream_the_answer_is_looked_at_until_it_is_over() -> None:
    looks = [
        whole(prediction("starting")),
        whole(prediction("processing", ["Good"])),
        whole(prediction("processing", ["Good"])),
        whole(prediction("succeeded", ["Good", " day"], metrics=COUNTED)),
    ]

    found, error, server = await heard(Service(looks=looks))

    assert (error, found.text, found.texts) == (None, "Good day", ["Good", " day"])
    assert (found.usage, found.complete) == (Usage(input=3, output=2), True)
    assert paths(server) == [CREATE, *[LOOK] * 4]


async def test_an_answer_that_is_there_at_once_needs_no_second_request() -> None:
    created = prediction("succeeded", "Good day", metrics=COUNTED)

    found, error, server = await heard(Service(created=created, stream=streamed(*ENDS)))

    assert (error, found.text, found.complete) == (None, "Good day", True)
    assert paths(server) == [CREATE]


@pytest.mark.parametrize(
    ("ending", "kind", "detail"),
    [
        (prediction("failed", error="CUDA out of memory"), "faulted", "CUDA out of memory"),
        (prediction("failed"), "faulted", "the prediction failed without saying why"),
        (prediction("failed", error="prompt too long"), "too_long", "prompt too long"),
        (prediction("failed", error="NSFW content (E005)"), "refused", "NSFW content (E005)"),
        (prediction("canceled"), "interrupted", "the prediction was canceled"),
        (prediction("aborted"), "interrupted", "the prediction was aborted"),
    ],
)
async def test_work_that_ends_badly_is_an_error_and_is_not_stopped_again(
    ending: dict[str, Any], kind: str, detail: str
) -> None:
    looks = [whole(prediction("processing", ["Good"])), whole(ending)]

    found, error, server = await heard(Service(looks=looks))

    assert error is not None
    assert (error.kind, error.detail, error.billing) == (kind, detail, "observed")
    assert (found.text, error.request_id) == ("Good", "p1")
    assert STOP not in paths(server)


async def test_a_stream_that_breaks_is_interrupted_and_the_work_is_stopped() -> None:
    found, error, server = await heard(Service(stream=streamed(*SAYS)))

    assert error is not None
    assert (error.kind, found.text, found.complete) == ("interrupted", "Good day", False)
    assert paths(server) == [CREATE, STREAM, STOP]


@pytest.mark.parametrize("status", [404, 410, 500])
async def test_work_that_cannot_be_heard_is_looked_at(status: int) -> None:
    done = whole(prediction("succeeded", "Good day"))
    gone = answer('{"detail": "no such stream"}', status=status)

    found, error, server = await heard(Service(stream=gone, looks=[done]))

    assert (error, found.text) == (None, "Good day")
    assert paths(server) == [CREATE, STREAM, LOOK]


async def test_work_that_failed_by_its_own_word_is_not_stopped() -> None:
    _, error, server = await heard(Service(stream=streamed("event: error", "data: no memory", "")))

    assert error is not None
    assert (error.kind, error.detail, error.billing) == ("faulted", "no memory", "observed")
    assert paths(server) == [CREATE, STREAM]


async def test_a_stream_elsewhere_gets_no_request_and_the_work_is_stopped() -> None:
    _, error, server = await heard(Service(address="http://127.0.0.1:1/stream"))

    assert isinstance(error, Misdirected)
    assert error.billing == "observed"
    assert paths(server) == [CREATE, STOP]


async def test_a_look_may_fail_while_the_work_goes_on() -> None:
    broken = answer("{}", status=502)
    done = whole(prediction("succeeded", "Good day"))

    found, error, _ = await heard(Service(looks=[broken, broken, done]))

    assert (error, found.text) == (None, "Good day")


async def test_looks_that_keep_failing_are_the_end_of_it() -> None:
    _, error, server = await heard(Service(looks=[answer("{}", status=502)]))

    assert error is not None
    assert (error.kind, error.billing) == ("faulted", "observed")
    assert paths(server) == [CREATE, LOOK, LOOK, LOOK, STOP]


async def test_an_answer_that_changes_while_it_is_made_is_garbled() -> None:
    looks = [whole(prediction("processing", "Good")), whole(prediction("succeeded", "Bad"))]

    found, error, _ = await heard(Service(looks=looks))

    assert error is not None
    assert (error.kind, found.text) == ("garbled", "Good")


@pytest.mark.parametrize("output", [{"text": "Good"}, ["Good", 1], 7])
async def test_output_that_is_no_text_is_garbled(output: Any) -> None:
    _, error, _ = await heard(Service(looks=[whole(prediction("succeeded", output))]))

    assert error is not None
    assert error.kind == "garbled"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "p1"},
        {"id": "../account", "status": "starting"},
        {"id": 7, "status": "starting"},
        {"id": "p1", "status": "starting", "urls": {"stream": 7}},
        {"id": "p1", "status": "starting", "urls": "none"},
    ],
)
async def test_a_creation_that_creates_nothing_is_garbled(body: dict[str, Any]) -> None:
    async def script(request: Request, send: Send) -> None:
        await answer(json.dumps(body), status=201)(request, send)

    async with upstream(script, gets=True) as server, Http() as http:
        with pytest.raises(UpstreamError) as failed:
            async with http.stream(row(server), KEY, CALL, model=SOME_MODEL, limits=QUICK):
                pass

    assert failed.value.kind == "garbled"
    assert paths(server) == [CREATE]


@pytest.mark.parametrize(
    ("looks", "limits", "kind"),
    [
        ([prediction("starting")], replace(QUICK, first_byte_s=0.05), "timed_out"),
        ([prediction("processing", "Good")], replace(QUICK, idle_s=0.05), "interrupted"),
    ],
)
async def test_work_without_news_is_given_up_and_stopped(
    looks: list[dict[str, Any]], limits: Limits, kind: str
) -> None:
    _, error, server = await heard(Service(looks=[whole(each) for each in looks]), limits=limits)

    assert error is not None
    assert error.kind == kind
    assert paths(server)[-1] == STOP


async def test_whoever_leaves_early_stops_the_work() -> None:
    service = Service(looks=[whole(prediction("processing", "Good"))])

    with anyio.fail_after(20):
        async with upstream(service, gets=True) as server, Http() as http:
            stream = http.stream(row(server), KEY, CALL, model=SOME_MODEL, limits=QUICK)
            async with stream as chunks:
                await anext(chunks)

    assert paths(server) == [CREATE, LOOK, STOP]


async def test_a_cancelled_caller_stops_the_work() -> None:
    said = anyio.Event()

    async def half(request: Request, send: Send) -> None:
        await streamed(*SAYS)(request, send)
        said.set()
        await silence(request, send)

    with anyio.fail_after(20):
        async with upstream(Service(stream=half), gets=True) as server, Http() as http:

            async def listen() -> None:
                async with http.stream(
                    row(server), KEY, CALL, model=SOME_MODEL, limits=QUICK
                ) as chunks:
                    async for _ in chunks:
                        pass

            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await said.wait()
                group.cancel_scope.cancel()

    assert paths(server) == [CREATE, STREAM, STOP]


async def test_work_that_cannot_be_stopped_changes_nothing_of_the_error() -> None:
    service = Service(looks=[answer("{}", status=502)], cancelled=answer("{}", status=500))

    _, error, server = await heard(service)

    assert error is not None
    assert error.status == 502
    assert paths(server)[-1] == STOP


async def test_a_call_through_the_server_is_counted_priced_and_named(tmp_path: Path) -> None:
    done = whole(prediction("succeeded", ["Good", " day"], metrics=COUNTED))
    service = Service(stream=streamed(*SAYS, *ENDS), looks=[done])

    async with upstream(service, gets=True) as server:
        config = served("mine", row(server).base_url, models=SOME_MODEL).replace(
            "openai_chat", "replicate"
        )
        async with seated(tmp_path, config) as seat:
            said = await seat.said("complete", prompt="Hi", max_tokens=16)
            attempts = seat.rows("select * from attempts")

    assert said["text"] == "Good day"
    assert [a["provider_request_id"] for a in attempts] == ["p1"]
    assert [a["http_status"] for a in attempts] == [201]
    assert (attempts[0]["input_tokens"], attempts[0]["output_tokens"]) == (3, 2)
