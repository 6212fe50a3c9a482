"""Changes to config.toml that keep its comments: tried on a copy first, then put in one step."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from .. import config
from ..errors import ConfigError
from ..home import Home

Tables = dict[str, Any]


def edit(home: Home, environ: Mapping[str, str], change: Callable[[Tables], None]) -> None:
    """Applies `change` to the file's tables. Raises ConfigError, and then the file is as before."""
    before = config.read(home.config)
    try:
        document = tomlkit.parse(before)
    except TOMLKitError as error:
        raise ConfigError(f"{home.config} is not valid TOML: {error}; correct it first.") from None
    change(cast("Tables", document))
    after = tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]
    try:
        config.understood(after, home.config, environ)
    except ConfigError as error:
        raise ConfigError(f"Nothing was changed. {error}") from None
    home.write(home.config, after)


def table(tables: Tables, *path: str) -> Tables:
    """The table at `path`, made where there is none. Only the last one gets a header of its own."""
    for depth, name in enumerate(path, 1):
        if name not in tables:
            tables[name] = tomlkit.table(is_super_table=depth < len(path))
        found = tables[name]
        if not isinstance(found, dict):
            raise ConfigError(f"{'.'.join(path)} is no table in the file; correct it by hand.")
        tables = cast("Tables", found)
    return tables
