"""Settings from the environment: `ROUNDHOUSE_ROUTING__STRATEGY`, `ROUNDHOUSE_PROVIDERS__NAME__KEY`.

Lists are separated by commas. Names lose case and dashes in variables, so they are matched against
the names there are: `MY_VLLM` means `my-vllm` where that exists.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel

from .errors import ConfigError
from .lines import Path
from .settings import Settings, TaskSettings

PREFIX = "ROUNDHOUSE_"
TOP = tuple(name for name, f in Settings.model_fields.items() if f.annotation is str)


def overlaid(
    data: Mapping[str, Any], environ: Mapping[str, str], providers: Collection[str]
) -> tuple[dict[str, Any], dict[Path, str]]:
    """The tables with every variable laid over them, and which variable set which key. `providers`
    are the names there are. Raises ConfigError for a variable that sets nothing."""
    merged = copied(data)
    origins: dict[Path, str] = {}
    for variable in sorted(environ):
        parts = variable.removeprefix(PREFIX).split("__")
        is_ours = variable.startswith(PREFIX) and (len(parts) > 1 or parts[0].lower() in TOP)
        if not is_ours or not environ[variable].strip():
            continue
        path, kind = located(variable, parts, merged, providers)
        value = environ[variable]
        if path[-1] == "api_key" and not value.startswith("${"):
            put(merged, path, "${" + variable + "}")  # the key itself stays where it is
        else:
            put(merged, path, listed(value) if wants_list(kind) else value)
        origins[path] = variable
    return merged, origins


def copied(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: copied(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
        for key, value in data.items()
    }


def located(
    variable: str, parts: list[str], data: Mapping[str, Any], providers: Collection[str]
) -> tuple[tuple[str, ...], Any]:
    """The key a variable sets, and the type its value must have."""
    kind: Any = Settings
    path: tuple[str, ...] = ()
    here: Any = data
    for part in parts:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            name = field_of(variable, part, kind)
            kind = kind.model_fields[name].annotation
        elif get_origin(kind) is dict:
            known = {*cast("Mapping[str, Any]", here or {}), *(providers if len(path) == 1 else ())}
            name = name_of(part, known if path[:1] == ("providers",) else {*(here or {})})
            kind = get_args(kind)[1]
        else:
            raise ConfigError(f"{variable} goes too deep: {'.'.join(path)} is a single value.")
        path = (*path, name)
        here = here.get(name) if isinstance(here, Mapping) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not settable(kind):
        raise ConfigError(f"{variable} names a whole table; set one of its keys, or edit the file.")
    return path, kind


def field_of(variable: str, part: str, model: type[BaseModel]) -> str:
    names = {(f.alias or name): name for name, f in model.model_fields.items()}
    if part.lower() in names:
        return part.lower()
    near = get_close_matches(part.lower(), names, 1)
    hint = f"did you mean {near[0].upper()}" if near else f"there are {', '.join(sorted(names))}"
    raise ConfigError(f"{variable} sets nothing: {part} is no key there; {hint}.")


def name_of(part: str, known: Collection[str]) -> str:
    def plain(name: str) -> str:
        return name.upper().replace("-", "_").replace(".", "_")

    same = sorted(name for name in known if plain(name) == part.upper())
    return same[0] if same else part.lower().replace("_", "-")


def settable(kind: Any) -> bool:
    if kind is TaskSettings:
        return True
    inner = [argument for argument in (kind, *get_args(kind)) if isinstance(argument, type)]
    return get_origin(kind) is not dict and not any(issubclass(i, BaseModel) for i in inner)


def wants_list(kind: Any) -> bool:
    return kind is TaskSettings or any(get_origin(k) is tuple for k in (kind, *get_args(kind)))


def listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *tables, last = path
    for name in tables:
        inner = data.get(name)
        data[name] = inner if isinstance(inner, dict) else {}
        data = cast("dict[str, Any]", data[name])
    data[last] = value
