"""Probes: what local programs and clouds answer to free questions, and how models are dropped."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from seats import quiet
from upstream import Request, answer, plainly, read_request

from roundhouse_mcp.providers import catalog
from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.providers.errors import Unreachable
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.probe import Line, probe, recognised
from roundhouse_mcp.providers.unloading import unload
from roundhouse_mcp.server.config import understood
from roundhouse_mcp.server.keys import Keys
from roundhouse_mcp.server.registry import Registry

Reply = tuple[int, Any]


class Program:
    """A local program on a loopback port: answers by method and path, and remembers what it was
    asked. A POST may change what later GETs answer."""

    def __init__(self, replies: dict[str, Reply], after: dict[str, dict[str, Reply]]) -> None:
        self.replies = replies
        self.after = after
        self.url = ""
        self.asked: list[Request] = []

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.asked]

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            request = await read_request(stream)
            self.asked.append(request)
            line = f"{request.method} {request.path}"
            status, body = self.replies.get(line, (404, {"error": "there is no such path"}))
            self.replies |= self.after.get(line, {})
            text = body if isinstance(body, str) else json.dumps(body)
            await answer(text, status=status)(request, stream.send)

    def row(self, name: str, path: str = "") -> Provider:
        return replace(catalog.shipped()[name], base_url=self.url + path)


@asynccontextmanager
async def program(
    replies: dict[str, Reply], after: dict[str, dict[str, Reply]] | None = None
) -> AsyncGenerator[tuple[Program, Http]]:
    running = Program(dict(replies), after or {})
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    running.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    with plainly(), anyio.fail_after(20):
        async with listener, Http() as http, anyio.create_task_group() as group:
            group.start_soon(listener.serve, running.serve)
            yield running, http
            group.cancel_scope.cancel()


TAGS = {
    "models": [
        {"name": "llama3.1:8b", "details": {"family": "llama"}},
        {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
    ]
}
RUNNING = {"models": [{"name": "llama3.1:8b", "size": 6_200_000_000}]}
OLLAMA: dict[str, Reply] = {"GET /api/tags": (200, TAGS), "GET /api/ps": (200, RUNNING)}
LMSTUDIO: dict[str, Reply] = {
    "GET /api/v1/models": (
        200,
        {
            "models": [
                {"type": "llm", "key": "qwen3", "loaded_instances": [{"id": "a"}, {"id": "b"}]},
                {"type": "embedding", "key": "nomic", "loaded_instances": []},
            ]
        },
    ),
}


def routed(state: str) -> Reply:
    models = [
        {"id": "tiny", "status": {"value": state}},
        {"id": "b", "status": {"value": "unloaded"}},
    ]
    return 200, {"object": "list", "data": models}


async def test_ollama_says_what_it_has_and_what_is_loaded() -> None:
    async with program(OLLAMA) as (ollama, http):
        found = await probe(http, ollama.row("ollama"), None)

    assert found.reachable
    assert found.models == ("llama3.1:8b", "nomic-embed-text:latest")
    assert (found.loaded, found.embedding) == (("llama3.1:8b",), ("nomic-embed-text:latest",))


async def test_lm_studio_says_what_it_has_and_what_is_loaded() -> None:
    async with program(LMSTUDIO) as (studio, http):
        found = await probe(http, studio.row("lmstudio", "/v1"), None)

    assert (found.models, found.loaded, found.embedding) == (
        ("qwen3", "nomic"),
        ("qwen3",),
        ("nomic",),
    )


async def test_an_older_lm_studio_is_asked_the_old_way() -> None:
    listed: Reply = (200, {"data": [{"id": "qwen3"}]})
    async with program({"GET /v1/models": listed}) as (studio, http):
        found = await probe(http, studio.row("lmstudio", "/v1"), None)

    assert (found.reachable, found.models, found.loaded) == (True, ("qwen3",), ())


@pytest.mark.parametrize(
    ("reply", "loaded"),
    [((200, {"data": [{"id": "tiny"}]}), ("tiny",)), (routed("loaded"), ("tiny",))],
)
async def test_llama_cpp_alone_has_its_model_loaded_and_as_a_router_says_so(
    reply: Reply, loaded: tuple[str, ...]
) -> None:
    async with program({"GET /v1/models": reply}) as (server, http):
        found = await probe(http, server.row("llamacpp", "/v1"), None)

    assert found.loaded == loaded


@pytest.mark.parametrize(
    "body",
    [
        [{"id": "a"}],
        {"data": [{"id": "a"}]},
        {"models": [{"name": "a"}]},
        {"modelSummaries": [{"modelId": "a", "modelName": "A"}]},
    ],
)
async def test_a_cloud_lists_its_models_in_one_of_four_shapes(body: Any) -> None:
    async with program({"GET /v1/models": (200, body)}) as (cloud, http):
        found = await probe(http, cloud.row("openai", "/v1"), "a-key")

    assert (found.models, found.key_accepted) == (("a",), True)
    assert cloud.asked[0].headers["authorization"] == "Bearer a-key"


@pytest.mark.parametrize("reply", [(404, {"detail": "Not Found"}), (200, "<html>"), (500, "")])
async def test_a_service_without_a_free_question_is_only_looked_for(reply: Reply) -> None:
    async with program({"GET /v1": reply}) as (cloud, http):
        found = await probe(http, cloud.row("voyage", "/v1"), "a-key")
        dead = await probe(http, replace(cloud.row("voyage"), base_url="http://127.0.0.1:1"), "k")
        unsafe = await probe(http, replace(cloud.row("voyage"), base_url="http://8.8.8.8"), "k")

    assert (found.reachable, found.key_accepted, found.models) == (True, None, ())
    assert found.detail == "nothing free tests the key; it answers"
    assert [request.headers.get("authorization") for request in cloud.asked] == [None]
    assert [dead.reachable, unsafe.reachable] == [False, False]
    assert "use https" in unsafe.detail


async def test_a_service_that_says_what_a_model_is_for_is_believed() -> None:
    models = [
        {"name": "command-x", "endpoints": ["chat", "generate"]},
        {"name": "embed-x", "endpoints": ["embed"]},
        {"name": "old", "endpoints": 7},
    ]
    async with program({"GET /v1/models?page_size=1000": (200, {"models": models})}) as (
        cloud,
        http,
    ):
        found = await probe(http, cloud.row("cohere"), "a-key")

    assert (found.models, found.embedding) == (("command-x", "embed-x", "old"), ("embed-x",))


async def test_google_lists_paths_and_which_models_embed() -> None:
    listed = {
        "models": [
            {"name": "models/a", "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/e", "supportedGenerationMethods": ["embedContent"]},
        ]
    }
    async with program({"GET /v1/models?pageSize=1000": (200, listed)}) as (google, http):
        found = await probe(http, google.row("gemini"), "a-key")

    assert (found.models, found.embedding) == (("a", "e"), ("e",))
    assert google.asked[0].headers["x-goog-api-key"] == "a-key"


async def test_a_model_named_by_its_file_keeps_its_path() -> None:
    body = {"data": [{"id": "models/tiny.gguf"}]}
    async with program({"GET /v1/models": (200, body)}) as (cloud, http):
        found = await probe(http, cloud.row("openai", "/v1"), "a-key")

    assert found.models == ("models/tiny.gguf",)


async def test_a_refused_key_is_told_apart_from_a_dead_provider() -> None:
    async with program({"GET /v1/models": (401, {"error": {"message": "bad key"}})}) as (
        cloud,
        http,
    ):
        refused = await probe(http, cloud.row("openai", "/v1"), "a-key")
        dead = await probe(
            http, replace(cloud.row("openai"), base_url="http://127.0.0.1:1"), "a-key"
        )

    assert (refused.reachable, refused.key_accepted) == (True, False)
    assert (dead.reachable, dead.key_accepted) == (False, None)


@pytest.mark.parametrize("body", ["", "<html>hello</html>", '{"status": "ok"}', '"x"', "null"])
async def test_a_status_200_without_a_list_is_no_sign_of_health(body: str) -> None:
    async with program({"GET /v1/models": (200, body)}) as (server, http):
        found = await probe(http, server.row("llamacpp", "/v1"), None)

    assert not found.reachable
    assert found.detail


HEALTHY: Reply = (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("list_of_models", "models"),
    [
        ((200, ""), ("default_model",)),
        ((200, {"data": [{"id": "a/b", "object": "model"}]}), ("default_model", "a/b")),
    ],
)
async def test_mlx_has_first_what_it_was_started_with(
    list_of_models: Reply, models: tuple[str, ...]
) -> None:
    replies = {"GET /health": HEALTHY, "GET /v1/models": list_of_models}
    async with program(replies) as (server, http):
        found = await probe(http, server.row("mlx", "/v1"), None)

    assert (found.models, found.loaded) == (models, ("default_model",))


async def test_a_program_that_does_not_say_it_is_well_is_not_taken_for_mlx() -> None:
    async with program({"GET /health": (200, [1]), "GET /v1/models": (200, "")}) as (server, http):
        found = await probe(http, server.row("mlx", "/v1"), None)

    assert not found.reachable


async def test_vllm_has_its_model_loaded() -> None:
    listed: Reply = (200, {"data": [{"id": "q", "owned_by": "vllm"}]})
    async with program({"GET /v1/models": listed}) as (server, http):
        found = await probe(http, server.row("vllm", "/v1"), None)

    assert (found.models, found.loaded) == (("q",), ("q",))


async def test_transformers_lists_what_was_downloaded() -> None:
    listed: Reply = (200, {"data": [{"id": "a/b", "owned_by": "a"}]})
    async with program({"GET /v1/models": listed}) as (server, http):
        found = await probe(http, server.row("transformers", "/v1"), None)

    assert found.models == ("a/b",)


@pytest.mark.parametrize(
    ("owner", "name"), [("vllm", "vllm"), ("llamacpp", "llamacpp"), (None, "mlx")]
)
async def test_at_a_shared_port_a_program_is_told_by_its_list_of_models(
    owner: str | None, name: str
) -> None:
    async with Http() as http:
        shipped = Line(http, catalog.shipped()[name], None)
        moved = replace(shipped, provider=replace(shipped.provider, base_url="http://box:1/v1"))
        theirs = {"data": [{"id": "m", "owned_by": "somebody"}]}

        recognised(shipped, {"data": [{"id": "m", "owned_by": owner}]}, owner)
        recognised(shipped, {"data": []}, owner)
        recognised(moved, theirs, owner)
        with pytest.raises(Unreachable, match="another program answers"):
            recognised(shipped, theirs, owner)


async def test_who_cannot_unload_is_not_asked_to() -> None:
    async with program({"GET /v1/models": (200, {"data": [{"id": "tiny"}]})}) as (server, http):
        single = await unload(http, server.row("llamacpp", "/v1"), None, "tiny")
        cloud = await unload(http, server.row("openai", "/v1"), "a-key", "gpt-5")

    assert (single.unloaded, cloud.unloaded) == (False, False)
    assert "stop the program" in single.detail
    assert server.lines == ["GET /v1/models"]


async def test_local_programs_are_found_and_asked_again_only_after_a_while() -> None:
    async with program(OLLAMA) as (ollama, http):
        environ = {"OLLAMA_HOST": ollama.url.removeprefix("http://")}
        settings = understood(quiet("ollama"), Path("config.toml"), environ).settings
        registry = Registry.build(settings, Keys(environ), environ)

        await registry.discover(http)
        await registry.discover(http)

    row = registry.named("ollama")
    assert ollama.lines == ["GET /api/tags", "GET /api/ps"]
    assert (row.absent(), row.default_model) == ((None, ""), "llama3.1:8b")
    assert row.embedding_model == "nomic-embed-text:latest"
    assert registry.resolve("llama3.1:8b") == [(row, "llama3.1:8b")]
    assert registry.resolve("ollama/nomic-embed-text") == [(row, "nomic-embed-text:latest")]


async def test_a_service_without_a_list_of_models_is_asked_whether_it_takes_the_key() -> None:
    account = {"type": "user", "username": "someone"}
    async with program({"GET /v1/account": (200, account)}) as (service, http):
        found = await probe(http, service.row("replicate"), "a-key")

    assert (found.reachable, found.key_accepted, found.models) == (True, True, ())
    assert found.detail == "it has no list of models"


async def test_a_list_that_anybody_may_read_proves_no_key() -> None:
    async with program({"GET /v1/models": (200, {"data": [{"id": "a/b"}]})}) as (service, http):
        found = await probe(http, service.row("huggingface"), "a-key")

    assert (found.reachable, found.key_accepted, found.models) == (True, None, ("a/b",))


async def test_a_key_that_a_public_list_refuses_is_refused() -> None:
    refused = {"error": "Invalid username or password."}
    async with program({"GET /v1/models": (401, refused)}) as (service, http):
        found = await probe(http, service.row("huggingface"), "a-key")

    assert (found.reachable, found.key_accepted) == (True, False)
