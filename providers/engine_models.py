"""Where an engine's model is on this machine: a file, a directory, or in the Hugging Face cache.

Nothing here downloads. The cache is looked into before anything else is done with an id.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from .engine_llamacpp import CONTEXT
from .engines import ROOTED, SUFFIX, Engine, Unusable
from .gguf import shape
from .memory import Need
from .setup import Setup

MAGIC = b"GGUF"
FIRST_OF_SEVERAL = "-00001-of-"
PART = "-of-"
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Found:
    """What the engine is given, and the bytes of its weights; 0 where they are not here yet."""

    path: str
    size: int


def find(setup: Setup, home: Path, environ: Mapping[str, str]) -> Found:
    """A relative path is meant from `home`. Raises Unusable, with what to do."""
    engine, model = setup.engine, setup.model
    if engine.format == "any":
        return Found(model, 0)
    path = home / os.path.expanduser(model)
    if path.exists():
        return checked(path, engine)
    if not is_id(model):
        raise Unusable(f"there is no model at {path}; correct providers.{setup.name}.model")
    return cached(setup, cache(environ))


def is_id(model: str) -> bool:
    """Could it be `org/name`, or `org/name/FILE`?"""
    parts = model.split("/")
    if model.startswith(ROOTED) or "\\" in model or not all(parts):
        return False
    return len(parts) == 3 or (len(parts) == 2 and not model.endswith(SUFFIX))


def checked(path: Path, engine: Engine) -> Found:
    """A file or directory of the kind the engine loads."""
    if engine.format == "gguf":
        return gguf(path)
    if not path.is_dir():
        hint = '; engine = "llamacpp" loads it' if path.suffix == SUFFIX else ""
        raise Unusable(f"{path} is no directory with a {CONFIG}{hint}")
    if not (path / CONFIG).is_file():
        raise Unusable(f"{path} has no {CONFIG}; it is not a model {engine.title} can load")
    return Found(str(path), weights(path))


def gguf(path: Path) -> Found:
    if path.is_dir():
        return the_one(sorted(path.glob(f"*{SUFFIX}")), path)
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    if start != MAGIC:
        raise Unusable(f"{path} is no GGUF file; a download may have gone wrong")
    return Found(str(path), parts_size(path))


@lru_cache
def context_of(path: str) -> int | None:
    """The tokens a model of the hub can read, as its own configuration says: the programs that
    load it do not keep to it."""
    try:
        said: object = json.loads((Path(path) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return reads(said) or reads(table(said).get("text_config"))


def reads(said: object) -> int | None:
    found = table(said).get("max_position_embeddings")
    return found if isinstance(found, int) and found > 0 else None


def table(said: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", said) if isinstance(said, dict) else {}


def parts_size(path: Path) -> int:
    """Of a file that is the first of several, the size of all."""
    if FIRST_OF_SEVERAL not in path.name:
        return path.stat().st_size
    stem, _, end = path.name.partition(FIRST_OF_SEVERAL)
    return sum(p.stat().st_size for p in path.parent.glob(f"{stem}-*{PART}{end}"))


def the_one(files: Sequence[Path], where: Path) -> Found:
    """The only model there, or the first part of it."""
    whole = [f for f in files if PART not in f.name or FIRST_OF_SEVERAL in f.name]
    if len(whole) == 1:
        return gguf(whole[0])
    names = ", ".join(f.name for f in whole[:6])
    there = f"several models ({names}); name one" if whole else "no GGUF file"
    raise Unusable(f"{where} holds {there}")


def weights(directory: Path) -> int:
    endings = {".safetensors", ".bin", ".npz"}
    return sum(f.stat().st_size for f in directory.iterdir() if f.suffix in endings)


def cache(environ: Mapping[str, str]) -> Path:
    """Where Hugging Face's own library keeps what was downloaded."""
    if found := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(found).expanduser()
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(environ.get("HF_HOME") or f"{base}/huggingface").expanduser() / "hub"


def cached(setup: Setup, hub: Path) -> Found:
    """`org/name`, or `org/name/FILE.gguf`, as far as it was downloaded."""
    org, name, *file = setup.model.split("/")
    repository = hub / f"models--{org}--{name}"
    snapshot = current(repository)
    if snapshot is not None and not file:
        return checked(snapshot, setup.engine)
    if snapshot is not None and (snapshot / file[0]).exists():
        return checked(snapshot / file[0], setup.engine)
    if setup.allow_download and setup.engine.format == "hub":
        return Found(setup.model, 0)
    fetch = " ".join((f"hf download {org}/{name}", *file))
    allow = (
        f", or set providers.{setup.name}.allow_download = true"
        if setup.engine.format == "hub"
        else ""
    )
    raise Unusable(
        f"{setup.model} is neither a file nor in the Hugging Face cache ({hub}), and nothing is "
        f"downloaded; run `{fetch}`{allow}"
    )


def current(repository: Path) -> Path | None:
    """The snapshot `main` names, else the newest one."""
    try:
        named = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        named = ""
    if named and (repository / "snapshots" / named).is_dir():
        return repository / "snapshots" / named
    there = [p for p in (repository / "snapshots").glob("*") if p.is_dir()]
    return max(there, key=lambda p: p.stat().st_mtime, default=None)


def needs(setup: Setup, found: Found) -> Need:
    """The memory the engine will take, as far as the model's own header says."""
    known = shape(Path(found.path)) if setup.engine.format == "gguf" else None
    tokens = setup.context * setup.slots if setup.context else CONTEXT
    if known is None or not found.size:
        return Need(weights=found.size)
    return Need(weights=found.size, cache=known.cache(tokens), tokens=tokens)
