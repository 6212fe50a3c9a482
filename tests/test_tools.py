"""The six tools as a client meets them, in memory, on scripted providers."""

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Era, budget, chain, scripted, seated, served, text_of
from upstream import Request, Send, spoken, upstream

from roundhouse_mcp.server import asks, lengths

ONE = scripted("one", "text=All%20is%20well.")
PAIR = chain("bad", "good") + scripted("bad", "status=503") + scripted("good", "text=Here.")
SHELF = ["alpine flowers in spring", "train timetables", "sourdough starter"]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_both_protocol_eras_see_six_tools_and_get_answers(tmp_path: Path, era: Era) -> None:
    async with seated(tmp_path, ONE, era=era) as seat:
        listed = await seat.client.list_tools()
        said = await seat.said("complete", prompt="How is it?")

    assert [tool.name for tool in listed.tools] == [
        "complete",
        "embed",
        "route_for_task",
        "provider_health",
        "cost_report",
        "unload_model",
    ]
    assert said["text"] == "All is well."


async def test_each_half_of_a_completion_is_complete_alone(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        result = await seat.call("complete", prompt="How is it?")

    said, text = result.structured_content, text_of(result)
    assert said is not None
    assert set(said) == {
        "text",
        "finish_reason",
        "model",
        "provider",
        "usage",
        "cost_usd",
        "call_id",
    }
    assert text.startswith("All is well.\n")
    for part in ("one/m", "stop", said["call_id"], f"{said['usage']['input']} in"):
        assert part in text


async def test_attempts_and_warnings_are_in_both_halves(tmp_path: Path) -> None:
    async with seated(tmp_path, PAIR) as seat:
        result = await seat.call("complete", prompt="How is it?")

    said = result.structured_content
    assert said is not None
    assert [(a["provider"], a["outcome"]) for a in said["attempts"]] == [
        ("bad", "faulted"),
        ("bad", "faulted"),
        ("good", "ok"),
    ]
    assert said["attempts"][0]["http_status"] == 503
    assert '"provider":"bad"' in text_of(result)


async def test_the_other_tools_say_the_same_in_both_halves(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE, budget("5.00")) as seat:
        await seat.said("complete", prompt="How is it?")
        route = await seat.call("route_for_task")
        health = await seat.call("provider_health", provider="one")
        costs = await seat.call("cost_report")

    for result in (route, health, costs):
        assert result.structured_content
        assert "one" in text_of(result)
    assert "global/total" in text_of(costs)
    assert "5.00" in text_of(costs)


async def test_full_detail_adds_timing_attempts_and_the_providers_own_usage(
    tmp_path: Path,
) -> None:
    async with seated(tmp_path, ONE) as seat:
        said = await seat.said("complete", prompt="How is it?", detail="full")

    assert said["latency_ms"] >= said["first_token_ms"] >= 0
    assert [a["outcome"] for a in said["attempts"]] == ["ok"]
    assert said["raw_usage"]["completion_tokens"] == said["usage"]["output"]


async def test_raw_detail_shows_the_providers_own_answer_in_an_error(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("bad", "status=400")) as seat:
        plain = await seat.refused("complete", prompt="Hi", model="bad/m")
        raw = await seat.refused("complete", prompt="Hi", model="bad/m", detail="raw")

    assert "mock_error" not in plain
    assert "mock_error" in raw
    assert len(raw.encode()) <= 1024 + 700


async def test_tool_calls_come_back_as_objects(tmp_path: Path) -> None:
    config = scripted("one", "tool=look_up&arguments=%7B%22q%22%3A1%7D")
    tool = {"name": "look_up", "parameters": {"type": "object"}}
    async with seated(tmp_path, config) as seat:
        said = await seat.said("complete", prompt="Look it up", model="one/m", tools=[tool])

    assert said["finish_reason"] == "tool_calls"
    assert said["tool_calls"] == [{"id": "mock_call_1", "name": "look_up", "arguments": {"q": 1}}]


async def test_an_answer_by_schema_comes_back_as_data(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    fits = scripted("fits", "text=%7B%22n%22%3A%203%7D")
    unfit = scripted("unfit", "text=%7B%22n%22%3A%20%22x%22%7D")
    async with seated(tmp_path, fits, unfit) as seat:
        good = await seat.said("complete", prompt="n?", model="fits/m", output_schema=schema)
        bad = await seat.said("complete", prompt="n?", model="unfit/m", output_schema=schema)

    assert good["structured"] == {"n": 3}
    assert "warnings" not in good
    assert "does not fit the schema at $.n" in bad["warnings"][0]
    assert [attempt["outcome"] for attempt in bad["attempts"]] == ["misfit", "ok"]


async def test_errors_are_short_text_with_the_sentence_first(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("bad", "status=500")) as seat:
        text = await seat.refused("complete", prompt="Hi", model="bad/m")

    first, *facts = text.split("\n")
    assert first.startswith("bad/m faulted (the last of 2 attempts): HTTP 500, ")
    assert "code: all_failed" in facts
    assert "provider: bad" in facts
    assert "http_status: 500" in facts
    assert "retryable: true" in facts
    assert sum(fact.startswith("- bad/m faulted 500") for fact in facts) == 2
    assert "Error executing tool" not in text
    assert len(text.encode()) <= 1024


async def test_a_fault_of_our_own_is_masked_in_our_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret inside")

    monkeypatch.setattr(asks, "needs", broken)
    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused("complete", prompt="Hi")

    assert text.startswith("Roundhouse met a fault of its own, ")
    assert "code: internal" in text
    assert "secret" not in text
    assert "ZeroDivisionError" in caplog.text


async def test_no_key_is_in_any_answer(tmp_path: Path) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    config = scripted("bad", f"status=400&text={secret}") + scripted("echo")
    async with seated(tmp_path, config, environ={"OPENAI_API_KEY": secret}) as seat:
        failed = await seat.refused("complete", prompt=secret, model="bad/m", detail="raw")
        unknown = await seat.refused("complete", prompt="Hi", model=f"{secret}")
        health = await seat.call("provider_health")

    assert secret not in failed + unknown + text_of(health)
    assert "OPENAI_API_KEY" in text_of(health)


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("complete", {"prompt": "Hi", "max_token": 5}, "complete has no argument 'max_token'."),
        ("complete", {"prompt": 5}, "prompt: Input should be a valid string."),
        ("complete", {"prompt": "Hi", "max_tokens": "many"}, "max_tokens: Input should be a valid"),
        ("complete", {"prompt": "Hi", "temperature": 3}, "temperature: Input should be less than"),
        ("complete", {"prompt": "Hi", "privacy": "secret"}, "privacy: Input should be 'any', "),
        ("embed", {"textes": []}, "embed has no argument 'textes'."),
        ("embed", {"texts": "one"}, "texts: Input should be a valid list."),
        ("unload_model", {}, "unload_model needs the argument 'model'."),
        ("cost_report", {"limit": 0}, "limit: Input should be greater than or equal to 1."),
        ("provider_health", {"probe": "perhaps"}, "probe: Input should be a valid boolean"),
    ],
)
async def test_a_wrong_argument_gets_one_clear_sentence(
    tmp_path: Path, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with seated(tmp_path, ONE) as seat:
        text = await seat.refused(tool, **arguments)

    assert text.startswith(sentence)
    assert "code: bad_request" in text
    assert "Nothing was sent, no cost." in text
    assert f"Arguments of {tool}: " in text.split("\n")[0]
    assert len(text.encode()) <= 1024


async def test_progress_comes_at_most_twice_a_second_and_always_increases(tmp_path: Path) -> None:
    heard: list[tuple[float, str]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message or ""))

    slow = scripted("slow", "delay_ms=40&text=" + "%20".join(f"w{n}" for n in range(40)))
    async with seated(tmp_path, slow) as seat:
        await seat.client.call_tool("complete", {"prompt": "Hi"}, progress_callback=note)

    times = [at for at, _ in heard]
    assert len(heard) >= 2
    assert all(b - a >= 0.45 for a, b in itertools.pairwise(times))
    assert times == sorted(set(times))
    assert "slow/m: " in heard[-1][1]
    assert "characters" in heard[-1][1]


