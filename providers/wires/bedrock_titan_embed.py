"""Amazon's Titan embeddings on Bedrock: one text per request."""

from typing import Any

from ..catalog import Provider
from ..request import Request, request
from ..types import EmbedCall, Embedding, Usage

PATH = "/model/{deployment}/invoke"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    """Raises ValueError for more than one text: the row says how many go into a request."""
    (text,) = call.texts
    body: dict[str, Any] = {"inputText": text}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    return Embedding(
        vectors=(tuple(map(float, body["embedding"])),),
        usage=Usage(input=body.get("inputTextTokenCount")),
    )
