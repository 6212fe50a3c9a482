"""One llama.cpp for chat and one for embeddings, shared by every test of the folder."""

import importlib.util
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ..seats import quiet
from .llama import Llama, llama, write_model


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for extra in ("xllamacpp", "gguf"):
        if importlib.util.find_spec(extra) is None:
            pytest.skip(f"{extra} is not installed; `uv sync --group ci` installs it")
    path = tmp_path_factory.mktemp("llama") / "tiny.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="session")
async def chat(model: Path) -> AsyncGenerator[Llama]:
    async with llama(model, "chat") as server:
        yield server


@pytest.fixture(scope="session")
async def embedder(model: Path) -> AsyncGenerator[Llama]:
    async with llama(model, "embedding") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, chat: Llama, embedder: Llama) -> Path:
    """A home whose config reaches llama.cpp by the OpenAI wire, by the Anthropic wire, and for
    embeddings."""
    (tmp_path / "config.toml").write_text(
        f"""
{quiet("llamacpp")}
[providers.llamacpp]
base_url = "{chat.url}/v1"
[providers.claude-like]
wire = "anthropic_messages"
base_url = "{chat.url}"
auth = "none"
local = true
models = ["tiny"]
[providers.claude-like.facts.tiny]
sampling = true
[providers.embedder]
like = "llamacpp"
base_url = "{embedder.url}/v1"
embedding_model = "tiny"
[[budgets]]
scope = "global"
limit_usd = "1"
""",
        encoding="utf-8",
    )
    return tmp_path
