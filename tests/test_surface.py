"""Resources, prompts, completion and the choice of tools, as a client meets them in both eras."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import (
    PromptReference,
    ReadResourceResult,
    ResourceLink,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    TextContent,
    TextResourceContents,
)
from seats import Era, budget, launch, scripted, seated, started, write_config

from roundhouse_mcp.server import resources, vectors
from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.exposed import exposed
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.serve import build, lifetime
from roundhouse_mcp.server.updates import Seen, changed
from roundhouse_mcp.server.vectors import Vectors

ONE = scripted("one", "text=All%20is%20well.")
BOTH = pytest.mark.parametrize("era", ["auto", "legacy"])


def data(read: ReadResourceResult) -> Any:
    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


@BOTH
async def test_what_clients_can_read(tmp_path: Path, era: Era) -> None:
    write_config(tmp_path, ONE, budget("5"))
    async with started(tmp_path, era=era) as seat:
        listed = await seat.client.list_resources()
        templates = await seat.client.list_resource_templates()
        said = await seat.said("complete", prompt="How is it?")
        uris = [resource.uri for resource in listed.resources]
        recent, providers, budgets = [data(await seat.client.read_resource(uri)) for uri in uris]
        call = data(await seat.client.read_resource(f"roundhouse://calls/{said['call_id']}"))
        one = data(await seat.client.read_resource("roundhouse://providers/one"))

    assert uris == ["roundhouse://ledger/recent", "roundhouse://providers", "roundhouse://budgets"]
    assert [template.uri_template for template in templates.resource_templates] == [
        "roundhouse://calls/{id}",
        "roundhouse://providers/{name}",
        "roundhouse://embeddings/{id}",
    ]
    assert [each["call_id"] for each in recent["calls"]] == [said["call_id"]]
    assert recent["running"] == []
    assert "one" in [each["provider"] for each in providers["providers"]]
    assert budgets["budgets"][0]["budget"] == "global/total"
    assert (call["provider"], call["text"]) == ("one", "All is well.")
    assert one["calls"] == 1


@BOTH
@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("roundhouse://nothing", "There are roundhouse://ledger/recent, "),
        ("roundhouse://ledger/old", "there is no resource 'roundhouse://ledger/old'"),
        ("roundhouse://calls/none", "there is no call 'none'"),
        ("roundhouse://providers/none", "there is no provider 'none'"),
        ("roundhouse://embeddings/none", "Vectors are kept in memory by the server"),
        ("file:///etc/passwd", "there is no resource"),
    ],
)
async def test_what_is_no_resource_is_said_in_a_sentence(
    tmp_path: Path, era: Era, uri: str, complaint: str
) -> None:
    async with seated(tmp_path, ONE, era=era) as seat:
        with pytest.raises(MCPError) as refused:
            await seat.client.read_resource(uri)

    assert complaint in refused.value.error.message
    assert refused.value.error.code == -32602


async def test_resources_hold_no_key_and_nothing_a_terminal_obeys(tmp_path: Path) -> None:
    key = "sk-canary-0123456789abcdef"
    tricky = scripted("one", f"text=%1b%5d0;owned%07%e2%80%ae{key}", more='key_env = "ONE_KEY"')
    async with seated(tmp_path, tricky, environ={"ONE_KEY": key}) as seat:
        said = await seat.said("complete", prompt="Hi")
        read = await seat.client.read_resource(f"roundhouse://calls/{said['call_id']}")

    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    assert content.text.isprintable()
    assert key not in content.text
    assert data(read)["text"] == "\x1b]0;owned\x07\u202e[redacted]"


async def test_vectors_are_fetched_from_where_the_result_says(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE) as seat:
        asked = {"texts": ["a", "b"], "model": "one/m", "vectors": "resource"}
        result = await seat.call("embed", **asked)
        said: dict[str, Any] = result.structured_content or {}
        fetched = data(await seat.client.read_resource(said["resource"]))

    link = result.content[-1]
    assert isinstance(link, ResourceLink)
    assert link.uri == said["resource"] == f"roundhouse://embeddings/{said['call_id']}"
    assert "vectors" not in said
    assert fetched["dimensions"] == said["dimensions"]
    assert [len(vector) for vector in fetched["vectors"]] == [said["dimensions"]] * 2


async def test_vectors_that_are_too_many_are_not_kept_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "KEPT_NUMBERS", 3)
    async with seated(tmp_path, ONE) as seat:
        said = await seat.said("embed", texts=["a"], model="one/m", vectors="resource")

    assert "resource" not in said
    assert said["warnings"] == [
        "the vectors are too many to be kept; ask for fewer, or with vectors=inline"
    ]


def test_the_oldest_vectors_give_way() -> None:
    shelf = Vectors()
    for n in range(vectors.KEPT + 1):
        assert shelf.keep(str(n), "one", "m", [[0.5]])

    assert shelf.find("0") is None
    assert shelf.find("1") is not None
    assert len(shelf.kept) == vectors.KEPT


NONE = Seen({}, {}, {}, frozenset())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (NONE, NONE, set[str]()),
        (
            NONE,
            Seen({"A": "one"}, {}, {}, frozenset()),
            {"calls/A", "ledger/recent", "providers", "providers/one"},
        ),
        (NONE, Seen({"A": None}, {}, {}, frozenset()), {"calls/A", "ledger/recent"}),
        (
            Seen({}, {"A": ("connect", 1)}, {}, frozenset()),
            Seen({}, {"A": ("stream", 1)}, {}, frozenset()),
            {"calls/A", "ledger/recent"},
        ),
        (
            NONE,
            Seen({}, {}, {("one", "m"): (1.0,)}, frozenset()),
            {"providers", "providers/one"},
        ),
        (NONE, Seen({}, {}, {}, frozenset({("global/day", 5)})), {"budgets"}),
    ],
)
def test_what_changed_between_two_looks(before: Seen, after: Seen, expected: set[str]) -> None:
    assert changed(before, after) == {f"roundhouse://{path}" for path in expected}


class Heard:
    """The addresses a client was told of."""

    def __init__(self) -> None:
        self.uris: set[str] = set()
        self.more = anyio.Event()

    async def __call__(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.hear(str(message.params.uri))

    def hear(self, uri: str) -> None:
        self.uris.add(uri)
        self.more.set()
        self.more = anyio.Event()

    async def all_of(self, *wanted: str) -> None:
        with anyio.fail_after(20):
            while not self.uris >= set(wanted):
                await self.more.wait()


FOLLOWED = ("roundhouse://ledger/recent", "roundhouse://budgets", "roundhouse://providers/one")


@asynccontextmanager
async def following(client: Client, heard: Heard, era: Era) -> AsyncGenerator[None]:
    if era == "legacy":
        for uri in FOLLOWED:
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
        yield
        return
    async with (
        client.listen(resource_subscriptions=FOLLOWED) as stream,
        anyio.create_task_group() as group,
    ):

        async def collect() -> None:
            async for event in stream:
                heard.hear(getattr(event, "uri", ""))

        group.start_soon(collect)
        yield
        group.cancel_scope.cancel()


@BOTH
async def test_a_client_hears_of_what_another_process_did(tmp_path: Path, era: Era) -> None:
    write_config(tmp_path, ONE, budget("5"))
    heard = Heard()
    async with (
        Client(launch(tmp_path), mode=era, message_handler=heard) as client,
        following(client, heard, era),
        started(tmp_path) as other,
    ):
        await other.said("complete", prompt="How is it?")
        await heard.all_of(*FOLLOWED)

    assert heard.uris == set(FOLLOWED)


@BOTH
async def test_prompts_say_what_to_do_with_the_tools(tmp_path: Path, era: Era) -> None:
    async with seated(tmp_path, ONE, era=era) as seat:
        listed = await seat.client.list_prompts()
        asked = {"question": "Is it so?", "models": "one/m, two/n"}
        got = await seat.client.get_prompt("compare_models", asked)
        second = await seat.client.get_prompt("second_opinion", {"question": "Why?"})

    names = [prompt.name for prompt in listed.prompts]
    assert names == ["second_opinion", "compare_models", "cheap_draft_then_review"]
    (message,) = got.messages
    assert isinstance(message.content, TextContent)
    assert message.content.text.startswith("Ask each of one/m, two/n (argument model) the same")
    assert message.content.text.endswith("The question:\nIs it so?")
    assert "prefer='best_quality'" in str(second.messages[0].content)


@BOTH
@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("nothing", {}, "there is no prompt 'nothing'. There are second_opinion, "),
        ("second_opinion", {}, "second_opinion needs the argument 'question'"),
        ("second_opinion", {"question": "?", "wrong": "x"}, "has no argument 'wrong'. Its argum"),
        ("compare_models", {"question": "?" * 100_001}, "question has more than 100,000 char"),
    ],
)
async def test_wrong_prompts_are_refused_in_a_sentence(
    tmp_path: Path, era: Era, name: str, arguments: dict[str, str], complaint: str
) -> None:
    async with seated(tmp_path, era=era) as seat:
        with pytest.raises(MCPError) as refused:
            await seat.client.get_prompt(name, arguments)

    assert complaint in refused.value.error.message
    assert refused.value.error.code == -32602


@BOTH
async def test_names_are_completed(tmp_path: Path, era: Era) -> None:
    prompt = PromptReference(type="ref/prompt", name="compare_models")
    template = ResourceTemplateReference(type="ref/resource", uri="roundhouse://calls/{id}")
    config = scripted("one", models="big small") + scripted("other")
    async with seated(tmp_path, config, era=era) as seat:
        call = await seat.said("complete", prompt="Hi")

        async def completed(ref: Any, name: str, value: str) -> list[str]:
            found = await seat.client.complete(ref, {"name": name, "value": value})
            return found.completion.values

        models = await completed(prompt, "models", "one/big,sma")
        model = await completed(prompt, "model", "one/")
        provider = await completed(template, "name", "oth")
        task = await completed(prompt, "task", "summ")
        calls = await completed(template, "id", "")
        nothing = await completed(prompt, "question", "x")

    assert models == ["one/big,one/small"]
    assert model == ["one/big", "one/small"]
    assert provider == ["other"]
    assert task == ["summarization"]
    assert calls == [call["call_id"]]
    assert nothing == []


async def test_a_server_shows_the_tools_it_is_launched_with_under_a_prefix(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    async with started(tmp_path, "--tools", "embed,complete", "--tool-prefix", "rh_") as seat:
        listed = (await seat.client.list_tools()).tools
        said = await seat.said("rh_complete", prompt="Hi")
        hidden = await seat.call("rh_cost_report")
        wrong = await seat.refused("rh_complete", nothing=1)
        prompt = await seat.client.get_prompt("second_opinion", {"question": "?"})
        instructions = seat.client.instructions or ""

    assert [tool.name for tool in listed] == ["rh_complete", "rh_embed"]
    assert said["text"] == "All is well."
    assert hidden.is_error
    assert "rh_complete has no argument 'nothing'" in wrong
    assert "with the tool rh_complete" in str(prompt.messages[0].content)
    assert "\nrh_complete asks a model" in instructions
    assert "see rh_route_for_task" in (listed[0].description or "")


async def test_without_complete_there_are_no_prompts(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    server, desk = build(Home(tmp_path), environ={}, shown=exposed("cost_report", None))
    async with lifetime(desk), Client(server) as client:
        assert (await client.list_prompts()).prompts == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--tools", "complete,emebd"), "There is no tool 'emebd'. There are complete, embed, "),
        (("--tools", " , "), "--tools names no tool. There are complete"),
        (("--tool-prefix", "my tools/"), "--tool-prefix takes at most 40 letters"),
    ],
)
def test_wrong_choices_of_tools_are_one_sentence(
    arguments: tuple[str, ...], complaint: str
) -> None:
    done = CliRunner().invoke(command_line(), ["serve", *arguments])

    assert done.exit_code == 2
    assert complaint in done.output


def test_what_is_listed_has_a_reader() -> None:
    kinds = {resource.uri.split("/")[2] for resource in resources.RESOURCES}
    kinds |= {template.uri_template.split("/")[2] for template in resources.TEMPLATES}

    assert kinds == set(resources.READERS)
