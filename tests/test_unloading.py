"""Models dropped from programs the user runs, by the rules of each program."""

from dataclasses import replace

import pytest
from local_programs import GIB, LmStudio, Ollama, Router, running
from upstream import Upstream

from roundhouse_mcp.providers import catalog, unloading
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.probe import Probe, probe
from roundhouse_mcp.providers.unloading import Unloaded

HERE = {"llama3.1:8b": 4 * GIB, "nomic-embed-text:latest": GIB // 4}


def row(like: str, server: Upstream) -> catalog.Provider:
    address = server.url.removesuffix("/v1") if like == "ollama" else server.url
    return replace(catalog.shipped()[like], base_url=address)


async def unloaded(like: str, server: Upstream, model: str, key: str | None = None) -> Unloaded:
    async with Http() as http:
        return await unloading.unload(http, row(like, server), key, model)


async def probed(like: str, server: Upstream) -> Probe:
    async with Http() as http:
        return await probe(http, row(like, server), None)


async def test_ollama_drops_a_model_by_an_empty_prompt_and_says_what_it_took() -> None:
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300})
    async with running(ollama) as server:
        done = await unloaded("ollama", server, "llama3.1:8b")
        again = await unloaded("ollama", server, "llama3.1:8b")

    assert (done.unloaded, again.unloaded, ollama.loaded) == (True, False, {})
    assert "freeing 4.6 GB" in done.detail
    assert "not loaded" in again.detail
    assert server.posts[0].json == {
        "model": "llama3.1:8b",
        "prompt": "",
        "keep_alive": 0,
        "stream": False,
    }


async def test_ollama_drops_a_model_that_only_embeds_by_its_short_name() -> None:
    embedder = "nomic-embed-text:latest"
    ollama = Ollama(dict(HERE), {embedder: 300}, embeds_only=frozenset({embedder}))
    async with running(ollama) as server:
        done = await unloaded("ollama", server, "nomic-embed-text")

    assert (done.unloaded, ollama.loaded) == (True, {})
    assert [post.path for post in server.posts] == ["/api/generate", "/api/embed"]


async def test_what_others_still_use_is_said_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unloading, "LOOKS", 2)
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300}, busy={"llama3.1:8b"})
    async with running(ollama) as server:
        done = await unloaded("ollama", server, "llama3.1:8b")

    assert not done.unloaded
    assert "still keeps llama3.1:8b; it drops a model when the requests" in done.detail


async def test_ollama_says_size_context_and_expiry_but_none_where_it_keeps_a_model_for_good() -> (
    None
):
    ollama = Ollama(dict(HERE), {"llama3.1:8b": 300, "nomic-embed-text:latest": -1})
    async with running(ollama) as server:
        found = await probed("ollama", server)

    brief, for_good = found.resident
    assert (brief.size, brief.context) == (4 * GIB + GIB // 4, 4096)
    assert brief.expires is not None
    assert for_good.expires is None
    assert found.weights == HERE


async def test_lm_studio_drops_every_instance_of_a_model_or_the_one_that_is_named() -> None:
    studio = LmStudio({"qwen3": GIB}, {"qwen3": "qwen3", "qwen3:2": "qwen3", "qwen3:3": "qwen3"})
    async with running(studio) as server:
        found = await probed("lmstudio", server)
        one = await unloaded("lmstudio", server, "qwen3:3")
        rest = await unloaded("lmstudio", server, "qwen3")
        again = await unloaded("lmstudio", server, "qwen3")

    assert found.resident[0].instances == ("qwen3", "qwen3:2", "qwen3:3")
    assert found.resident[0].context == 8192
    assert [one.unloaded, rest.unloaded, again.unloaded] == [True, True, False]
    assert "qwen3 (2 instances) was unloaded" in rest.detail
    assert [post.json for post in server.posts] == [
        {"instance_id": "qwen3:3"},
        {"instance_id": "qwen3"},
        {"instance_id": "qwen3:2"},
    ]


async def test_an_instance_that_goes_by_itself_meanwhile_is_unloaded_all_the_same() -> None:
    studio = LmStudio({"qwen3": GIB}, {"qwen3": "qwen3", "b": "qwen3"}, vanishes=True)
    async with running(studio) as server:
        done = await unloaded("lmstudio", server, "qwen3")

    assert (done.unloaded, studio.instances) == (True, {})


async def test_what_lm_studio_refuses_to_drop_is_said_in_its_words() -> None:
    studio = LmStudio({"qwen3": GIB}, {"qwen3": "qwen3"}, stuck=True)
    async with running(studio) as server:
        done = await unloaded("lmstudio", server, "qwen3")

    assert not done.unloaded
    assert done.detail == "lmstudio still keeps qwen3: The model is in use"


async def test_an_older_lm_studio_is_said_to_need_an_update() -> None:
    async with running(LmStudio({"qwen3": GIB}, old=True)) as server:
        done = await unloaded("lmstudio", server, "qwen3")
        found = await probed("lmstudio", server)

    assert not done.unloaded
    assert "since LM Studio 0.4.0; update it, or run `lms unload qwen3`" in done.detail
    assert found.models == ("qwen3",)


async def test_lm_studio_gets_its_token() -> None:
    studio = LmStudio({"qwen3": GIB}, {"qwen3": "qwen3"}, token="secret")
    async with running(studio) as server:
        done = await unloaded("lmstudio", server, "qwen3", "secret")

    assert done.unloaded


async def test_a_router_is_watched_until_the_model_is_gone() -> None:
    router = Router({"tiny": "loaded", "b": "unloaded"})
    async with running(router) as server:
        found = await probed("llamacpp", server)
        done = await unloaded("llamacpp", server, "tiny")
        again = await unloaded("llamacpp", server, "tiny")

    assert found.loaded == ("tiny",)
    assert (done.unloaded, again.unloaded, router.states["tiny"]) == (True, False, "unloaded")
    assert [post.path for post in server.posts] == ["/models/unload"]


async def test_a_model_the_router_ended_meanwhile_is_no_error() -> None:
    async with running(Router({"tiny": "loaded"}, vanishes=True)) as server:
        done = await unloaded("llamacpp", server, "tiny")

    assert not done.unloaded
    assert done.detail == "tiny is not loaded in llamacpp (loaded: nothing)"
