"""What strangers send, and what upstreams answer: one clear sentence each, and nothing changed."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Inside, budget, scripted, seated, served
from upstream import Script, answer, nothing, spoken, upstream

ONE = scripted("one", "text=All%20is%20well.")
HTML = "<!DOCTYPE html><html><body>" + "<p>Bad Gateway</p>" * 1000 + "</body></html>"
KIND = "text/event-stream"


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


async def nothing_was_spent(seat: Inside) -> None:
    await seat.desk.ledger.write(lambda db: None)  # what was asked before is written then
    assert not seat.desk.http.mock.seen
    assert seat.rows("SELECT * FROM attempts") == []
    assert seat.rows("SELECT * FROM inflight") == []
    assert seat.rows("SELECT * FROM reservations") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty. Say in prompt what is wanted."),
        ({"prompt": " \n"}, "The prompt is empty. "),
        ({"system": "Be brief."}, "There is nothing to complete. Give prompt or messages."),
        (
            {"prompt": "Hi", "messages": [{"role": "user", "content": "Hi"}]},
            "Give prompt or messages, not both.",
        ),
        ({"messages": []}, "Messages is empty. "),
        ({"messages": [{"role": "user", "content": " "}]}, "The messages say nothing. "),
        ({"messages": [{"role": "user"}, {"role": "oracle"}]}, "messages: role: Input should be"),
        ({"messages": [{"role": "system", "content": "x"}]}, "Messages holds no user message."),
        ({"prompt": "x" * 20_000_000}, "The request has 19.1 MiB, the limit is 8 MiB. Send less"),
        ({"prompt": "Hi", "images": ["https://example.com/a.png"]}, "An image must be an absolute"),
        (
            {"prompt": "Hi", "images": ["data:image/tiff;base64,aGk="]},
            "An image must be an absolut",
        ),
        ({"prompt": "Hi", "images": ["/etc/hostname"]}, "/etc/hostname is outside the directories"),
        (
            {"prompt": "Hi", "model": "one/a model"},
            "'one/a model' is no model's name: it has spaces",
        ),
        ({"prompt": "Hi", "model": "one/m\x1b[2J"}, "'one/m\\x1b[2J' is no model's name"),
        ({"prompt": "Hi", "tools": [{"x": 1}]}, "tools.0: name: Field required."),
        (
            {"prompt": "Hi", "tools": [{"name": "t", "parameters": {"type": "array"}}]},
            "tools.0: parameters must be a JSON Schema of type object.",
        ),
        (
            {
                "prompt": "Hi",
                "tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": 1}}}],
            },
            "tools.0: parameters are no JSON Schema at properties/a: 1 is not of type",
        ),
        (
            {
                "prompt": "Hi",
                "tools": [{"name": "t", "parameters": {"type": "object", **nested(100)}}],
            },
            "tools.0: parameters nest too deep.",
        ),
        ({"prompt": "Hi", "tool_choice": "auto"}, "tool_choice needs tools."),
        ({"prompt": "Hi", "max_cost_usd": 1e9}, "max_cost_usd must lie between 0 and 1,000,000."),
        ({"prompt": "Hi", "timeout_s": 0}, "timeout_s: Input should be greater than 0."),
        ({"prompt": "Hi", "output_schema": {"type": "wish"}}, "output_schema"),
        (
            {"prompt": "Hi", "output_schema": {"properties": {"a": {"$ref": "http://[::1]/"}}}},
            "output_schema refers to 'http://[::1]/'; addresses are not fetched.",
        ),
        ({"prompt": "Hi", "output_schema": nested(100)}, "output_schema nests too deep."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_a_call_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, arguments: dict[str, Any], sentence: str
) -> None:
    async with seated(tmp_path, ONE, budget("1")) as seat:
        text = await seat.refused("complete", **arguments)
        await nothing_was_spent(seat)
        calls = seat.rows("SELECT * FROM calls")

    assert text.startswith(sentence)
    assert "code: bad_request" in text
    assert "Nothing was sent, no cost." in text
    assert len(text.encode()) <= 1024
    assert calls == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"texts": []}, "Texts is empty. Give at least one text."),
        ({"texts": ["a", " "]}, "texts.1 is empty. Leave empty texts out."),
        ({"texts": ["x"] * 10_001}, "There are 10001 texts, the limit is 10000."),
        ({"texts": ["x" * 9_000_000]}, "The request has 8.6 MiB, the limit is 8 MiB."),
        ({"texts": ["a"], "query": " "}, "The query is empty."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_an_embedding_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, arguments: dict[str, Any], sentence: str
) -> None:
    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused("embed", **arguments)
        await nothing_was_spent(seat)

    assert text.startswith(sentence)
    assert "Nothing was sent, no cost." in text


@pytest.mark.parametrize("reference", ["#", "#/$defs/nobody"])
async def test_a_schema_that_leads_nowhere_does_not_cost_the_answer(
    tmp_path: Path, reference: str
) -> None:
    async with seated(tmp_path, scripted("one", "text=%7B%22a%22%3A1%7D")) as seat:
        said = await seat.said("complete", prompt="Hi", output_schema={"$ref": reference})

    assert said["structured"] == {"a": 1}
    assert "references lead nowhere" in said["warnings"][0]


@pytest.mark.parametrize("most", [10**12, 10**18, 10**30])
async def test_a_cap_no_model_can_write_is_no_reason_to_fail(tmp_path: Path, most: int) -> None:
    async with seated(tmp_path, scripted("one", "text=Fine.", price=("75", "75"))) as seat:
        said = await seat.said("complete", prompt="Hi", max_tokens=most)

    assert said["text"] == "Fine."


async def test_a_model_nobody_has_is_said_to_be_unknown(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi", model="gpt-99-imaginary")
        await nothing_was_spent(seat)

    assert text.startswith("No provider here has a model 'gpt-99-imaginary'.")
    assert "code: not_found" in text
    assert "Nothing was sent, no cost." in text


async def test_a_provider_without_a_key_says_which_variable_and_which_command(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi", model="openai/gpt-5")
        await nothing_was_spent(seat)

    first = text.split("\n")[0]
    assert "openai/gpt-5 has no key" in first
    assert "OPENAI_API_KEY" in first
    assert "roundhouse keys set openai" in first
    assert "Nothing was sent, no cost." in text


async def test_a_key_with_a_trailing_newline_is_sent_without_it(tmp_path: Path) -> None:
    async with upstream(spoken("Welcome.")) as server:
        config = served("one", server.url, more='key_env = "ONE_KEY"')
        async with seated(tmp_path, config, environ={"ONE_KEY": "sk-secret-one\n"}) as seat:
            said = await seat.said("complete", prompt="Hi")

    assert said["text"] == "Welcome."
    assert server.posts[0].headers["authorization"] == "Bearer sk-secret-one"


async def test_a_key_with_a_line_break_inside_is_named_and_never_quoted(tmp_path: Path) -> None:
    async with upstream(spoken("Never.")) as server:
        config = served("one", server.url, more='key_env = "ONE_KEY"')
        async with seated(tmp_path, config, environ={"ONE_KEY": "sk-secret\none"}) as seat:
            text = await seat.refused("complete", prompt="Hi", model="one/m")

    assert "ONE_KEY" in text.split("\n")[0]
    assert "sk-secret" not in text
    assert server.asked == []


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        (answer(HTML, status=500, kind="text/html"), "faulted", "HTTP 500"),
        (answer("", status=500), "faulted", "HTTP 500"),
        (answer(HTML, kind="text/html"), "garbled", "one/m garbled"),
        (answer('{"choices": []}'), "garbled", "one/m garbled"),
        (answer('{"choices": [{"message"'), "garbled", "one/m garbled"),
        (answer("null"), "garbled", "one/m garbled"),
        (answer(""), "garbled", "one/m garbled"),
        (answer("", kind=KIND), "garbled", "the answer is empty"),
        (answer("data: {oops\n\n", kind=KIND), "garbled", "one/m garbled"),
        (answer('data: {"choices": []}\n\n', kind=KIND), "interrupted", "one/m interrupted"),
        (answer('data: {"error": {"message": "boom"}}\n\n', kind=KIND), "faulted", "boom"),
        (nothing, "interrupted", "one/m "),
        (answer("{}", status=302, location="https://elsewhere.example/"), "misdirected", "302"),
        (answer('{"error": "no such model"}', status=404), "misdirected", "HTTP 404"),
        (answer('{"error": {"message": ["odd"]}}', status=418), "refused", "HTTP 418"),
    ],
    ids=[
        "html-500",
        "empty-500",
        "html-200",
        "empty-choices",
        "cut-json",
        "null",
        "empty-200",
        "empty-stream",
        "broken-event",
        "stream-without-end",
        "error-in-stream",
        "nothing-at-all",
        "redirect",
        "unknown-model",
        "teapot",
    ],
)
async def test_an_upstream_that_misbehaves_is_told_of_in_one_short_sentence(
    tmp_path: Path, script: Script, outcome: str, words: str
) -> None:
    async with (
        upstream(script) as server,
        seated(tmp_path, served("one", server.url), budget("10")) as seat,
    ):
        with anyio.fail_after(10):
            text = await seat.refused("complete", prompt="Hi", model="one/m")
        call = seat.rows("SELECT status, error_kind FROM calls")[0]
        held = seat.rows("SELECT * FROM reservations WHERE state = 'held'")

    first = text.split("\n")[0]
    assert words in first
    assert "<p>" not in text
    assert len(first) < 400
    assert len(text.encode()) <= 1024
    assert call == {"status": "failed", "error_kind": outcome}
    assert held == []


async def test_an_endless_error_page_is_read_only_so_far(tmp_path: Path) -> None:
    page = answer("x" * 20_000_000, status=500, kind="text/html")
    async with upstream(page) as server, seated(tmp_path, served("one", server.url)) as seat:
        with anyio.fail_after(10):
            text = await seat.refused("complete", prompt="Hi", model="one/m", detail="raw")

    assert "HTTP 500" in text
    assert len(text.encode()) <= 1024 + 700


async def test_an_answer_without_usage_is_estimated_and_flagged(tmp_path: Path) -> None:
    stream = (
        'data: {"choices":[{"index":0,"delta":{"content":"Some words."},"finish_reason":"stop"}]}'
        "\n\ndata: [DONE]\n\n"
    )
    async with (
        upstream(answer(stream, kind=KIND)) as server,
        seated(tmp_path, served("one", server.url), budget("10")) as seat,
    ):
        said = await seat.said("complete", prompt="Hi")

    assert said["text"] == "Some words."
    assert said["usage"]["estimated"] is True
    assert said["usage"]["output"] > 0
    assert said["cost_usd"] > 0


@pytest.mark.parametrize(
    "body",
    [
        '{"data": []}',
        '{"data": [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [1]}]}',
        '{"data": [{"index": 0, "embedding": [1, 0]}]}',
        '{"data": [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": null}]}',
        "[]",
        "",
    ],
)
async def test_vectors_that_are_not_what_was_asked_for_are_not_passed_on(
    tmp_path: Path, body: str
) -> None:
    async with upstream(answer(body)) as server:
        config = served("one", server.url, price=None, more='embedding_model = "m"')
        async with seated(tmp_path, config) as seat:
            text = await seat.refused("embed", texts=["a", "b"])

    assert "one/m garbled" in text.split("\n")[0]


async def test_a_ledger_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_text("This is a shopping list, not a database.\n" * 50)
    before = file.read_bytes()

    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi")
        route = await seat.refused("route_for_task")
        costs = await seat.refused("cost_report")
        listed = await seat.client.list_tools()
        asked = seat.desk.http.mock.seen

    for said in (text, route, costs):
        assert "code: ledger_unavailable" in said
        assert "ledger.db" in said.split("\n")[0]
    assert len(listed.tools) == 6
    assert not asked
    assert file.read_bytes() == before
