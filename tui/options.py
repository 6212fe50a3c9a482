"""What `[tui]` of config.toml says: theme, polling, keys, columns, saved filters.

A value that cannot be used is left out and told; it never keeps the interface from starting.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .clean import clean

SECTION = "tui"
VARIABLES = "ROUNDHOUSE_TUI__"
POLLS = {"200ms": 0.2, "1s": 1.0, "5s": 5.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`problems` are sentences about what could not be used."""

    theme: str = ""
    poll: str = "200ms"
    ascii: bool = False
    mouse: bool = True
    read_only: bool = False
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    filters: Mapping[str, str] = field(default_factory=dict[str, str])
    problems: tuple[str, ...] = ()


def load(file: Path, environ: Mapping[str, str]) -> Options:
    """Never raises. The rest of the file is the servers' business, so it is not looked at, and
    without a section the shapes of the settings need not be imported."""
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8-sig")).get(SECTION, {})
    except FileNotFoundError:
        said = {}
    except (OSError, ValueError, RecursionError):
        return Options(problems=(f"{file.name} cannot be read; run: roundhouse config check",))
    if not isinstance(said, dict):
        return Options(problems=("[tui] is no table; write it as [tui] in config.toml",))
    table = cast("dict[str, Any]", said) | {
        name.removeprefix(VARIABLES).lower(): value
        for name, value in environ.items()
        if name.startswith(VARIABLES) and value
    }
    return understood(table) if table else Options()


def understood(table: Mapping[str, Any]) -> Options:
    """Each value by itself, so that a wrong one takes no other with it."""
    from pydantic import ValidationError

    from ..server.settings import TuiSettings

    good: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in table.items():
        try:
            settings = TuiSettings.model_validate({key: value})
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            known = key in TuiSettings.model_fields
            said = why[:1].lower() + why[1:] if known else "is no option"
            problems.append(clean(f"[tui] {key}: {said}; run: roundhouse config check", 200))
        else:
            good[key] = getattr(settings, key)
    return Options(**good, problems=tuple(problems))
