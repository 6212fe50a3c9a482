"""The shapes of the tools' structured results, as JSON Schemas: top-level fields only.

Written out rather than made from models: an editor waits while models are built, and clients check
results against these anyway.
"""

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]

TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
LIST: Shape = {"type": "array"}
OBJECT: Shape = {"type": "object"}
USD: Shape = {"anyOf": [{"type": "number"}, {"type": "null"}]}


def shape(**fields: Shape) -> dict[str, Any]:
    """An object that has all of these fields, and perhaps more."""
    return {"type": "object", "properties": fields, "required": list(fields)}


COMPLETED = shape(
    text=TEXT,
    finish_reason=TEXT,
    model=TEXT,
    provider=TEXT,
    usage=OBJECT,
    cost_usd=USD,
    call_id=TEXT,
)
EMBEDDED = shape(
    model=TEXT,
    provider=TEXT,
    dimensions=NUMBER,
    count=NUMBER,
    usage=OBJECT,
    cost_usd=USD,
    call_id=TEXT,
)
ROUTED = shape(candidates=LIST, excluded=LIST, strategy=TEXT)
HEALTH = shape(providers=LIST)
COSTS = shape(period=TEXT, totals=OBJECT, groups=LIST, budgets=LIST)
UNLOADED = shape(unloaded={"type": "boolean"}, detail=TEXT)
