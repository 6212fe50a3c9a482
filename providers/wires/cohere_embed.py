"""Cohere's embedding protocol, version 2."""

from typing import Any

from ..catalog import Provider
from ..classify import from_body
from ..request import Request, name_on_wire, request
from ..types import EmbedCall, Embedding, Usage
from .openai_embeddings import vector

PATH = "/v2/embed"
# One number per dimension; the packed forms hold several.
FORMS = ("float", "base64", "int8", "uint8")
# The service wants to know; texts nobody called a query are taken for documents.
INPUT_TYPE = {None: "search_document", "document": "search_document", "query": "search_query"}


def encode(call: EmbedCall, *, model: str, provider: Provider) -> Request:
    """Asks the service to refuse texts that are too long. Left to itself it would cut them, and a
    vector does not show that it stands for half a text."""
    body: dict[str, Any] = {
        "model": name_on_wire(provider, model),
        "texts": list(call.texts),
        "input_type": INPUT_TYPE[call.input_type],
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    if call.dimensions is not None:
        body["output_dimension"] = call.dimensions
    return request(provider, provider.embed_path or PATH, body, model=model)


def decode(body: Any, *, provider: str) -> Embedding:
    if not body.get("embeddings") and (body.get("error") or body.get("message")):
        raise from_body(provider, body)
    meta: Any = body.get("meta") or {}
    billed: Any = meta.get("billed_units") or {}
    given: Any = body["embeddings"]
    form = next((form for form in FORMS if given.get(form)), "float")
    return Embedding(
        vectors=tuple(map(vector, given[form])),
        usage=Usage(input=int(billed.get("input_tokens") or 0) or None),
    )
