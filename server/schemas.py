"""JSON Schemas callers send: refused if they are none, held against the answer that comes back.

`jsonschema` is loaded at first use: it costs 30 ms, and most servers never see a schema.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from ..providers.types import Schema
from .errors import BadRequest


def check(schema: Schema) -> None:
    """Raises BadRequest for what is no JSON Schema of an object, saying where it is wrong, and for
    one that points elsewhere: nothing is fetched for a caller."""
    try:
        check_shape(schema)
        far = next(references(schema), None)
    except RecursionError:
        raise BadRequest("output_schema nests too deep") from None
    if far is not None:
        raise BadRequest(
            f"output_schema refers to {far[:80]!r}; addresses are not fetched",
            next_step="Put it under $defs and refer to it as #/$defs/NAME.",
        )


def check_tool(n: int, parameters: Schema) -> None:
    """Raises BadRequest for a tool whose parameters are no JSON Schema. An agent sends the same
    tools with every call, so what was good once is remembered."""
    try:
        problem = wrong_with(json.dumps(parameters, sort_keys=True))
    except RecursionError:
        raise BadRequest(f"tools.{n}: parameters nest too deep") from None
    if problem:
        raise BadRequest(f"tools.{n}: parameters are no JSON Schema {problem}")


@lru_cache(maxsize=256)
def wrong_with(schema: str) -> str:
    """What is wrong with a schema written in JSON; empty where nothing is. Raises RecursionError
    for one that nests too deep."""
    library: Any = import_module("jsonschema")
    try:
        library.Draft202012Validator.check_schema(json.loads(schema))
    except library.SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "the top"
        return f"at {where}: {error.message[:160]}"
    return ""


def check_shape(schema: Schema) -> None:
    if schema.get("type") not in (None, "object"):
        raise BadRequest("output_schema must describe an object", next_step="Wrap it in one.")
    if problem := wrong_with(json.dumps(schema)):
        raise BadRequest(f"output_schema is no JSON Schema {problem}")


def references(schema: object) -> Iterator[str]:
    """The references that leave the schema."""
    if isinstance(schema, Mapping):
        for key, value in cast("Mapping[str, object]", schema).items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str) and value[:1] != "#":
                yield value
            yield from references(value)
    elif isinstance(schema, list):
        for item in cast("list[object]", schema):
            yield from references(item)


def complaint(schema: Schema, value: object) -> str | None:
    """What is wrong with `value`, or None."""
    library: Any = import_module("jsonschema")
    referencing: Any = import_module("referencing")
    # Its own registry fetches what a schema refers to; an empty one does not.
    validator = library.Draft202012Validator(dict(schema), registry=referencing.Registry())
    try:
        error = next(iter(validator.iter_errors(value)), None)
    except (referencing.exceptions.Unresolvable, RecursionError):
        return "the answer was not held against the schema, whose references lead nowhere"
    if error is None:
        return None
    return f"the answer does not fit the schema at {error.json_path}"
