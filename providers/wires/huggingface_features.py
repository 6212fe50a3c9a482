"""Hugging Face's feature extraction: texts in, plain lists of numbers out."""

from typing import Any, cast

from ..catalog import Provider
from ..classify import from_body
from ..errors import Refused
from ..request import Request, request
from ..types import EmbedCall, Embedding, Usage

PATH = "/models/{model}/pipeline/feature-extraction"


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    body = {"inputs": list(call.texts)}
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    """One vector per text; a single text may get its vector bare. Refuses vectors for every token,
    which some models give: there is nothing to compare texts by. What was used is never said."""
    if not isinstance(body, list):
        raise from_body(provider, {"error": body["error"]})
    given = cast("list[Any]", body)
    vectors = given if not given or isinstance(given[0], list) else [given]
    if any(isinstance(each, list) for vector in vectors for each in vector[:1]):
        raise Refused(provider, "the model makes a vector for every token, not one for a text")
    return Embedding(vectors=tuple(tuple(map(float, vector)) for vector in vectors), usage=Usage())
