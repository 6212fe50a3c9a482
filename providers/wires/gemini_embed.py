"""Gemini's embedding protocol: always a batch, in which every text has a request of its own. Texts
in one request would be parts of one content, and get one vector."""

from typing import Any

from ..catalog import Provider
from ..classify import from_body
from ..request import Request, name_on_wire, request
from ..types import EmbedCall, Embedding, Usage
from .gemini import PATH, known_name, method

TASKS = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    name = known_name(model)
    on_wire = name_on_wire(provider, name)
    common: dict[str, Any] = {"model": f"models/{on_wire}"}
    if call.input_type is not None:
        common["taskType"] = TASKS[call.input_type]
    if call.dimensions is not None:
        common["outputDimensionality"] = call.dimensions
    requests = [
        {**common, "content": {"role": "user", "parts": [{"text": text}]}} for text in call.texts
    ]
    path = method(provider.embed_path or PATH, on_wire, "batchEmbedContents")
    return request(provider, path, {"requests": requests}, model=name)


def decode(body: Any, *, provider: str) -> Embedding:
    """Older models report no usage, and do not normalise vectors of fewer dimensions."""
    if body.get("error"):
        raise from_body(provider, body)
    used: Any = body.get("usageMetadata") or {}
    return Embedding(
        vectors=tuple(tuple(map(float, each["values"])) for each in body["embeddings"]),
        usage=Usage(input=used.get("promptTokenCount")),
    )
