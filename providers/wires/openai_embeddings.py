"""Embeddings as OpenAI's protocol has them."""

import base64
from array import array
from typing import Any

from ..catalog import Provider
from ..classify import from_body
from ..request import Request, name_on_wire, request
from ..types import EmbedCall, Embedding, Usage

PATH = "/embeddings"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "input": list(call.texts),
        "encoding_format": "base64",
    }
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    if body.get("error") and not body.get("data"):
        raise from_body(provider, body)
    data: list[Any] = body["data"]
    order = sorted(range(len(data)), key=lambda n: data[n].get("index", n))
    if [data[n].get("index", n) for n in order] != list(range(len(data))):
        raise ValueError("the vectors are not numbered one by one from 0")
    used: Any = body.get("usage") or {}
    return Embedding(
        vectors=tuple(vector(data[n]["embedding"]) for n in order),
        # Some programs report zero for texts that were certainly read: not known, then.
        usage=Usage(input=used.get("prompt_tokens") or used.get("total_tokens") or None),
        model=body.get("model") or None,
        raw_usage=body.get("usage") or None,
    )


def vector(given: Any) -> tuple[float, ...]:
    """Floats, or their little-endian 32-bit form as base64."""
    if not isinstance(given, str):
        return tuple(map(float, given))
    floats = array("f", base64.b64decode(given, validate=True))
    if BIG_ENDIAN:
        floats.byteswap()
    return tuple(floats)


BIG_ENDIAN = array("H", b"\x00\x01")[0] == 1
