"""How reading the ledger goes, in words: the header's mark, the banner line, the first screen."""

from datetime import tzinfo
from pathlib import Path

from ..server.ledger.schema import VERSION
from . import glyphs
from .figures import count_of, span, time_of_day
from .reader import Health

STALE_S = 4.0
REPLACED_FOR_S = 60.0
SMALLEST = (60, 16)

FIRST_STEPS = """
  No ledger yet.

  I looked for   {path}      (not there)
  From           {origin}

  It appears with the first server start. Three ways to get one:

    1  roundhouse demo --keep    scripted providers, no keys, real traffic
    2  roundhouse install        add Roundhouse to your editor, then start it
    3  roundhouse serve          start a server here and talk to it over stdio

  This screen updates by itself.
"""
LOOKING = "\n  Opening the ledger."
UNREADABLE = "\n  Nothing to show: the ledger could not be read."


def is_stale(health: Health, looked_at: float, now: float) -> bool:
    """Are the numbers on the screen from earlier?"""
    return not health.readable or now - looked_at > STALE_S


def header_mark(health: Health, *, alive: int, stale_s: float | None) -> str:
    if health.state == "starting":
        return f"{glyphs.NONE} opening"
    if health.state == "missing":
        return f"{glyphs.NONE} no ledger"
    if stale_s is None and not health.readable:
        return f"{glyphs.NONE} not readable"
    if stale_s is not None:
        return f"{glyphs.LOST} stale {span(stale_s)}"
    return f"{glyphs.ALIVE if alive else glyphs.NONE} {count_of(alive, 'server')}"


def banner(
    health: Health,
    *,
    path: Path,
    alive: int,
    stale_s: float | None,
    now: float,
    zone: tzinfo | None,
) -> str:
    """One line, the gravest thing first; empty when all is well. `!` means it needs you."""
    said = trouble(health, path, now)
    if said:
        return said
    if stale_s is not None and health.state != "starting":
        return f"! the last look was {span(stale_s)} ago: these numbers are old"
    if health.reopened_at is not None and now - health.reopened_at < REPLACED_FOR_S:
        at = time_of_day(health.reopened_at, zone)
        return f"! the ledger file was replaced · reopened at {at}"
    if health.network:
        return (
            f"! on a network file system ({health.network}): servers refuse it · set"
            " ROUNDHOUSE_HOME to a local disk"
        )
    if health.state == "ok" and not alive:
        return "i history only: no server is running · start an editor or: roundhouse serve"
    return ""


def trouble(health: Health, path: Path, now: float) -> str:
    match health.state:
        case "locked":
            waited = span(now - health.since)
            code = health.detail.partition(" ")[0]
            return f"! ledger is locked by another program ({waited}, {code}) · retrying"
        case "not_database":
            return f"! file is not a database: {path} · roundhouse doctor"
        case "failing":
            return f"! the ledger cannot be read ({health.detail}) · retrying · roundhouse doctor"
        case "older":
            return (
                f"! this ledger needs an upgrade (schema {health.version}, I know {VERSION})"
                " · a server of this version does it at start"
            )
        case "newer":
            read = "not read" if health.detail else "partly read"
            return (
                f"! schema {health.version} is newer than mine ({VERSION}): {read}"
                " · pip install -U roundhouse-mcp"
            )
        case _:
            return ""


def too_small(width: int, height: int) -> str:
    if width >= SMALLEST[0] and height >= SMALLEST[1]:
        return ""
    return f"! terminal is {width}x{height}, smallest useful size is {SMALLEST[0]}x{SMALLEST[1]}"


def first_screen(health: Health, *, path: Path, origin: str) -> str:
    """What stands in place of a table while there is nothing to read."""
    if health.state == "missing":
        return FIRST_STEPS.format(path=path, origin=origin)
    return LOOKING if health.state == "starting" else UNREADABLE
