"""A parrot in this process: it says again what it heard last, word by word."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.providers.errors import Refused
from roundhouse_mcp.providers.probe import Probe
from roundhouse_mcp.providers.types import Call, Chunk, EmbedCall, Embedding, Usage


class Parrot:
    ROW: ClassVar[Mapping[str, Any]] = {
        "title": "Parrot",
        "key_required": False,
        "capabilities": ["chat", "streaming", "embeddings", "offline"],
        "default": "grey",
        "embedding_model": "feather",
        "models": {"grey": {"context": 4096, "max_output": 1024, "quality": 1}},
    }

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    async def stream(self, call: Call, *, model: str, key: str | None) -> AsyncIterator[Chunk]:
        heard = call.messages[-1].text.split()
        if not heard:
            raise Refused(self.provider.name, "a parrot needs to hear something")
        said = heard[: call.max_tokens]
        for n, word in enumerate(said):
            yield Chunk(text=f" {word}" if n else word, model=model)
        yield Chunk(
            finish_reason="stop" if said == heard else "length",
            usage=Usage(input=len(heard), output=len(said)),
            done=True,
        )

    async def embed(self, call: EmbedCall, *, model: str, key: str | None) -> Embedding:
        vectors = tuple((float(len(text)), float(len(text.split()))) for text in call.texts)
        words = sum(len(text.split()) for text in call.texts)
        return Embedding(vectors=vectors, usage=Usage(input=words, output=0), model=model)

    async def health(self, key: str | None) -> Probe:
        return Probe(reachable=True, models=("grey", "feather"), embedding=("feather",))
