"""API keys: where they are looked up, and the 0600 file that `roundhouse keys set` writes.

Order: the environment (every variable of the provider's row), `keys.toml`, and the system keyring
for names `keys.toml` marks so. Several clients pass no key variables to the servers they start,
hence the file.
"""

import hashlib
import importlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..providers.catalog import Provider
from .errors import ConfigError
from .home import Home

FILE = "keys.toml"
KEYRING = "keyring"
SERVICE = "roundhouse"
LONGEST = 8192

Entry = str | Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Key:
    """A usable key. `name` says where it came from: a variable, `keys.toml` or `keyring`."""

    name: str
    value: str = field(repr=False)

    def __str__(self) -> str:
        return self.name

    @property
    def mark(self) -> str:
        """Tells this key from another one and nothing else of it: 32 bits of its digest."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:8]


def clean(value: str) -> str:
    """The key without surrounding white space. Raises ValueError, which never quotes the value, for
    what cannot be sent as a header."""
    key = value.strip()
    if not key:
        raise ValueError("it is empty")
    if len(key) > LONGEST:
        raise ValueError(f"it has {len(key):,} characters, no key is that long")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("it has characters inside that no key has (spaces, line breaks, accents)")
    return key


class Keys:
    """The keys one process may use. `problems` holds a sentence for every key that is there and
    cannot be used, by the provider's name; the file's own trouble is under `keys.toml`."""

    def __init__(
        self, environ: Mapping[str, str], entries: Mapping[str, Entry] | None = None
    ) -> None:
        self._environ = environ
        self._entries = dict(entries or {})
        self.problems: dict[str, str] = {}

    @classmethod
    def load(cls, home: Home, environ: Mapping[str, str]) -> "Keys":
        """Never raises: a file others can read is not used, and `problems` says so."""
        try:
            return cls(environ, read(home.keys))
        except ConfigError as error:
            keys = cls(environ)
            keys.problems[FILE] = str(error)
            return keys

    def __repr__(self) -> str:
        return f"Keys({', '.join(sorted(self._entries)) or 'environment only'})"

    def for_provider(self, provider: Provider) -> Key | None:
        """The first usable key in the order of lookup."""
        candidates = [(name, self._environ.get(name, "")) for name in provider.key_env]
        entry = self._entries.get(provider.name, "")
        if isinstance(entry, str):
            candidates.append((FILE, entry))
        elif entry.get(KEYRING):
            candidates.append((KEYRING, self.from_keyring(provider.name)))
        for name, value in candidates:
            if not value.strip():
                continue
            try:
                return Key(name, clean(value))
            except ValueError as error:
                self.problems[provider.name] = f"The key in {name} is not used: {error}."
        return None

    def from_keyring(self, name: str) -> str:
        try:
            ring = importlib.import_module(KEYRING)  # an optional extra
            return str(ring.get_password(SERVICE, name) or "")
        except ImportError:
            self.problems[name] = (
                f"The key of {name} is in the system keyring and the keyring extra is not "
                "installed: pip install 'roundhouse-mcp[keyring]'."
            )
        except RuntimeError as error:  # keyring.errors.KeyringError is one
            self.problems[name] = f"The system keyring did not open ({type(error).__name__})."
        return ""

    def present_names(self) -> tuple[str, ...]:
        """The names under which keys.toml holds a key."""
        return tuple(sorted(self._entries))


def read(path: Path) -> dict[str, Entry]:
    """The names and keys in the file, {} where there is none. Raises ConfigError, which never
    quotes the file."""
    data = private(path, "keys", "roundhouse keys set NAME")
    wrong = [name for name, value in data.items() if not entry_like(value)]
    if wrong:
        raise ConfigError(f'{path}: {wrong[0]} must be a line like {wrong[0]} = "KEY".')
    return cast("dict[str, Entry]", data)


def private(path: Path, what: str, again: str) -> dict[str, Any]:
    """The tables of a file that only its user may read, {} where there is none. `again` is the
    command that makes it anew. Raises ConfigError, which never quotes the file."""
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(
                f"{path} can be read by other users (mode {mode & 0o777:o}), so its {what} are not "
                f"used; run: chmod 600 {path}"
            )
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError(f"{path} is not valid TOML; remove it and run: {again}") from None


def entry_like(value: object) -> bool:
    return isinstance(value, str) or value == {KEYRING: True}


def store(home: Home, name: str, value: str) -> None:
    """Sets one key in the file. Raises ConfigError, and then nothing has changed."""
    entries = read(home.keys)
    entries[name] = accepted(name, value)
    write(home, entries)


def store_all(home: Home, found: Mapping[str, str]) -> None:
    """Sets several keys in the file, all or none. Raises ConfigError."""
    write(home, read(home.keys) | {name: accepted(name, value) for name, value in found.items()})


def accepted(name: str, value: str) -> str:
    try:
        return clean(value)
    except ValueError as error:
        raise ConfigError(f"The key for {name} is not stored: {error}.") from None


def store_in_keyring(home: Home, name: str, value: str) -> None:
    """Sets one key in the system keyring, and marks it in the file. Raises ConfigError."""
    key = accepted(name, value)
    entries = read(home.keys)
    try:
        importlib.import_module(KEYRING).set_password(SERVICE, name, key)
    except ImportError:
        raise ConfigError(
            "The keyring extra is not installed: pip install 'roundhouse-mcp[keyring]'."
        ) from None
    except RuntimeError as error:
        raise ConfigError(f"The system keyring refused ({type(error).__name__}).") from None
    entries[name] = {KEYRING: True}
    write(home, entries)


def remove(home: Home, name: str) -> None:
    """Forgets one key. Raises ConfigError where there is none of that name."""
    entries = read(home.keys)
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise ConfigError(f"{home.keys} holds no key for {name!r} (there: {known}).")
    if not isinstance(entries.pop(name), str):
        forget_in_keyring(name)
    write(home, entries)


def forget_in_keyring(name: str) -> None:
    try:
        importlib.import_module(KEYRING).delete_password(SERVICE, name)
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"The system keyring did not give up {name} ({type(error).__name__})."
        ) from None


def write(home: Home, entries: Mapping[str, Entry]) -> None:
    """Replaces the file. Raises ConfigError."""
    lines = "".join(f"{quoted(name)} = {as_toml(entries[name])}\n" for name in sorted(entries))
    home.write(home.keys, "# Written by `roundhouse keys set`. Keep it to yourself.\n" + lines)


def as_toml(entry: Entry) -> str:
    return quoted(entry) if isinstance(entry, str) else "{ keyring = true }"


def quoted(text: str) -> str:
    """A TOML basic string; the text is printable ASCII."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
