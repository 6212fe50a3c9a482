"""The request types of the official SDKs as judges of a body: each names what is wrong with it.

Pydantic reads the types. What it drops is a field they do not know; what it leaves lazy is read
here. An SDK is imported when its judge is made; ModuleNotFoundError says that it is not installed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from inspect import signature
from typing import Any, NotRequired, Required, cast

import typing_extensions
from pydantic import BaseModel, TypeAdapter, ValidationError

Body = dict[str, Any]
Judge = Callable[[Body], list[str]]
Make = Callable[[], Judge]

made_up_type = cast("Callable[[str, Mapping[str, Any]], Any]", typing_extensions.TypedDict)


@lru_cache
def made(make: Make) -> Judge:
    return make()


def typed(module: str, name: str) -> Make:
    """By a type for the whole body."""
    return lambda: against(getattr(import_module(module), name))


def arguments(module: str, name: str, method: str, *adds: str) -> Make:
    """By the parameters of a method, where the body's fields have their names. `adds` are those the
    method itself puts into the body."""

    def make() -> Judge:
        said = signature(getattr(getattr(import_module(module), name), method)).parameters
        named = {n: p for n, p in said.items() if n not in ("self", "request_options")}
        needed = {n: Required[p.annotation] for n, p in named.items() if p.default is p.empty}
        rest = {n: NotRequired[p.annotation] for n, p in named.items() if n not in needed}
        own = dict.fromkeys(adds, NotRequired[Any])
        return against(made_up_type("Body", {**needed, **rest, **own}))

    return make


def parts(module: str, types: Mapping[str, str]) -> Make:
    """By types for the fields of a body; `[]` after a type's name says a list of them."""

    def make() -> Judge:
        found = {**vars(import_module(module)), "str": str, "int": int, "bool": bool}
        named: dict[str, Any] = {}
        for field, name in types.items():
            kind: Any = found[name.removesuffix("[]")]
            named[field] = NotRequired[list[kind] if name.endswith("[]") else kind]
        return against(made_up_type("Body", named))

    return make


def several(field: str, one: Make) -> Make:
    """For a body that is a list of requests under `field`."""

    def make() -> Judge:
        judge = one()

        def problems(body: Body) -> list[str]:
            if field not in body:
                return [f"{field}: Field required"]
            found = [f"{name}: unknown field" for name in body if name != field]
            each = [problem for item in body[field] for problem in judge(item)]
            return found + [f"{field}[].{problem}" for problem in each]

        return problems

    return make


def operation(service: str, name: str, **given: str) -> Make:
    """By botocore's own check of an operation's parameters. `given` are those outside the body."""

    def make() -> Judge:
        session = import_module("botocore.session").get_session()
        shape = session.get_service_model(service).operation_model(name).input_shape
        check = import_module("botocore.validate").ParamValidator().validate
        return lambda body: check({**given, **body}, shape).generate_report().splitlines()

    return make


def against(kind: Any) -> Judge:
    adapter = TypeAdapter[Any](kind)

    def problems(body: Body) -> list[str]:
        found: list[str] = []
        try:
            kept = read(adapter.validate_python(body), "", found)
        except ValidationError as error:
            return list(told(error, ""))
        return found or list(unknown(body, kept, ""))

    return problems


def told(error: ValidationError, path: str) -> Iterator[str]:
    for each in error.errors(include_url=False):
        yield f"{where(each['loc'], path)}: {each['msg']}"


def where(names: Iterable[object], path: str) -> str:
    """Without positions: the same mistake in two messages is one."""
    for name in names:
        path += "[]" if isinstance(name, int) else f".{name}"
    return path.lstrip(".")


def read(value: Any, path: str, found: list[str]) -> Any:
    """The value with its lazy parts, which are checked only while they are read."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: read(each, f"{path}.{name}", found) for name, each in items}
    if isinstance(value, list):
        return [read(each, f"{path}[]", found) for each in cast("list[Any]", value)]
    if isinstance(value, Iterator):
        return unrolled(cast("Iterator[Any]", value), path, found)
    return value


def unrolled(lazy: Iterator[Any], path: str, found: list[str]) -> list[Any]:
    kept: list[Any] = []
    while True:
        try:
            kept.append(read(next(lazy), f"{path}[]", found))
        except StopIteration:
            return kept
        except ValidationError as error:
            found.extend(told(error, path))
            return kept


def unknown(given: Any, kept: Any, path: str) -> Iterator[str]:
    """What was given and not kept."""
    known = fields(kept)
    if isinstance(given, dict) and known is not None:
        for name, value in cast("Body", given).items():
            inner = where([name], path)
            if name in known:
                yield from unknown(value, known[name], inner)
            else:
                yield f"{inner}: unknown field"
    elif isinstance(given, list) and isinstance(kept, list):
        for one, other in zip(cast("list[Any]", given), cast("list[Any]", kept), strict=False):
            yield from unknown(one, other, f"{path}[]")


def fields(kept: Any) -> Body | None:
    """The fields an object was read into, None where it is no object any more."""
    if isinstance(kept, BaseModel):
        names = {name: field.alias or name for name, field in type(kept).model_fields.items()}
        said = {name: getattr(kept, name) for name in kept.model_fields_set}
        return said | {names.get(name, name): value for name, value in said.items()}
    if isinstance(kept, Mapping):
        return dict(cast("Mapping[str, Any]", kept))
    return cast("Body", vars(kept)) if hasattr(kept, "__dict__") else None
