"""The tokens that open the server over HTTP: one per client, kept as hashes in a file of mode 0600.

A token is 256 random bits, so a plain SHA-256 of it tells nobody anything. Its name is the client's
in budgets, limits and reports.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..desk import normal
from ..errors import ConfigError
from ..home import Home, stamp
from ..keys import private, quoted

PREFIX = "roundhouse_"
ADD = "roundhouse token add NAME"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of a token. `made` is a UTC time as ISO text."""

    sha256: str
    made: str


class Tokens:
    """The tokens there are now: the file is read again when it has changed, so that a token that
    is removed opens nothing from the next request on."""

    def __init__(self, home: Home) -> None:
        """Raises ConfigError."""
        self.path = home.tokens
        self.stamp = stamp(self.path)
        self.entries = read(self.path)

    def name_of(self, token: str) -> str | None:
        """Whose token it is. Takes the same time whichever it is, or none. A file that went bad
        opens nothing."""
        self.follow()
        digest, found = digest_of(token), None
        for name, entry in self.entries.items():
            if hmac.compare_digest(entry.sha256, digest):
                found = name
        return found

    def follow(self) -> None:
        now = stamp(self.path)
        if now == self.stamp:
            return
        try:
            self.entries = read(self.path)
        except ConfigError:
            self.entries = {}
        self.stamp = now


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: Path) -> dict[str, Entry]:
    """The tokens by name, {} where there is no file. Raises ConfigError, which never quotes it."""
    data = private(path, "tokens", ADD)
    return {name: entry(path, name, value) for name, value in data.items()}


def entry(path: Path, name: str, value: object) -> Entry:
    match value:
        case {"sha256": str(digest), "made": str(made)} if len(digest) == 64 and digest.isascii():
            return Entry(digest, made)
        case _:
            raise ConfigError(
                f"{path}: {name!r} is no token; take it out of the file, then run: {ADD}"
            )


def add(home: Home, name: str, *, now: float) -> tuple[str, str]:
    """Makes a token: the name it is kept under, and the token, which is kept nowhere. Raises
    ConfigError, and then nothing has changed."""
    kept = normal(name)
    if not kept:
        raise ConfigError(f"{name[:60]!r} is no name for a client; use letters, digits and dashes.")
    entries = read(home.tokens)
    if kept in entries:
        raise ConfigError(
            f"{kept} has a token already; to replace it run: roundhouse token remove {kept}"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    made = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    write(home, entries | {kept: Entry(digest_of(token), made)})
    return kept, token


def remove(home: Home, name: str) -> str:
    """Forgets a token, and says under which name it was. Raises ConfigError where there is none of
    that name."""
    entries = read(home.tokens)
    kept = name if name in entries else normal(name)
    if entries.pop(kept, None) is None:
        known = ", ".join(sorted(entries)) or "none"
        raise ConfigError(f"{home.tokens} holds no token of {name[:60]!r} (there: {known}).")
    write(home, entries)
    return kept


def write(home: Home, entries: Mapping[str, Entry]) -> None:
    """Replaces the file. Raises ConfigError."""
    tables = "".join(
        f'\n[{quoted(name)}]\nsha256 = "{entries[name].sha256}"\nmade = "{entries[name].made}"\n'
        for name in sorted(entries)
    )
    home.write(
        home.tokens,
        "# Written by `roundhouse token add`. Hashes: no token can be read here.\n" + tables,
    )
