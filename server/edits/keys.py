"""Keys in keys.toml, for the providers there are. No sentence from here quotes a key."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from ...providers import catalog
from .. import config, keys
from ..errors import ConfigError
from ..home import Home
from ..settings import Settings

State = Literal["new", "same", "other"]  # other: keys.toml has another one


def set_key(home: Home, environ: Mapping[str, str], name: str, value: str) -> None:
    """Keeps the key of a provider. Raises ConfigError, and then nothing has changed."""
    check_name(name, known(home, environ))
    keys.store(home, name, value)


def compared(home: Home, found: Mapping[str, str]) -> dict[str, State]:
    """What importing these keys would do, by provider. Raises ConfigError."""
    kept = keys.read(home.keys)
    return {
        name: "new" if name not in kept else "same" if kept[name] == value else "other"
        for name, value in found.items()
    }


def wrong_with(value: str) -> str:
    """What keeps a value from being a key, in words that do not quote it, or ""."""
    try:
        keys.clean(value)
    except ValueError as error:
        return str(error)
    return ""


def settings_or_none(home: Home, environ: Mapping[str, str]) -> Settings:
    """The settings, or defaults where they are broken: keys can be set all the same."""
    try:
        return config.load(home, environ).settings
    except ConfigError:
        return Settings()


def known(home: Home, environ: Mapping[str, str]) -> set[str]:
    return {*catalog.shipped_rows(), *settings_or_none(home, environ).providers}


def check_name(name: str, names: set[str]) -> None:
    if name in names:
        return
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}."
    raise ConfigError(f"There is no provider {name!r} to keep a key for; {hint}")
