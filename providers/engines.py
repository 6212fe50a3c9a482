"""Engines we start ourselves: what each kind needs, and the command that starts one.

engines.toml has a row per kind, the user's configuration a `Setup` per engine. Starting, sharing
and stopping them is the server's part.
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from .setup import Setup

Format = Literal["gguf", "hub", "any"]

ROWS = Path(__file__).with_name("engines.toml")
ROOMS = __name__.rpartition(".")[0].rpartition(".")[0]
TOKEN_ENV = "ROUNDHOUSE_ENGINE_TOKEN"
SUFFIX = ".gguf"
ROOTED = ("/", "~", ".")  # how a path begins that can be no id
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


class Unusable(Exception):
    """The engine cannot be started as it is configured: one sentence, with the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A kind of engine, as engines.toml describes it."""

    title: str
    like: str
    format: Format
    health: str
    command: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    needs: str = ""
    extra: str = ""
    token: bool = False
    served_as: str = ""


@lru_cache
def kinds(path: Path = ROWS) -> Mapping[str, Engine]:
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: kind(row) for name, row in rows.items()}


def kind(row: Mapping[str, Any]) -> Engine:
    given: dict[str, Any] = dict(row)
    for key in ("command", "context", "embeddings"):
        given[key] = tuple(given.get(key, ()))
    return Engine(**given)


def alias_of(kind: str, model: str) -> str:
    """What callers name a model by when the user gave it no name: the name of its file or
    directory, or its Hugging Face id."""
    if kinds()[kind].format == "hub" and not model.startswith(ROOTED):
        return model
    return Path(model).name.removesuffix(SUFFIX) or model


def check_installed(setup: Setup) -> None:
    """Raises Unusable where the engine's package is missing."""
    engine = setup.engine
    if engine.needs and find_spec(engine.needs) is None:
        raise Unusable(
            f"the package {engine.needs} is not installed; install roundhouse-mcp[{engine.extra}]"
        )


def command(setup: Setup, path: str, port: int) -> list[str]:
    """The words that start it, on `port` of loopback, with the model at `path`."""
    engine = setup.engine
    words = list(setup.command or engine.command)
    if setup.context is not None:
        words += engine.context
    if setup.embeds:
        words += engine.embeddings
    known = {
        "{python}": sys.executable,
        "{rooms}": ROOMS,
        "{path}": path,
        "{port}": str(port),
        "{alias}": setup.alias,
        "{slots}": str(setup.slots),
        "{context}": str(setup.context or 0),
    }
    return [*(filled(word, known) for word in words), *setup.arguments]


def filled(word: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def environment(setup: Setup, environ: Mapping[str, str], token: str) -> dict[str, str]:
    """What the engine sees of our environment: no keys of other services, and nothing that would
    let it download unless the user allows that."""
    kept = {name: value for name, value in environ.items() if not secret(name, setup)}
    offline = {} if setup.allow_download else OFFLINE
    return {**kept, **QUIET, **offline, TOKEN_ENV: token}


def secret(name: str, setup: Setup) -> bool:
    if setup.allow_download and name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        return False
    return name.upper().endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_CREDENTIALS"))


def served_as(setup: Setup, path: str) -> str:
    """The name the engine takes for its model."""
    return (setup.engine.served_as or setup.alias).replace("{path}", path)
