"""Cohere's embeddings on Bedrock. The answer's token count stands in a header (http.py)."""

from collections.abc import Sequence
from typing import Any

from ..catalog import Provider
from ..request import Request, request
from ..types import EmbedCall, Embedding, Usage

PATH = "/model/{deployment}/invoke"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    body: dict[str, Any] = {
        "texts": list(call.texts),
        "input_type": f"search_{call.input_type or 'document'}",
        "embedding_types": ["float"],
    }
    if call.dimensions is not None:
        body["output_dimension"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    """Vectors by type, or, from older models, as they are."""
    found: Any = body["embeddings"]
    rows: Sequence[Any] = found["float"] if hasattr(found, "keys") else found
    return Embedding(vectors=tuple(tuple(map(float, row)) for row in rows), usage=Usage())
