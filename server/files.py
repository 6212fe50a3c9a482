"""Files a caller names instead of retyping them: absolute paths under allowed roots.

Allowed are the project directory the client started us in and `files.roots`; never the file
system's root, the home directory or what contains it, and never our own home.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import BadRequest


@dataclass(frozen=True, slots=True)
class Roots:
    """Directories whose files may be read, and one inside them that may not. All are resolved."""

    allowed: tuple[Path, ...] = ()
    kept_out: Path | None = None

    def has(self, path: Path) -> bool:
        if self.kept_out is not None and path.is_relative_to(self.kept_out):
            return False
        return any(path.is_relative_to(root) for root in self.allowed)


def too_wide(root: Path) -> bool:
    """Would the directory open everything the user has?"""
    return Path.home().resolve().is_relative_to(root)


def roots(project: str, more: Iterable[Path], kept_out: Path) -> Roots:
    """Directories that are too wide or gone are no roots."""
    wanted = (Path(each) for each in (project, *more) if str(each))
    found = [each.expanduser().resolve() for each in wanted]
    allowed = tuple(each for each in found if each.is_dir() and not too_wide(each))
    return Roots(allowed, kept_out.resolve())


def read(name: str, roots: Roots, *, most: int) -> bytes:
    """The bytes of a regular file. Raises BadRequest for one that is not allowed, not there, or
    larger than `most` bytes. Links are followed, as long as they stay under a root."""
    path = Path(name)
    if not path.is_absolute() or "\0" in name:
        raise BadRequest(f"{name[:100]!r} is no absolute path")
    try:
        real = path.resolve(strict=True)
        if not roots.has(real):
            raise outside(name, roots)
        return content(real, name, most)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "its links lead nowhere"
        raise BadRequest(f"{name[:200]} cannot be read ({why})") from None


def content(real: Path, name: str, most: int) -> bytes:
    # Not blocking on a pipe, not following a link that was put there since the path was resolved.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(real, flags), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BadRequest(f"{name[:200]} is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        size = max(about.st_size, len(data)) / 1024 / 1024
        raise BadRequest(f"{name[:200]} has {size:.1f} MiB, the limit is {most >> 20} MiB")
    return data


def outside(name: str, roots: Roots) -> BadRequest:
    where = ", ".join(map(str, roots.allowed)) or "no directory: the project is the home directory"
    return BadRequest(
        f"{name[:200]} is outside the directories whose files may be read ({where[:300]})",
        next_step="Files of other directories are allowed by files.roots in config.toml.",
    )