async def test_a_ranking_puts_the_closest_text_first_and_shows_no_vectors(tmp_path: Path) -> None:
    config = scripted("one", models="m", more='embedding_model = "finder"') + (
        '[prices."one/finder"]\ninput = "1"\n'
    )
    async with seated(tmp_path, config) as seat:
        said = await seat.said("embed", texts=SHELF, query="train timetables tomorrow")
        vectors = await seat.said("embed", texts=SHELF, vectors="inline")

    assert next(row["index"] for row in said["ranking"]) == 1
    assert [row["rank"] for row in said["ranking"]] == [1, 2, 3]
    scores = [row["score"] for row in said["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert "vectors" not in said
    assert said["count"] == len(vectors["vectors"]) == 3
    assert {len(vector) for vector in vectors["vectors"]} == {said["dimensions"]}
    assert "ranking" not in vectors


async def test_equally_close_texts_keep_their_order(tmp_path: Path) -> None:
    config = scripted("one", price=None, more='embedding_model = "finder"')
    async with seated(tmp_path, config) as seat:
        said = await seat.said("embed", texts=["same", "same", "same"], query="same")

    assert [row["index"] for row in said["ranking"]] == [0, 1, 2]


async def test_the_cost_report_says_what_the_ledger_says(tmp_path: Path) -> None:
    worse = scripted("worse", "status=500")
    async with seated(tmp_path, PAIR, worse, budget("5.00")) as seat:
        for n in range(3):
            await seat.said("complete", prompt=f"Question {n}", task="code")
        await seat.refused("complete", prompt="Hi", model="worse/m")
        costs = await seat.said("cost_report", group_by=["provider", "task"])
        ledger = seat.rows(
            "SELECT count(*) calls, sum(cost_nano) nano, sum(attempts) attempts,"
            " sum(input_tokens) input, sum(status != 'ok') errors FROM calls"
        )[0]
        spent = seat.rows("SELECT spent_nano FROM budget_windows")[0]["spent_nano"]

    totals = costs["totals"]
    assert totals["calls"] == ledger["calls"] == 4
    assert totals["errors"] == ledger["errors"] == 1
    assert totals["attempts"] == ledger["attempts"]
    assert totals["input_tokens"] == ledger["input"]
    assert round(totals["cost_usd"] * 1e9) == ledger["nano"] == spent > 0
    assert sum(group["calls"] for group in costs["groups"]) == 4
    assert {"provider": "good", "task": "code"}.items() <= costs["groups"][0].items()
    assert round(costs["budgets"][0]["spent_usd"] * 1e9) == spent


async def test_a_refusal_of_dates_names_what_is_wrong(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        no_date = await seat.refused("cost_report", since="yesterday")
        backwards = await seat.refused("cost_report", since="2026-11-02", until="2026-11-01")
        past = await seat.refused("cost_report", until="2020-01-01")

    assert no_date.startswith("Since 'yesterday' is no ISO date or time.")
    assert backwards.startswith("Since lies after until.")
    assert past.startswith("Until lies before today. Give since too.")


async def test_health_says_what_is_up_and_what_is_not(tmp_path: Path) -> None:
    async with seated(tmp_path, PAIR) as seat:
        await seat.said("complete", prompt="Hi")
        all_of_them = await seat.said("provider_health")
        probed = await seat.said("provider_health", provider="good", probe=True)
        unknown = await seat.refused("provider_health", provider="god")

    by_name = {row["provider"]: row for row in all_of_them["providers"]}
    assert by_name["good"]["error_rate"] == 0.0
    assert by_name["good"]["last_ok"] is not None
    assert by_name["good"]["p50_ms"] is not None
    assert by_name["bad"]["error_rate"] == 1.0
    assert by_name["bad"]["last_ok"] is None
    assert by_name["openai"]["key"] == "missing"
    assert probed["providers"][0]["reachable"] is True
    assert unknown.startswith("There is no provider 'god'.")


async def test_nothing_is_unloaded_where_nothing_of_ours_is_loaded(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        mock = await seat.said("unload_model", model="one/m")
        cloud = await seat.said("unload_model", model="openai/gpt-5")
        unknown = await seat.refused("unload_model", model="nobody-has-this")

    assert mock["unloaded"] is False
    assert mock["detail"]
    assert cloud["unloaded"] is False
    assert "cloud" in cloud["detail"]
    assert "code: not_found" in unknown


async def test_a_model_in_use_is_unloaded_only_by_force(tmp_path: Path) -> None:
    async with upstream(spoken("So far ", "never", pause=anyio.Event())) as server:
        config = served("here", server.url, more="local = true")
        async with seated(tmp_path, config) as seat:
            await seat.said("complete", prompt="Hi", timeout_s=0.3)
            in_use = await seat.refused("unload_model", model="here/m")
            forced = await seat.said("unload_model", model="here/m", force=True)
            with anyio.fail_after(20):
                await server.gone.wait()
            again = await seat.said("unload_model", model="here/m")
            calls = seat.rows("SELECT status FROM calls")

    assert in_use.startswith("here/m is still in use (calls running: 1). Wait until")
    assert forced["unloaded"] is again["unloaded"] is False
    assert forced["detail"]
    assert calls == [{"status": "cancelled"}]


async def test_an_answer_can_be_read_again_from_any_place(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        first = await seat.said("complete", prompt="How is it?")
        again = await seat.said("complete", call_id=first["call_id"], offset=4)
        unknown = await seat.refused("complete", call_id="01NOBODY")

    assert again["text"] == "is well."
    assert again["finish_reason"] == "stop"
    assert again["cost_usd"] == first["cost_usd"]
    assert unknown.startswith("There is no call '01NOBODY' to read on in.")
    assert "code: not_found" in unknown


async def test_a_long_answer_comes_in_pages_where_that_is_configured(tmp_path: Path) -> None:
    text = "word%20" * 300
    limit = "[limits]\nmax_result_chars = 1000\n"
    async with seated(tmp_path, limit, scripted("one", f"text={text}")) as seat:
        first = await seat.said("complete", prompt="Hi")
        rest = await seat.said("complete", call_id=first["call_id"], offset=1000)

    assert len(first["text"]) == 1000
    assert first["finish_reason"] == "stop"
    assert f"call_id='{first['call_id']}', offset=1000" in first["warnings"][0]
    assert first["text"] + rest["text"] == "word " * 300
    assert "warnings" not in rest


@pytest.mark.parametrize("client", ["codex-mcp-client", "gemini-cli-mcp-client"])
@pytest.mark.parametrize("piece", ["word ", '"\\n', "Wörter "])
def test_a_client_that_cuts_long_results_is_given_pages_it_shows_whole(
    client: str, piece: str
) -> None:
    text, most, pages = piece * 20_000, lengths.SHOWN_BYTES, list[str]()
    known = next(size for name, size in most.items() if client.startswith(name))
    while text:
        shown = lengths.room(None, client).fitting(text)
        pages.append(text[:shown])
        text = text[shown:]

    assert "".join(pages) == piece * 20_000
    assert all(known - 10 <= lengths.size(page) <= known for page in pages[:-1])
    assert lengths.size(pages[-1]) <= known


def test_other_clients_are_shown_all_and_a_configured_limit_wins() -> None:
    assert lengths.room(None, "claude-code").fitting("a" * 100_000) == 100_000
    assert lengths.room(20_000, "codex-mcp-client").fitting("a" * 100_000) == 20_000


async def test_a_conversation_with_tool_results_reaches_the_provider(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "What is 6 times 7?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "t1", "name": "times", "arguments": {"a": 6, "b": 7}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "42"},
        {"role": "user", "content": "And in words?"},
    ]
    async with seated(tmp_path, scripted("echo")) as seat:
        said = await seat.said("complete", messages=messages, system="Be brief.")

    assert said["text"] == "You said: And in words?"


async def test_a_provider_is_asked_no_more_at_once_than_its_row_allows(tmp_path: Path) -> None:
    asking: list[int] = []
    most: list[int] = []
    speak = spoken("Fine.")

    async def counted(request: Request, send: Send) -> None:
        asking.append(1)
        most.append(len(asking))
        await anyio.wait_all_tasks_blocked()
        await speak(request, send)
        asking.pop()

    async with upstream(counted) as server:
        config = served("one", server.url, more="concurrency = 2")
        async with seated(tmp_path, config) as seat:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    for n in range(6):
                        group.start_soon(partial(seat.said, "complete", prompt=f"{n}"))

    assert len(most) == 6
    assert max(most) <= 2


async def test_what_the_configuration_says_of_a_provider_reaches_it(tmp_path: Path) -> None:
    aliases = '[routing.aliases]\nfast = "one/m"\n'
    defaults = "defaults = { max_tokens = 77, temperature = 0.5 }"
    async with upstream(spoken("Fine.")) as server:
        config = served("one", server.url, more=defaults)
        async with seated(tmp_path, aliases, config, scripted("other")) as seat:
            await seat.said("complete", prompt="Hi", model="fast")
            await seat.said("complete", prompt="Hi", model="fast", max_tokens=5, temperature=0)
    first, second = (request.json for request in server.posts)

    assert (first["model"], first["max_tokens"], first["temperature"]) == ("m", 77, 0.5)
    assert (second["max_tokens"], second["temperature"]) == (5, 0)


async def test_a_budget_that_runs_low_is_told_once_with_the_answer(tmp_path: Path) -> None:
    config = scripted("one", "text=Fine.", price=("0", "1000"))
    async with seated(tmp_path, config, budget("1.00")) as seat:
        first = await seat.said("complete", prompt="Hi", max_tokens=850)
        second = await seat.said("complete", prompt="Hi", max_tokens=850)

    assert "budget global/total" in first["warnings"][0]
    assert "warnings" not in second


async def test_results_are_json_without_surprises(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=%E2%9C%93%20done")) as seat:
        result = await seat.call("complete", prompt="Ünïcödé \u2028 \x00?")

    assert result.structured_content is not None
    assert json.loads(json.dumps(result.structured_content))["text"] == "✓ done"


async def test_how_long_a_call_took_does_not_depend_on_the_wall_clock(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one", "text=hi")) as seat:
        times = itertools.count(seat.desk.clock(), -3600.0)
        seat.desk.clock = lambda: next(times)
        said = await seat.said("complete", prompt="Hi", detail="full")

    assert 0 <= said["first_token_ms"] <= said["latency_ms"] < 60_000
