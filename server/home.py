"""Where Roundhouse keeps everything of one user: one directory, whatever the environment."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError

VARIABLE = "ROUNDHOUSE_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The directory and the files in it. Making one touches nothing."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def keys(self) -> Path:
        return self.path / "keys.toml"

    @property
    def tokens(self) -> Path:
        return self.path / "tokens.toml"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def gate(self) -> Path:
        return self.path / "ledger.gate"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> "Home":
        """ROUNDHOUSE_HOME, else ~/.roundhouse: never a path that depends on how a client strips
        the environment. Raises ConfigError where neither can be known."""
        named = environ.get(VARIABLE, "").strip()
        if named:
            return cls(Path(named).expanduser().absolute())
        user = environ.get("HOME") or environ.get("USERPROFILE")
        try:
            return cls((Path(user) if user else Path.home()) / ".roundhouse")
        except RuntimeError:
            raise ConfigError(
                f"There is no home directory to keep Roundhouse's files in; set {VARIABLE}."
            ) from None

    def stamps(self) -> tuple[object, object]:
        """What tells one version of the configuration and of the keys from the next."""
        return stamp(self.config), stamp(self.keys)

    def make(self) -> None:
        """Creates the directory, for its owner only. Raises ConfigError where that fails."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(
                f"{self.path} cannot be made ({reason}); "
                f"name a directory you can write to in {VARIABLE}."
            ) from error

    def write(self, path: Path, text: str) -> None:
        """Replaces one of the files in one step; it is never readable by others, not even for a
        moment. Raises ConfigError, and leaves the old file, where that fails."""
        self.make()
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".new-")  # 0600 at once
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def fingerprint(path: Path) -> str:
    """The same for the same content; "" where there is no file to read."""
    import hashlib  # not before it is needed: what starts us is awaited

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Time, size and identity of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
