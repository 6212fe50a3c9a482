"""How a client starts this very Roundhouse, so that it keeps doing so tomorrow.

Started by uvx, it lives in a cache that may be emptied: the entry names uvx and pins the version
(or what uvx was given, a folder or a commit). Installed in any other way (uv tool, pip, a clone),
the entry names the command there is, by its absolute path. Paths are absolute because an editor
started from a desktop does not have the PATH of a shell.
"""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

PACKAGE = "roundhouse-mcp"
SCRIPTS = (PACKAGE, "roundhouse")


@dataclass(frozen=True, slots=True)
class Launcher:
    """A command and its arguments before `serve`."""

    command: str
    args: tuple[str, ...] = ()

    @property
    def shareable(self) -> bool:
        """Would it do the same on another machine that has uv?"""
        return Path(self.command).stem == "uvx" and not any(
            Path(a).is_absolute() for a in self.args
        )

    def portable(self) -> "Launcher":
        """For a file that others may get: no path of this machine, where that is possible."""
        return replace(self, command="uvx") if self.shareable else self


def published(version: str) -> Launcher:
    """For machines of which nothing is known but that they have uv."""
    return Launcher("uvx", (f"{PACKAGE}=={version}",))


def here(environ: Mapping[str, str] = os.environ) -> Launcher:
    """How the running process would be started again."""
    return launcher(
        prefix=Path(sys.prefix),
        script=Path(sys.argv[0]),
        scripts=Path(sysconfig.get_path("scripts")),
        origin=json.loads(distribution(PACKAGE).read_text("direct_url.json") or "null"),
        version=version(PACKAGE),
        uvx=uvx(environ),
    )


def launcher(
    *,
    prefix: Path,
    script: Path,
    scripts: Path,
    origin: Mapping[str, Any] | None,
    version: str,
    uvx: str,
) -> Launcher:
    """`prefix` is the Python environment's folder, `scripts` that of its commands, `script` the
    command that was given, `origin` what the installer wrote down (None: a package index)."""
    if any(part.startswith("archive-v") for part in prefix.parts):
        if origin is None:
            return replace(published(version), command=uvx)
        return Launcher(uvx, ("--from", source(origin), PACKAGE))
    if script.stem in SCRIPTS and script.suffix in ("", ".exe"):
        return Launcher(str(script.absolute()))
    suffix = ".exe" if os.name == "nt" else ""
    return Launcher(str(scripts / f"roundhouse{suffix}"))


def source(origin: Mapping[str, Any]) -> str:
    """What uvx was told to take the package from."""
    url = str(origin["url"])
    if "vcs_info" in origin:
        return f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    parts = urlparse(url)
    return url2pathname(parts.path) if parts.scheme == "file" else url


def uvx(environ: Mapping[str, str]) -> str:
    """The uvx beside the uv that runs us, else the one on the PATH, else its bare name."""
    if said := environ.get("UV"):
        beside = Path(said).with_name(f"uvx{Path(said).suffix}")
        if beside.is_file():
            return str(beside)
    found = shutil.which("uvx", path=environ.get("PATH"))
    return str(Path(found).absolute()) if found else "uvx"
