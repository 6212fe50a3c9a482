"""Keys that other programs keep: `llm` in its keys.json, PAL in variables or an .env file.

Reading changes nothing. What is found is keyed by our names of providers; no sentence quotes a key.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ...providers import catalog
from .. import keys
from ..errors import ConfigError

LLM_NAMES = {"claude": "anthropic", "google": "gemini", "hf": "huggingface", "grok": "xai"}
PAIR = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
VALUE = re.compile(r"""(["'])(.*?)\1\s*(?:\#.*)?$|(.*?)(?:\s+\#.*)?$""", re.VERBOSE)
KEYLIKE = ("_API_KEY", "_KEY", "_TOKEN")
PLACEHOLDER = re.compile(r"your[-_ ].*|.*[-_ ]here|<.*>|x{3,}|changeme", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """`keys` by provider; `left_out` by the name it had there, with the reason."""

    keys: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    def put(self, name: str, provider: str | None, value: str) -> None:
        """Keeps a value that may be a key of a provider there is."""
        if provider is None:
            self.left_out[name] = "there is no such provider here"
        elif PLACEHOLDER.fullmatch(value.strip()):
            self.left_out[name] = "it is a placeholder"
        elif provider in self.keys:
            self.left_out[name] = f"{provider} has one already"
        else:
            try:
                self.keys[provider] = keys.clean(value)
            except ValueError as error:
                self.left_out[name] = str(error)


def llm_file(environ: Mapping[str, str], home: Path) -> Path:
    """Where `llm` keeps its keys on this machine."""
    if own := environ.get("LLM_USER_PATH"):
        return Path(own) / "keys.json"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "io.datasette.llm" / "keys.json"
    if os.name == "nt":
        roaming = environ.get("APPDATA")
        return (Path(roaming) if roaming else home) / "io.datasette.llm" / "keys.json"
    config = environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else home / ".config") / "io.datasette.llm" / "keys.json"


def from_llm(path: Path, known: Iterable[str]) -> Found:
    """Raises ConfigError for a file that is not `llm`'s."""
    try:
        said: object = json.loads(text_of(path))
    except ValueError:
        raise ConfigError(f"{path} is not JSON; name llm's keys.json with --from.") from None
    if not isinstance(said, dict):
        raise ConfigError(f"{path} holds no keys by name; name llm's keys.json with --from.")
    found, names = Found(), {*known}
    for name, value in cast("dict[str, object]", said).items():
        if name.startswith("//") or not isinstance(value, str):
            continue
        meant = name if name in names else LLM_NAMES.get(name)
        found.put(name, meant if meant in names else None, value)
    return found


def from_pal(path: Path | None, environ: Mapping[str, str]) -> Found:
    """The keys in an .env file, or else in the environment. Raises ConfigError."""
    pairs = environ if path is None else dict(variables(text_of(path)))
    by_variable = {
        variable: row.name
        for row in [*catalog.shipped().values()][::-1]
        for variable in row.key_env
    }
    found = Found()
    for variable, value in pairs.items():
        provider = by_variable.get(variable)
        if not value.strip() or (provider is None and not theirs(variable, path)):
            continue
        found.put(variable, provider, value)
    return found


def theirs(variable: str, path: Path | None) -> bool:
    """Would somebody who imports miss it? In an environment are keys of everything."""
    return path is not None and variable.endswith(KEYLIKE)


def variables(text: str) -> Iterable[tuple[str, str]]:
    for line in text.splitlines():
        if pair := PAIR.match(line):
            value = VALUE.match(pair[2])
            yield pair[1], (value[2] or value[3] or "") if value else ""


def text_of(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text.") from None
