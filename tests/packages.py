"""Packages beside the tests, installed as pip leaves them: a folder of metadata, found by path."""

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

import pytest

from roundhouse_mcp.providers import plugins, wire

PARROT = Path(__file__).parent.parent / "examples" / "parrot"
BUILD = "from setuptools import build_meta; build_meta.build_wheel('..')"


def distribution(
    site: Path,
    name: str,
    *,
    wires: str = "",
    providers: str = "",
    module: str = "",
    version: str = "1.0",
) -> Path:
    """Installs package `name` into `site`. `wires` and `providers` are lines of entry points;
    `module` is the source of its one module, called like it."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[roundhouse_mcp.wires]\n{wires}\n\n[roundhouse_mcp.providers]\n{providers}\n",
        encoding="utf-8",
    )
    if module:
        (site / f"{name}.py").write_text(module, encoding="utf-8")
    return site


def forget() -> None:
    """What was found among the installed packages is looked for anew."""
    for known in (plugins.installed, plugins.imported, wire.chat_wire, wire.embed_wire):
        known.cache_clear()


@contextmanager
def on_path(monkeypatch: pytest.MonkeyPatch, site: Path) -> Generator[Path]:
    """The packages in `site` are installed for this process."""
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    importlib.invalidate_caches()
    forget()
    try:
        yield site
    finally:
        forget()


def built(source: Path, to: Path) -> Path:
    """The package at `source` built by its own build backend and installed into a new folder, as
    `pip install --target` does for code without dependencies. Needs no index."""
    copy = copytree(source, to / "build" / source.name)
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, check=True, capture_output=True)
    (wheel,) = copy.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(to / "site")
    return to / "site"
