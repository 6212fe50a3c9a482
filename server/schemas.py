"""JSON Schemas callers send: refused if they are none, held against the answer that comes back.

`jsonschema` is loaded at first use: it costs 30 ms, and most servers never see a schema.
"""

from importlib import import_module
from typing import Any

from ..providers.types import Schema
from .errors import BadRequest


def check(schema: Schema) -> None:
    """Raises BadRequest for what is no JSON Schema of an object, saying where it is wrong."""
    if schema.get("type") not in (None, "object"):
        raise BadRequest("output_schema must describe an object", next_step="Wrap it in one.")
    library: Any = import_module("jsonschema")
    try:
        library.Draft202012Validator.check_schema(dict(schema))
    except library.SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "the top"
        raise BadRequest(
            f"output_schema is no JSON Schema at {where}: {error.message[:160]}"
        ) from None


def complaint(schema: Schema, value: object) -> str | None:
    """What is wrong with `value`, or None."""
    library: Any = import_module("jsonschema")
    error = next(iter(library.Draft202012Validator(dict(schema)).iter_errors(value)), None)
    if error is None:
        return None
    return f"the answer does not fit the schema at {error.json_path}"
