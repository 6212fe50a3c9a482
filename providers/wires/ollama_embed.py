"""Ollama's own embedding protocol."""

from typing import Any

from ..catalog import Provider
from ..classify import from_body
from ..request import Request, name_on_wire, request
from ..types import EmbedCall, Embedding, Usage

PATH = "/api/embed"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    body: dict[str, Any] = {"model": name_on_wire(provider, model), "input": list(call.texts)}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    if body.get("error"):
        raise from_body(provider, body)
    return Embedding(
        vectors=tuple(tuple(map(float, vector)) for vector in body["embeddings"]),
        usage=Usage(input=body.get("prompt_eval_count")),
        model=body.get("model") or None,
    )
