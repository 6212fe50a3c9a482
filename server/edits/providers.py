"""Providers in config.toml: add one, change one, remove one."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...providers import catalog, plugins
from .. import config
from ..environment import listed as comma_separated
from ..environment import wants_list
from ..errors import BadRequest, ConfigError
from ..home import Home
from ..settings import ProviderSettings
from .document import Tables, edit, table


def add_provider(
    home: Home, environ: Mapping[str, str], name: str, values: Mapping[str, Any]
) -> None:
    """Adds a provider; values (like, wire, base_url, local, models, key_env, ...) that are None are
    left out. Raises BadRequest and ConfigError, and then the file is as before."""
    said = {key: value for key, value in values.items() if value is not None}

    def change(tables: Tables) -> None:
        if name in tables.get("providers", {}) or name in catalog.shipped_rows():
            raise ConfigError(f"There is a provider {name!r}; use: roundhouse providers set {name}")
        table(tables, "providers", name).update(said)

    if not name.strip():
        raise BadRequest("the provider has no name")
    edit(home, environ, change)


def is_enough(name: str, values: Mapping[str, Any]) -> bool:
    """Do these values say what the provider is? One that a package brings needs no more than its
    name."""
    whole = values.get("like") or (values.get("wire") and values.get("base_url"))
    return bool(whole) or name in plugins.names("provider")


def change_provider(
    home: Home, environ: Mapping[str, str], name: str, values: Mapping[str, Any]
) -> None:
    """Sets keys of a provider; a key may be a path (`defaults.max_tokens`), and None removes it.
    Raises ConfigError, and then the file is as before."""

    def change(tables: Tables) -> None:
        for key, value in values.items():
            *inner, last = key.split(".")
            row = table(tables, "providers", name, *inner)
            if value is None:
                row.pop(last, None)
            else:
                row[last] = value

    edit(home, environ, change)


def said_of(home: Home, name: str) -> dict[str, Any]:
    """What the file says of a provider, {} where nothing. Raises ConfigError for no TOML."""
    try:
        rows = tomllib.loads(config.read(home.config)).get("providers", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{home.config} is not valid TOML: {error}; correct it first.") from None
    if not isinstance(rows, dict):
        return {}
    found = cast("Tables", rows).get(name)
    return cast("Tables", found) if isinstance(found, dict) else {}


def remove_provider(home: Home, environ: Mapping[str, str], name: str) -> None:
    """A shipped one goes back to its defaults. Raises ConfigError where the file says nothing of
    it."""

    def change(tables: Tables) -> None:
        rows = tables.get("providers", {})
        if name not in rows:
            fix = f"roundhouse providers set {name} enabled=false"
            hint = f"; to switch it off: {fix}" if name in catalog.shipped_rows() else ""
            raise ConfigError(f"{home.config} says nothing of a provider {name!r}{hint}")
        del rows[name]

    edit(home, environ, change)


def typed(key: str, value: str) -> Any:
    """A value as TOML reads it, else as text; lists may be written with commas. None for nothing,
    which removes the key."""
    if not value:
        return None
    field = ProviderSettings.model_fields.get(key)
    if key == "api_key":
        return value
    if field is not None and wants_list(field.annotation) and not value.startswith("["):
        return comma_separated(value)
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def kinds() -> tuple[Sequence[str], Sequence[str]]:
    """What a provider can be like, and the wires it can speak."""
    return sorted(catalog.shipped_rows()), sorted(plugins.builtin("wire"))
