"""Voyage AI's embedding protocol: near OpenAI's, with words of its own."""

from typing import Any

from ..catalog import Provider
from ..classify import from_body
from ..request import Request, name_on_wire, request
from ..types import EmbedCall, Embedding
from . import openai_embeddings

PATH = "/embeddings"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    """Asks the service to refuse texts that are too long. Left to itself it would cut them, and a
    vector does not show that it stands for half a text."""
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "input": list(call.texts),
        "truncation": False,
        "encoding_format": "base64",
    }
    if call.input_type is not None:
        body["input_type"] = call.input_type
    if call.dimensions is not None:
        body["output_dimension"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    if body.get("detail") and not body.get("data"):
        raise from_body(provider, body)
    return openai_embeddings.decode(body, provider=provider)
