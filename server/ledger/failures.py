"""Why the store failed, as one sentence a person can act on."""

import errno
from pathlib import Path

from ..errors import LedgerUnavailable
from .driver import Error
from .gate import GateBusy

STORE_FAILURES = (Error, OSError, GateBusy, UnicodeDecodeError)
DOCTOR = "Run `roundhouse doctor`."
REPAIR = "Run `roundhouse ledger repair`; it deletes nothing."

# SQLite's name of the error, without its suffixes -> sentence, next step, may pass by itself.
SENTENCES: dict[str, tuple[str, str, bool]] = {
    "NOTADB": (
        "The ledger {path} is not a database.",
        REPAIR,
        False,
    ),
    "CORRUPT": ("The ledger {path} is damaged.", REPAIR, False),
    "FULL": ("The disk that holds the ledger {path} is full.", "Free some space.", True),
    "CANTOPEN": (
        "The ledger {path} cannot be opened.",
        f"Check who owns {{home}}. {DOCTOR}",
        False,
    ),
    "READONLY": (
        "The ledger {path} cannot be written by this user.",
        f"Check who owns {{home}}. {DOCTOR}",
        False,
    ),
    "PERM": ("The ledger {path} may not be used by this user.", "Check who owns {home}.", False),
    "BUSY": ("The ledger {path} is locked by another program.", "Try again.", True),
    "LOCKED": ("The ledger {path} is locked by another program.", "Try again.", True),
    "IOERR": (
        "The ledger {path} cannot be read or written: the disk reports an error.",
        DOCTOR,
        True,
    ),
}
BY_MESSAGE = {  # where the driver gives no name; the words are SQLite's own
    "file is not a database": "NOTADB",
    "database disk image is malformed": "CORRUPT",
    "Could not decode to UTF-8": "CORRUPT",
    "database or disk is full": "FULL",
    "unable to open database file": "CANTOPEN",
    "attempt to write a readonly database": "READONLY",
    "database is locked": "BUSY",
    "disk I/O error": "IOERR",
}
BY_ERRNO = {
    errno.ENOSPC: "FULL",
    errno.EDQUOT: "FULL",
    errno.EACCES: "READONLY",
    errno.EPERM: "READONLY",
    errno.EROFS: "READONLY",
    errno.EIO: "IOERR",
}


def word(error: BaseException) -> str:
    """SQLite's name of the failure: `FULL`, `NOTADB`; empty where there is none."""
    if isinstance(error, UnicodeDecodeError):
        return "CORRUPT"
    if isinstance(error, OSError):
        return BY_ERRNO.get(error.errno or 0, "CANTOPEN")
    name: str = getattr(error, "sqlite_errorname", "")
    if not name:
        return next((w for words, w in BY_MESSAGE.items() if str(error).startswith(words)), "")
    return name.removeprefix("SQLITE_").split("_")[0]


def is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def is_store_failure(error: BaseException) -> bool:
    """Whether the file or the disk is at fault, rather than a statement or its values."""
    return isinstance(error, Error) and word(error) in SENTENCES


def damaged(path: Path, how: str) -> LedgerUnavailable:
    """The refusal of a ledger that opens, and is not what it says it is."""
    return LedgerUnavailable(f"The ledger {path} is damaged: {how}.", next_step=REPAIR)


def unavailable(error: BaseException, path: Path) -> LedgerUnavailable:
    """The refusal that tells what happened to the ledger at `path`."""
    if isinstance(error, LedgerUnavailable):
        return error
    if isinstance(error, GateBusy):
        return LedgerUnavailable(
            f"The ledger is busy: another Roundhouse process has held it for {error.waited_s:g} s.",
            next_step=f"Try again; if it stays so, {DOCTOR[0].lower()}{DOCTOR[1:]}",
            retryable=True,
        )
    if word(error) == "CANTOPEN" and path.parent.is_dir() and is_missing(path):
        return LedgerUnavailable(f"There is no ledger at {path} yet.", next_step=DOCTOR)
    sentence, next_step, retryable = SENTENCES.get(
        word(error), (f"The ledger {{path}} failed: {error}.".replace("\n", " "), DOCTOR, False)
    )
    return LedgerUnavailable(
        sentence.replace("{path}", str(path)),
        next_step=next_step.replace("{home}", str(path.parent)),
        retryable=retryable,
    )
