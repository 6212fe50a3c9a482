"""Output schemas in the words of the services that take them, or take them only as a request."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ..catalog import Model, Provider
from ..types import Message

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ASK = "Answer with one JSON object that fits this JSON schema, and nothing else:\n"


def schema_name(schema: Mapping[str, Any]) -> str:
    title = schema.get("title")
    return title if isinstance(title, str) and NAME.fullmatch(title) else "answer"


def strict(schema: object) -> bool:
    """Will a service that enforces schemas take this one? It wants every object closed and every
    property required."""
    if isinstance(schema, list):
        return all(strict(each) for each in cast("list[object]", schema))
    if not isinstance(schema, Mapping):
        return True
    table = cast("Mapping[str, Any]", schema)
    properties = table.get("properties")
    if table.get("type") == "object" or isinstance(properties, Mapping):
        names = set(cast("Mapping[str, Any]", properties or {}))
        if table.get("additionalProperties") is not False:
            return False
        if set(cast("Sequence[str]", table.get("required") or ())) != names:
            return False
    return all(strict(each) for each in table.values())


def enforces(provider: Provider, model: str, schema: Mapping[str, Any]) -> bool:
    """Does the service hold this model to this schema? Some take only closed objects."""
    return takes_schemas(provider, provider.facts(model)) and (
        "closed_schemas" not in provider.quirks or closed(schema)
    )


def takes_schemas(provider: Provider, facts: Model) -> bool:
    """Does the service hold a model of these facts to schemas at all?"""
    return "json" in provider.capabilities if facts.json is None else facts.json


def closed(schema: object) -> bool:
    """Does every object of the schema say that it has no further properties?"""
    if isinstance(schema, list):
        return all(closed(each) for each in cast("list[object]", schema))
    if not isinstance(schema, Mapping):
        return True
    table = cast("Mapping[str, Any]", schema)
    is_object = table.get("type") == "object" or isinstance(table.get("properties"), Mapping)
    if is_object and table.get("additionalProperties") is not False:
        return False
    return all(closed(each) for each in table.values())


def instructed(messages: Sequence[Message], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """The messages with the schema asked for in words, at the end of the system message."""
    ask = ASK + json.dumps(schema, ensure_ascii=False)
    first = messages[0]
    if first.role != "system":
        return (Message(role="system", text=ask), *messages)
    return (replace(first, text=f"{first.text}\n\n{ask}"), *messages[1:])
