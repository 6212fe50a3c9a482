"""The shipped rows, and what is read out of them."""

from urllib.parse import urlsplit

import pytest

from roundhouse_mcp.providers.catalog import Provider, located, provider, shipped
from roundhouse_mcp.providers.matrix import QUIRKS
from roundhouse_mcp.providers.wire import chat_wire, embed_wire

CAPABILITIES = {
    "chat",
    "embeddings",
    "fine_tuning",
    "json",
    "offline",
    "reasoning",
    "streaming",
    "tools",
    "vision",
}
every_row = pytest.mark.parametrize("row", shipped().values(), ids=lambda row: row.name)


@every_row
def test_a_row_names_wires_that_exist(row: Provider) -> None:
    assert row.wire or row.embed_wire
    for name in {row.wire, *(facts.wire for facts in row.models)} - {None}:
        chat_wire(name or "")
    if row.embed_wire:
        embed_wire(row.embed_wire)


@every_row
def test_a_row_uses_only_words_somebody_reads(row: Provider) -> None:
    assert row.capabilities <= CAPABILITIES
    assert row.quirks <= set(QUIRKS)


@every_row
def test_a_row_says_how_to_use_it(row: Provider) -> None:
    assert row.title
    assert row.by_name_only or row.docs.startswith("https://")
    assert row.by_name_only or row.key_env
    assert ("embeddings" in row.capabilities) == (row.embed_wire is not None)
    assert ("chat" in row.capabilities) == (row.wire is not None)
    assert bool(row.start_hint) == (row.local and not row.by_name_only)
    assert row.key_required != row.local
    assert set(row.bearer_env) <= set(row.key_env)


@every_row
def test_a_row_is_reached_safely(row: Provider) -> None:
    address = urlsplit(row.base_url)

    assert row.local or not row.base_url or address.scheme == "https"
    assert row.local == (address.hostname in ("127.0.0.1", "mock"))
    assert row.base_url or row.url_env


@every_row
def test_the_default_models_of_a_hosted_service_are_known(row: Provider) -> None:
    if row.local:
        return

    assert bool(row.default) == bool(row.wire)
    assert row.default is None or row.facts(row.default).context
    assert row.default is None or row.facts(row.default).quality
    assert row.embed_wire is None or row.facts(row.embedding_model or "").embeddings is True


@every_row
def test_no_retention_is_claimed_only_with_a_source(row: Provider) -> None:
    assert row.retention is None or "https://" in row.retention


def test_the_longest_pattern_has_the_last_word() -> None:
    row = provider(
        "x",
        {
            "wire": "openai_chat",
            "base_url": "https://x.example",
            "models": {
                "a*": {"context": 10, "tools": True, "drop": ["stop"]},
                "a-b*": {"context": 20},
                "*": {"json": False},
            },
        },
    )

    found = row.facts("a-b-1")

    assert (found.context, found.tools, found.json, found.drop) == (20, True, False, ("stop",))
    assert found.pattern == "a-b-1"


def test_a_field_no_row_has_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        provider("x", {"wire": "w", "base_url": "b", "colour": "red"})
    with pytest.raises(TypeError, match="size"):
        provider("x", {"wire": "w", "base_url": "b", "models": {"m": {"size": 1}}})


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("ollama", "0.0.0.0", "http://127.0.0.1:11434"),
        ("ollama", "0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("ollama", "box", "http://box:11434"),
        ("ollama", " http://box:9 ", "http://box:9"),
        ("ollama", "https://box/", "https://box"),
        ("ollama", "[::1]:5", "http://[::1]:5"),
        ("ollama", "http://localhost:11434/v1", "http://localhost:11434"),
        ("ollama", "http://localhost:11434/api/", "http://localhost:11434"),
        ("ollama", "https://box/ollama", "https://box/ollama"),
        ("anthropic", "https://gate.example/v1", "https://gate.example"),
        ("lmstudio", "http://localhost:1234", "http://localhost:1234/v1"),
        ("lmstudio", "http://localhost:1234/v1/", "http://localhost:1234/v1"),
        ("azure", "https://me.openai.azure.com/", "https://me.openai.azure.com"),
    ],
)
def test_an_address_from_the_environment_is_completed(name: str, value: str, want: str) -> None:
    assert located(shipped()[name], value).base_url == want
