"""Lists and objects in bodies that strangers wrote: what has another shape is passed over."""

from collections.abc import Iterator, Mapping
from typing import Any, cast


def rows(body: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a list that stands under one of these names, or is the body itself."""
    found = body
    if isinstance(body, dict):
        tables = cast("dict[str, Any]", body)
        found = next((tables[name] for name in names if name in tables), None)
    for row in cast("list[Any]", found) if isinstance(found, list) else ():
        if isinstance(row, dict):
            yield cast("dict[str, Any]", row)


def inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def count(row: Mapping[str, Any], name: str) -> int | None:
    """A number of things; None where there is none that makes sense."""
    found = row.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
