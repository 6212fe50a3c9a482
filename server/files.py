"""Files a caller names instead of retyping them: absolute paths under allowed roots.

Allowed are the project directory the client started us in and `files.roots`; never the file
system's root, the home directory or what contains it, and never our own home.
"""

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
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
        return self.root_of(path) is not None

    def root_of(self, path: Path) -> Path | None:
        return next((root for root in self.allowed if path.is_relative_to(root)), None)


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
    path = absolute(name)
    try:
        real = path.resolve(strict=True)
        if not roots.has(real):
            raise outside(name, roots)
        return content(real, name, roots, most)
    except (OSError, RuntimeError) as error:
        raise BadRequest(f"{name[:200]} cannot be read ({reason(error)})") from None


def absolute(name: str) -> Path:
    path = Path(name)
    if not path.is_absolute() or "\0" in name:
        raise BadRequest(f"{name[:100]!r} is no absolute path")
    return path


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "its links lead nowhere"


def content(real: Path, name: str, roots: Roots, most: int) -> bytes:
    # Not blocking on a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    with directory(real.parent, roots) as place:
        descriptor = opened(real, flags, place)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BadRequest(f"{name[:200]} is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        size = max(about.st_size, len(data)) / 1024 / 1024
        raise BadRequest(f"{name[:200]} has {size:.1f} MiB, the limit is {most >> 20} MiB")
    return data


def opened(real: Path, flags: int, place: int | None, mode: int = 0o666) -> int:
    """A descriptor of a file in a directory that `directory` opened. Links are not followed."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(real if place is None else real.name, flags, mode, dir_fd=place)


@contextmanager
def directory(real: Path, roots: Roots) -> Generator[int | None]:
    """A resolved directory under a root, opened step by step from there without following a link:
    whoever puts one in place of a directory after the path was checked gets an error. None where
    the system has no such way, which is Windows."""
    root = roots.root_of(real)
    if root is None:
        raise PermissionError(0, "it lies outside")
    if os.open not in os.supports_dir_fd:
        yield None
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    place = os.open(root, flags)
    try:
        for part in real.relative_to(root).parts:
            deeper = os.open(part, flags | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = deeper
        yield place
    finally:
        os.close(place)


def outside(name: str, roots: Roots, done: str = "read") -> BadRequest:
    where = ", ".join(map(str, roots.allowed)) or "no directory: the project is the home directory"
    return BadRequest(
        f"{name[:200]} is outside the directories whose files may be {done} ({where[:300]})",
        next_step="Files of other directories are allowed by files.roots in config.toml.",
    )
