"""Local programs as callers meet them: got ready before a call, listed, and unloaded by name."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from local_programs import GIB, LmStudio, Ollama, Router, configured, running
from seats import Inside, launch, seated, settled, started
from upstream import Upstream

from roundhouse_mcp.providers import memory
from roundhouse_mcp.server.config import understood
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.ledger import control_rows

Program = Ollama | LmStudio | Router
HERE = {"llama3.1:8b": 4 * GIB, "tiny:1b": GIB}


@asynccontextmanager
async def beside(
    home: Path, program: Program, like: str, *more: str
) -> AsyncGenerator[tuple[Inside, Upstream]]:
    """A server of ours, with the program as its provider `shed`."""
    async with (
        running(program) as server,
        seated(home, configured(like, server.url, *more)) as seat,
    ):
        yield seat, server


async def test_a_model_ollama_lacks_is_refused_with_the_command_and_what_it_has(
    tmp_path: Path,
) -> None:
    async with beside(tmp_path, Ollama(dict(HERE)), "ollama") as (seat, server):
        text = await seat.refused("complete", prompt="Hi", model="shed/qwen9")

    assert "shed does not have the model qwen9; run `ollama pull qwen9`" in text
    assert "or name one it has: tiny:1b (1.1 GB), llama3.1:8b (4.3 GB)" in text
    assert "allow_pull = true" in text
    assert [post.path for post in server.posts] == []


async def test_a_model_that_was_pulled_after_a_refusal_answers_at_once(tmp_path: Path) -> None:
    ollama = Ollama(dict(HERE))
    async with beside(tmp_path, ollama, "ollama") as (seat, _):
        await seat.refused("complete", prompt="Hi", model="shed/qwen9")
        ollama.here["qwen9:latest"] = GIB
        said = await seat.said("complete", prompt="Hi", model="shed/qwen9")

    assert said["text"] == "So far."


async def test_a_missing_model_is_downloaded_once_where_that_is_allowed(tmp_path: Path) -> None:
    heard: list[str] = []
    half = anyio.Event()
    ollama = Ollama(dict(HERE), pulls={"qwen9": 2 * GIB}, pause=half)

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        if "50%" in heard[-1]:
            half.set()

    asked = {"prompt": "Hi", "model": "shed/qwen9"}
    async with (
        beside(tmp_path, ollama, "ollama", "allow_pull = true") as (seat, server),
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(seat.said, "complete", **asked))
        result = await seat.client.call_tool("complete", asked, progress_callback=note)

        assert result.structured_content is not None
        assert result.structured_content["text"] == "So far."
    assert "downloading qwen9: 1.1 GB of 2.1 GB (50%)" in heard
    assert [post.path for post in server.posts].count("/api/pull") == 1


async def test_a_download_that_fails_is_told_in_the_programs_words(tmp_path: Path) -> None:
    async with beside(tmp_path, Ollama(dict(HERE)), "ollama", "allow_pull = true") as (
        seat,
        _,
    ):
        text = await seat.refused("complete", prompt="Hi", model="shed/nobody")

    assert "could not download nobody: pull model manifest: file does not exist" in text


async def test_keep_alive_goes_with_every_call_of_its_model(tmp_path: Path) -> None:
    more = ('keep_alive = "10m"', '[providers.shed.facts."tiny:1b"]', 'keep_alive = "forever"')
    async with beside(tmp_path, Ollama(dict(HERE)), "ollama", *more) as (seat, server):
        await seat.said("complete", prompt="Hi", model="shed/llama3.1:8b")
        await seat.said("complete", prompt="Hi", model="shed/tiny:1b")

    assert [post.json["keep_alive"] for post in server.posts] == [600, -1]


@pytest.mark.parametrize(
    ("changes", "words", "paths"),
    [
        ({"full": True}, "server busy", 2),
        ({"breaks": "an error was encountered while running the model"}, "while running", 2),
        ({"needs": "10.0 GiB"}, "It has smaller models: tiny:1b.", 1),
    ],
)
async def test_what_ollama_says_of_a_fault_reaches_the_caller(
    tmp_path: Path, changes: dict[str, object], words: str, paths: int
) -> None:
    ollama = Ollama(dict(HERE))
    for name, value in changes.items():
        setattr(ollama, name, value)
    async with beside(tmp_path, ollama, "ollama") as (seat, server):
        text = await seat.refused("complete", prompt="Hi", model="shed/llama3.1:8b")

    assert words in text
    assert len(server.posts) == paths


async def test_lm_studio_loads_a_model_once_for_two_servers_and_is_told_its_context(
    tmp_path: Path,
) -> None:
    studio = LmStudio({"qwen3": GIB, "big": 8 * GIB})
    more = ("[providers.shed.facts.qwen3]", "context = 4096")
    async with (
        beside(tmp_path, studio, "lmstudio", *more) as (one, server),
        started(tmp_path) as two,
        anyio.create_task_group() as group,
    ):
        for seat in (one, two):
            group.start_soon(partial(seat.said, "complete", prompt="Hi", model="shed/qwen3"))

    loads = [post.json for post in server.posts if post.path.endswith("/load")]
    assert loads == [{"model": "qwen3", "context_length": 4096}]
    assert studio.instances == {"qwen3": "qwen3"}


async def test_lm_studio_loads_by_itself_what_it_is_to_drop_by_itself(tmp_path: Path) -> None:
    studio = LmStudio({"qwen3": GIB}, jit=True)
    async with beside(tmp_path, studio, "lmstudio", 'keep_alive = "5m"') as (seat, server):
        await seat.said("complete", prompt="Hi", model="shed/qwen3")

    (post,) = server.posts
    assert (post.path, post.json["ttl"]) == ("/v1/chat/completions", 300)


async def test_what_lm_studio_cannot_load_is_said_in_its_words(tmp_path: Path) -> None:
    async with beside(
        tmp_path, LmStudio({"qwen3": GIB}, fails="insufficient system resources"), "lmstudio"
    ) as (seat, _):
        text = await seat.refused("complete", prompt="Hi", model="shed/qwen3")
        missing = await seat.refused("complete", prompt="Hi", model="shed/qwen9")

    assert "could not load qwen3: insufficient system resources" in text
    assert "does not have the model qwen9; run `lms get qwen9`" in missing


async def test_a_model_that_would_not_fit_is_refused_with_the_figures_and_what_could_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 3 * GIB)
    studio = LmStudio({"tiny": GIB, "mid": 2 * GIB, "big": 8 * GIB}, {"mid": "mid"})
    async with beside(tmp_path, studio, "lmstudio") as (seat, _):
        text = await seat.refused("complete", prompt="Hi", model="shed/big")
        fits = await seat.said("complete", prompt="Hi", model="shed/tiny")

    assert "shed/big needs about 8.6 GB of memory, and 3.2 GB are free" in text
    assert "unload_model can free shed/mid (2.1 GB), or name a smaller model" in text
    assert "(it has tiny, mid)" in text
    assert fits["text"] == "So far."


async def test_local_first_prefers_the_local_model_that_is_loaded(tmp_path: Path) -> None:
    cold, warm = Ollama(dict(HERE)), Ollama(dict(HERE), {"tiny:1b": 300})
    async with (
        running(cold) as first,
        running(warm) as second,
        seated(
            tmp_path,
            configured("ollama", first.url, name="cold"),
            configured("ollama", second.url, name="warm"),
        ) as seat,
    ):
        plain = await seat.said("route_for_task")
        chosen = await seat.said("route_for_task", strategy="local_first")

    assert plain["candidates"][0]["provider"] == "cold"
    assert [each["provider"] for each in chosen["candidates"]] == ["warm", "cold"]
    assert chosen["candidates"][0]["why"] == "local, loaded"


async def test_the_memory_check_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: GIB)
    async with beside(tmp_path, LmStudio({"big": 8 * GIB}), "lmstudio", "check_memory = false") as (
        seat,
        _,
    ):
        said = await seat.said("complete", prompt="Hi", model="shed/big")

    assert said["text"] == "So far."


async def test_a_router_loads_a_model_and_is_watched_until_it_has(tmp_path: Path) -> None:
    router = Router({"tiny": "unloaded", "broken": "unloaded"}, breaks=frozenset({"broken"}))
    async with beside(tmp_path, router, "llamacpp") as (seat, server):
        said = await seat.said("complete", prompt="Hi", model="shed/tiny")
        text = await seat.refused("complete", prompt="Hi", model="shed/broken")

    assert said["text"] == "So far."
    assert [post.path for post in server.posts][:2] == ["/models/load", "/v1/chat/completions"]
    assert "shed could not load broken: its process ended (status 1)" in text


async def test_a_model_is_unloaded_by_name_alias_or_whole_provider(tmp_path: Path) -> None:
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300, "tiny:1b": 300})
    alias = '[routing.aliases]\nhelper = "shed/llama3.1:8b"\n'
    async with beside(tmp_path, ollama, "ollama", alias) as (seat, _):
        by_alias = await seat.said("unload_model", model="helper")
        left = dict(ollama.loaded)
        ollama.loaded["llama3.1:8b"] = 300
        whole = await seat.said("unload_model", model="shed")
        nothing = await seat.said("unload_model", model="shed")
        ollama.loaded["tiny:1b"] = 300
        everything = await seat.said("unload_model", model="local")
        again = await seat.said("unload_model", model="local")
        unknown = await seat.said("unload_model", model="shed/llama3:8b")
        nowhere = await seat.refused("unload_model", model="tiny:2b")

    assert (by_alias["unloaded"], list(left)) == (True, ["tiny:1b"])
    assert [each["model"] for each in whole["models"]] == ["tiny:1b", "llama3.1:8b"]
    assert whole["models"][1]["reported_size"] == 4 * GIB + GIB // 4
    assert (whole["unloaded"], ollama.loaded) == (True, {})
    assert (nothing["unloaded"], nothing["detail"]) == (False, "shed holds no model now")
    assert [each["model"] for each in everything["models"]] == ["tiny:1b"]
    assert (again["unloaded"], again["detail"][:19]) == (False, "no model is loaded.")
    assert "did you mean shed/llama3.1:8b?" in unknown["detail"]
    assert "Did you mean" in nowhere


async def test_a_program_without_a_way_to_unload_is_said_to_have_none(tmp_path: Path) -> None:
    async with beside(tmp_path, Router({"m": "loaded"}), "vllm") as (seat, _):
        said = await seat.said("unload_model", model="shed/m")

    assert said["unloaded"] is False
    assert "shed has no way to unload a model; end the program" in said["detail"]


async def test_a_call_in_another_server_keeps_a_model_until_force_cancels_it(
    tmp_path: Path,
) -> None:
    ollama = Ollama(dict(HERE), pause=anyio.Event())
    async with (
        beside(tmp_path, ollama, "ollama") as (one, _),
        started(tmp_path, "--client", "nova") as two,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(two.refused, "complete", prompt="Hi", model="shed/tiny:1b"))
        await settled(tmp_path, "SELECT 1 FROM inflight")
        in_use = await one.refused("unload_model", model="shed/tiny:1b")
        forced = await one.said("unload_model", model="shed/tiny:1b", force=True)
        calls = await settled(tmp_path, "SELECT client, status FROM calls")

        assert "(calls running: 1, 1 of them in other servers; clients: nova)" in in_use
        assert forced["unloaded"] is True
        assert calls == [{"client": "nova", "status": "cancelled"}]


async def test_health_lists_what_is_loaded_with_size_idle_time_users_and_expiry(
    tmp_path: Path,
) -> None:
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300})
    async with beside(tmp_path, ollama, "ollama") as (seat, _):
        await seat.said("complete", prompt="Hi", model="shed/tiny:1b")
        said = await seat.said("provider_health", provider="shed", probe=True)

    other, used = said["providers"][0]["loaded_models"]
    assert (other["model"], other["size_bytes"]) == ("llama3.1:8b", 4 * GIB + GIB // 4)
    assert "idle_s" not in other
    assert used["model"] == "tiny:1b"
    assert used["idle_s"] < 10
    assert len(used["users"]) == 1
    assert "expires" in used


async def test_a_request_from_outside_unloads_too(tmp_path: Path) -> None:
    ollama = Ollama(dict(HERE), {"tiny:1b": 300})
    async with beside(tmp_path, ollama, "ollama") as (seat, _):
        said = await asked(seat, "provider.unload", {"model": "shed/tiny:1b"})
        wrong = await asked(seat, "provider.unload", {"model": 3})

    assert (said["ok"], said["unloaded"], ollama.loaded) == (True, True, {})
    assert not wrong["ok"]


async def asked(seat: Inside, kind: str, argument: dict[str, object]) -> dict[str, object]:
    ask = partial(control_rows.ask, by="tui", kind=kind, argument=json.dumps(argument))
    number = await seat.desk.ledger.write(ask, now=seat.desk.clock())
    query = "SELECT result FROM control WHERE id = ? AND done IS NOT NULL"
    with anyio.fail_after(5):
        return json.loads((await settled(seat.home, query, number))[0]["result"])


async def test_the_command_line_lists_what_is_loaded(tmp_path: Path) -> None:
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300})
    async with beside(tmp_path, ollama, "ollama") as (seat, _):
        await seat.said("complete", prompt="Hi", model="shed/tiny:1b")
        how = launch(tmp_path)
        words = [how.command, "-m", "roundhouse_mcp.server", "models", "--loaded"]
        done = await anyio.run_process(words, env=how.env)

    other, used = done.stdout.decode().splitlines()
    assert other.startswith("shed/llama3.1:8b ")
    assert "4.6 GB, 4,096 tokens, not used by Roundhouse, goes in " in other
    assert ", idle " in used
    assert ", used by " in used


@pytest.mark.parametrize(
    ("like", "line", "words"),
    [
        ("vllm", 'keep_alive = "10m"', "keep_alive: it is for ollama and lmstudio"),
        ("lmstudio", "allow_pull = true", "allow_pull: it is for ollama, and"),
        ("ollama", 'keep_alive = "soon"', 'a length of time like "10m", 600 or "forever"'),
    ],
)
def test_a_setting_the_program_does_not_know_is_refused(like: str, line: str, words: str) -> None:
    text = configured(like, "http://127.0.0.1:9/v1", line)

    with pytest.raises(ConfigError) as refused:
        understood(text, Path("config.toml"), {})

    assert words in str(refused.value)
