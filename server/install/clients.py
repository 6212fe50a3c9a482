"""The clients there are, as rows of clients.toml, and where each keeps its file on this machine."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError

Platform = Literal["linux", "macos", "windows"]
Format = Literal["json", "jsonc", "jsonc+", "toml"]


@dataclass(frozen=True, slots=True)
class Client:
    """A row: clients.toml says what each field means."""

    name: str
    title: str
    format: Format
    table: str
    label: str
    file: Mapping[str, str]
    next: str
    project: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    waits: Mapping[str, int] = field(default_factory=dict[str, int])
    signs: tuple[str, ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides where clients keep their files."""

    platform: Platform
    home: Path
    environ: Mapping[str, str]

    @classmethod
    def here(cls, environ: Mapping[str, str], system: str) -> "Machine":
        """`system` is sys.platform. Raises ConfigError where there is no home directory."""
        names: dict[str, Platform] = {"darwin": "macos", "win32": "windows"}
        user = environ.get("USERPROFILE" if system == "win32" else "HOME")
        try:
            home = Path(user) if user else Path.home()
        except RuntimeError:
            raise ConfigError("There is no home directory to find editors in; set HOME.") from None
        return cls(names.get(system, "linux"), home, environ)

    def place(self, template: str) -> Path:
        """The path of a template: {home}, {config}, {support} and {appdata} are folders."""
        folders = {
            "home": self.home,
            "config": self.named("XDG_CONFIG_HOME", ".config"),
            "support": self.home / "Library" / "Application Support",
            "appdata": self.named("APPDATA", "AppData/Roaming"),
        }
        first, _, rest = template.partition("/")
        return folders[first.strip("{}")] / rest

    def named(self, variable: str, otherwise: str) -> Path:
        said = self.environ.get(variable, "")
        return Path(said) if said and Path(said).is_absolute() else self.home / otherwise

    def file_of(self, client: Client) -> Path:
        """The user's own list of servers."""
        folder = self.environ.get(client.moved.get("variable", ""), "")
        if folder:
            return Path(folder).expanduser().absolute() / client.moved["file"]
        return self.place(client.file.get(self.platform) or client.file["all"])

    def has(self, client: Client) -> bool:
        """Does it look as if the client were used here?"""
        signs = [self.place(sign) for sign in client.signs] or [self.file_of(client).parent]
        return self.file_of(client).exists() or any(sign.exists() for sign in signs)


@cache
def rows() -> Mapping[str, Client]:
    text = Path(__file__).with_name("clients.toml").read_text(encoding="utf-8")
    return {name: client(name, row) for name, row in tomllib.loads(text).items()}


def client(name: str, row: dict[str, Any]) -> Client:
    signs: list[str] = row.pop("signs", [])
    return Client(name=name, signs=tuple(signs), **row)


def project_file(client: Client, folder: Path) -> Path:
    """Raises ConfigError for a client that has no such file."""
    if client.project is None:
        raise ConfigError(
            f"{client.title} has no file for one project; without --project its own file is used."
        )
    return folder / client.project
