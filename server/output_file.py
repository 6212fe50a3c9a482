"""A file an answer is written to instead of being returned: checked before anything is spent,
written whole or not at all, never over another file unless the caller says so."""

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio.to_thread

from . import files
from .errors import BadRequest
from .files import Roots
from .outcomes import Outcome

LONGEST_NAME = 200  # bytes; beside it stands, for a moment, a file with a longer name
KEPT_OUT = ".git"  # what is written there may be run


@dataclass(frozen=True, slots=True)
class Target:
    """`name` is what the caller called it, `real` where it is: in a resolved directory."""

    name: str
    real: Path
    overwrite: bool
    roots: Roots


def target(name: str, roots: Roots, *, overwrite: bool) -> Target:
    """The file to write. Raises BadRequest where it could not be written now."""
    path = files.absolute(name)
    if path.name in ("", "..") or len(os.fsencode(path.name)) > LONGEST_NAME:
        raise BadRequest(f"{name[:200]} is no name of a file")
    try:
        real = path.parent.resolve(strict=True) / path.name
        if not (roots.has(real) and roots.has(real.parent)) or KEPT_OUT in real.parts:
            raise outside(name, real, roots)
        found = Target(name, real, overwrite, roots)
        with files.directory(real.parent, roots) as place:
            check(found, place)
    except (OSError, RuntimeError) as error:
        raise unwritable(name, files.reason(error)) from None
    return found


def outside(name: str, real: Path, roots: Roots) -> BadRequest:
    if KEPT_OUT in real.parts:
        return BadRequest(f"{name[:200]} lies in a {KEPT_OUT} directory, where nothing is written")
    return files.outside(name, roots, "written")


def unwritable(name: str, why: str) -> BadRequest:
    return BadRequest(f"{name[:200]} cannot be written ({why})")


def check(wanted: Target, place: int | None) -> int | None:
    """The permissions of the file that will be replaced; None where there is none."""
    at = wanted.real if place is None else wanted.real.name
    where = wanted.real.parent if place is None else "."
    if not os.access(where, os.W_OK, dir_fd=place):
        raise unwritable(wanted.name, "its directory is read-only")
    try:
        about = os.stat(at, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(about.st_mode):
        raise unwritable(wanted.name, "it is a link, a directory or a device")
    if not wanted.overwrite:
        raise BadRequest(
            f"{wanted.name[:200]} exists", next_step="Name another file, or set overwrite=true."
        )
    return stat.S_IMODE(about.st_mode) & 0o777


def write(wanted: Target, text: str) -> int:
    """The bytes written: all of them, at once for whoever looks. Raises BadRequest where a file of
    that name has come since, and OSError."""
    data = text.encode("utf-8", "replace")
    with files.directory(wanted.real.parent, wanted.roots) as place:
        mode = check(wanted, place)
        beside = wanted.real.with_name(f".{wanted.real.name}.{secrets.token_hex(4)}")
        aside = beside if place is None else Path(beside.name)
        try:
            fill(beside, place, data, mode)
            move(wanted, aside, place)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=place)
    return len(data)


def fill(beside: Path, place: int | None, data: bytes, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(files.opened(beside, flags, place), "wb") as file:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def move(wanted: Target, aside: Path, place: int | None) -> None:
    """Under its name. Giving a file a second name fails where there is one of that name already,
    which moving it does not."""
    final = wanted.real if place is None else Path(wanted.real.name)
    try:
        if not wanted.overwrite:
            claim(aside, final, place)
        if wanted.overwrite or not is_same(aside, final, place):
            os.replace(aside, final, src_dir_fd=place, dst_dir_fd=place)
    except FileExistsError:
        raise BadRequest(f"{wanted.name[:200]} came into being meanwhile") from None


def claim(aside: Path, final: Path, place: int | None) -> None:
    try:
        os.link(aside, final, src_dir_fd=place, dst_dir_fd=place)
    except FileExistsError:
        raise
    except OSError:  # a file system that knows one name per file
        os.close(files.opened(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, place))


def is_same(aside: Path, final: Path, place: int | None) -> bool:
    return os.path.samestat(os.stat(aside, dir_fd=place), os.stat(final, dir_fd=place))


async def written(outcome: Outcome, wanted: Target) -> Outcome:
    """The outcome as it goes back once its text is in the file: where it is in place of it. What
    cannot be written, or is not all there yet, goes back as it is: it has been paid for."""
    if outcome.finish_reason == "timeout":
        later = f"complete(call_id={outcome.call_id!r}, output_file={wanted.name!r})"
        return warned(outcome, f"nothing is written to the file yet; do it with {later}")
    if not outcome.text:
        return warned(outcome, f"the answer has no text; {wanted.name[:200]} was not written")
    try:
        size = await anyio.to_thread.run_sync(write, wanted, outcome.text)
    except BadRequest as refused:
        return warned(outcome, f"{refused.message}; the text is here instead")
    except OSError as error:
        why = files.reason(error)
        return warned(outcome, f"{wanted.name[:200]} was not written ({why}); the text is here")
    said = f"The answer is in {wanted.name}: {size} bytes."
    return replace(outcome, text=said, structured=None, output_file=wanted.name, bytes=size)


def warned(outcome: Outcome, warning: str) -> Outcome:
    return replace(outcome, warnings=(*outcome.warnings, warning))
