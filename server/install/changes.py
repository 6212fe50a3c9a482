"""What installing or removing would do to one file: the text before and after, and doing it.

Nothing is written before `make`. A file that is broken, a link, or not writable raises ConfigError
with one sentence, and stays as it was.
"""

import difflib
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import entries, lists
from .clients import Client

BACKUP = ".before-roundhouse"
LARGEST = 32 * 1024 * 1024
NEAR = 2  # lines around a change that are shown with it


@dataclass(frozen=True, slots=True)
class Change:
    """None: there is no such file, before or after. `shown` are the strings a difference may show.
    `keep`: what was before is copied beside it, over an older copy. A copy that the file is equal
    to again is removed."""

    client: Client
    file: Path
    before: str | None
    after: str | None
    shown: Collection[str] = ()
    keep: bool = False

    @property
    def backup(self) -> Path:
        return self.file.with_name(self.file.name + BACKUP)

    @property
    def nothing(self) -> bool:
        return self.before == self.after

    def lines(self) -> Iterator[str]:
        """The difference, without anything of other entries that may be a key."""
        texts = (self.before or "", self.after or "")
        before, after = (lists.veiled(self.client, each, self.shown).splitlines() for each in texts)
        names = (str(self.file), f"{self.file} (changed)" if self.after is not None else "no file")
        yield from difflib.unified_diff(before, after, *names, n=NEAR, lineterm="")

    def make(self, *, private: bool) -> None:
        """Writes it. Raises ConfigError, and then nothing has changed. `private`: a new file is for
        its owner only."""
        if read(self.client, self.file) != self.before:
            raise ConfigError(f"{self.file} changed meanwhile; nothing was changed, run it again.")
        try:
            if self.after is None:
                self.file.unlink()
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            mode = mode_of(self.file, private)
            if self.keep and self.before is not None:
                write(self.backup, self.before, mode)
            write(self.file, self.after, mode)
            if not self.keep and saved(self) == self.after:
                self.backup.unlink()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(
                f"{self.file} cannot be written ({reason}); nothing was changed."
            ) from None


def installing(client: Client, file: Path, wanted: Mapping[str, Any]) -> Change:
    """Raises ConfigError for a file that cannot be understood or must not be changed."""
    before = read(client, file)
    found = entry_in(client, file, before)
    match entries.state(client, found, wanted):
        case "remote":
            raise ConfigError(
                f"{file} has an entry {entries.NAME!r} for a server elsewhere; "
                f"remove it first: roundhouse uninstall {client.name}"
            )
        case "absent":
            after = edited(client, file, lambda: lists.added(client, before or "", wanted))
            return Change(client, file, before, after, lists.shown(wanted), keep=True)
        case _:
            values = entries.changes(client, found or {}, wanted)
            after = edited(client, file, lambda: lists.altered(client, before or "", values))
            shown = lists.shown(wanted) | lists.shown(found)
            return backed(Change(client, file, before, after, shown))


def removing(client: Client, file: Path) -> Change:
    """Back to the very text there was before, where nothing but our entry was added since."""
    before = read(client, file)
    found = entry_in(client, file, before)
    if before is None or found is None:
        return Change(client, file, before, before)
    after = edited(client, file, lambda: lists.removed(client, before))
    was = saved(Change(client, file, before, after))
    if edited(client, file, lambda: lists.added(client, was or "", found)) == before:
        after = was
    return backed(Change(client, file, before, after, lists.shown(found)))


def backed(change: Change) -> Change:
    """It keeps a copy if there is none yet, unless what was before is ours alone."""
    return replace(change, keep=change.after is not None and not change.backup.exists())


def saved(change: Change) -> str | None:
    """What the copy beside the file holds; None where there is none, or none of ours."""
    try:
        text = read(change.client, change.backup)
        if text is not None and lists.found(change.client, text) is None:
            return text
    except (ConfigError, *lists.Unreadable):
        pass  # then there is nothing to go back to, and the entry is cut out instead
    return None


def edited(client: Client, file: Path, edit: Callable[[], str]) -> str:
    try:
        return edit()
    except lists.Unreadable as error:
        raise broken(client, file, error) from None


def entry_in(client: Client, file: Path, text: str | None) -> Mapping[str, Any] | None:
    try:
        return lists.found(client, text or "")
    except lists.Unreadable as error:
        raise broken(client, file, error) from None


def broken(client: Client, file: Path, error: Exception) -> ConfigError:
    kind = "TOML" if client.format == "toml" else "JSON"
    return ConfigError(
        f"{file} cannot be understood as {client.title}'s {kind} ({error}); "
        "correct it first, nothing was changed."
    )


def read(client: Client, file: Path) -> str | None:
    """The text, line ends as they are; None where there is no file. Raises ConfigError."""
    refused = ""
    try:
        about = file.lstat()
        if stat.S_ISLNK(about.st_mode):
            refused = "is a link; change the file it leads to by hand"
        elif not stat.S_ISREG(about.st_mode):
            refused = "is no regular file"
        elif not about.st_mode & 0o222 or not os.access(file, os.W_OK):
            refused = "is read-only"
        elif about.st_size > LARGEST:
            refused = "is too large to be a configuration"
        else:
            return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        refused = "is not text in UTF-8"
    except OSError as error:
        refused = f"cannot be read ({error.strerror})"
    raise ConfigError(
        f"{file} {refused}; nothing was changed. By hand: roundhouse install {client.name} --print"
    )


def mode_of(file: Path, private: bool) -> int:
    """That of the file there is; else what a new one should have."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return 0o600 if private else 0o644


def write(file: Path, text: str, mode: int) -> None:
    """Replaces it in one step."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".roundhouse-")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(text.encode())
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)
