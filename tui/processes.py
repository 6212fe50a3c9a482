"""Server processes as table rows and as lines of detail: which live, and how they differ."""

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..server.home import fingerprint
from ..server.ledger import processes
from ..server.ledger.driver import Connection
from ..server.ledger.owners import alive
from ..server.ledger.processes import Process
from . import glyphs
from .clean import clean_json
from .figures import NANO, NOTHING, count_of, in_words, money, size, span, time_of_day
from .rows import Cells, Column, Look, Row, Tone, row_of

STATE = Column(key="state", title="STATE", width=8)
PID = Column(key="pid", title="PID", width=7, align="right")
CLIENT = Column(key="client", title="CLIENT", width=14, flex=True)
UP = Column(key="up", title="UP", width=6, align="right")
CONFIG = Column(key="config", title="CONFIG", width=7)
IN_FLIGHT = Column(key="running", title="IN FLIGHT", width=9, align="right")
COST = Column(key="cost", title="COST $", width=8, align="right")
BEAT = Column(key="beat", title="BEAT", width=6, align="right")
WIDE = (
    STATE,
    PID,
    CLIENT,
    Column(key="folder", title="FOLDER", width=14, flex=True),
    UP,
    Column(key="version", title="VERSION", width=8),
    CONFIG,
    IN_FLIGHT,
    Column(key="calls", title="CALLS", width=6, align="right"),
    COST,
    Column(key="last", title="LAST CALL", width=9, align="right"),
    BEAT,
)
NARROW = (STATE, PID, CLIENT, UP, CONFIG, IN_FLIGHT, COST, BEAT)
TINY = (STATE, PID, CLIENT, IN_FLIGHT, COST)
SILENT_S = 15.0
SHOWN_ENDED_S = 86_400.0

Kind = Literal["alive", "silent", "gone", "ended"]
SHOWN: dict[Kind, tuple[str, Tone]] = {
    "alive": (f"{glyphs.ALIVE} alive", ""),
    "silent": (f"{glyphs.UNKNOWN} silent", "warn"),
    "gone": (f"{glyphs.LOST} gone", "dim"),
    "ended": (f"{glyphs.NONE} ended", "dim"),
}
ORDER: tuple[Kind, ...] = ("alive", "silent", "gone", "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The servers and what lies around them. `dead` are owners whose lock nobody
    holds; `config_file` tells the present text of config.toml from others; a
    size is in bytes."""

    processes: Sequence[Process] = ()
    running: Mapping[str, int] = field(default_factory=dict[str, int])
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    dead: frozenset[str] = frozenset()
    config_file: str = ""
    ledger_size: int = 0
    wal_size: int = 0
    schema: int = 0


def look_around(home: Path, db: Connection, now: float) -> Seen:
    """Read in the feed's thread; files and locks beside the ledger are looked at too."""
    found = processes.processes(db, since=now - SHOWN_ENDED_S)
    ledger = home / "ledger.db"
    return Seen(
        processes=tuple(found),
        running=processes.in_flight(db),
        keys={name: names(raw) for name, raw in processes.keys_seen(db).items()},
        dead=frozenset(p.owner for p in found if p.ended is None and is_dead(home / "run", p)),
        config_file=fingerprint(home / "config.toml"),
        ledger_size=size_of(ledger),
        wal_size=size_of(home / "ledger.db-wal"),
        schema=int(db.execute("PRAGMA user_version").fetchone()[0]),
    )


def names(raw: bytes) -> frozenset[str]:
    said = clean_json(raw)
    return frozenset(map(str, said)) if isinstance(said, list) else frozenset()  # pyright: ignore


def is_dead(run: Path, process: Process) -> bool:
    """Does nobody hold its lock? Unknown counts as no: from another machine, and where no server
    of this home has made the directory of locks."""
    if process.host != platform.node() or not process.owner.isalnum() or not run.is_dir():
        return False
    try:
        return not alive(run, process.owner)
    except OSError:
        return False


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def kind_of(process: Process, seen: Seen, now: float) -> Kind:
    if process.ended is not None:
        return "ended" if process.reaped_by is None else "gone"
    if process.owner in seen.dead:
        return "gone"
    return "alive" if now - process.beat < SILENT_S else "silent"


def living(seen: Seen, now: float) -> list[Process]:
    return [p for p in seen.processes if kind_of(p, seen, now) == "alive"]


def in_order(seen: Seen, now: float) -> list[Process]:
    """Those that live first, each group as it was read."""
    return sorted(seen.processes, key=lambda p: ORDER.index(kind_of(p, seen, now)))


def config_word(process: Process, seen: Seen) -> str:
    """`current`, `older` than the file is now, or `differs`: the same file, but its environment
    makes other settings of it than that of most servers."""
    if process.config_file is None:
        return glyphs.UNKNOWN
    if process.config_file != seen.config_file:
        return "older"
    return "current" if process.config_hash == usual_settings(seen) else "differs"


def usual_settings(seen: Seen) -> str:
    """The hash that most running servers share, of those that go by the present file."""
    hashes = [
        p.config_hash
        for p in seen.processes
        if p.ended is None and p.owner not in seen.dead and p.config_file == seen.config_file
    ]
    return Counter(hashes).most_common(1)[0][0] if hashes else ""


def number_of(version: str) -> tuple[int, ...]:
    """`0.10.2` sorts behind `0.9`."""
    digits = ("".join(filter(str.isdecimal, part))[:9] for part in version.split("."))
    return tuple(int(part or "0") for part in digits)


def newest(seen: Seen, now: float) -> str:
    return max((p.version for p in living(seen, now)), key=number_of, default="")


def missing_keys(process: Process, seen: Seen, now: float) -> list[str]:
    """Names of keys that another running server has and this one has not."""
    others = (seen.keys.get(p.id, frozenset[str]()) for p in living(seen, now))
    known = frozenset[str]().union(*others)
    return sorted(known - seen.keys.get(process.id, frozenset()))


def remarks(process: Process, seen: Seen, now: float) -> list[str]:
    """What is not as it is with the others, of one that lives."""
    if kind_of(process, seen, now) != "alive":
        return []
    said: list[str] = []
    latest = newest(seen, now)
    if number_of(process.version) < number_of(latest):
        said.append(f"runs {process.version}, another {latest}: restart its client")
    match config_word(process, seen):
        case "older":
            said.append("goes by an older config.toml: if this lasts, roundhouse config check")
        case "differs":
            said.append("variables of its environment change the settings others have")
        case _:
            pass
    if missing := missing_keys(process, seen, now):
        said.append(f"does not see {', '.join(missing)}, which others do")
    return said


def columns_for(width: int) -> tuple[Column, ...]:
    return WIDE if width >= 116 else NARROW if width >= 72 else TINY


def process_row(process: Process, columns: tuple[Column, ...], seen: Seen, look: Look) -> Row:
    kind = kind_of(process, seen, look.now)
    state, tone = SHOWN[kind]
    if remarks(process, seen, look.now):
        state, tone = f"{glyphs.LOOK} alive", "warn"
    config = config_word(process, seen) if kind == "alive" else NOTHING
    until = look.now if process.ended is None else process.ended
    cells: Cells = {
        "state": (state, tone),
        "pid": (str(process.pid), ""),
        "client": (who(process), ""),
        "folder": (folder(process.project), ""),
        "up": (span(until - process.started), ""),
        "version": (process.version, ""),
        "config": (config, "warn" if config in ("older", "differs") else ""),
        "running": (str(seen.running.get(process.id, 0)), ""),
        "calls": (f"{process.calls:,}", ""),
        "cost": (money(process.cost_nano, about=process.presumed_nano > 0), ""),
        "last": (ago(process.last_call, look.now), ""),
        "beat": (ago(process.beat, look.now), "warn" if kind == "silent" else ""),
    }
    return row_of(process.id, cells, columns)


def ago(at: float | None, now: float) -> str:
    return "never" if at is None else span(now - at)


def who(process: Process) -> str:
    return f"{process.client} {process.client_version or ''}".rstrip()


def folder(path: str) -> str:
    """With `~` for the user's own directory."""
    own = os.path.expanduser("~")
    return f"~{path[len(own) :]}" if path == own or path.startswith(own + os.sep) else path or "?"


def fields_of(process: Process, seen: Seen, now: float) -> dict[str, str | float]:
    """What the filter line looks in."""
    return {
        "status": kind_of(process, seen, now),
        "pid": str(process.pid),
        "client": who(process),
        "folder": process.project,
        "project": process.project,
        "version": process.version,
        "config": config_word(process, seen),
        "host": process.host,
        "server": process.id,
        "state": kind_of(process, seen, now),
        "calls": process.calls,
        "cost": process.cost_nano / NANO,
        "beat": now - process.beat,
        "up": now - process.started,
        "at": process.started,
    }


def summary(seen: Seen, now: float) -> str:
    parts = [f"WAL {size(seen.wal_size)}", f"ledger {size(seen.ledger_size)}"]
    if seen.schema:
        parts.append(f"schema {seen.schema}")
    differing = sum(bool(remarks(p, seen, now)) for p in seen.processes)
    gone = sum(kind_of(p, seen, now) == "gone" for p in seen.processes)
    said = [f"{glyphs.LOOK} {count_of(differing, 'server')} unlike the others"] * bool(differing)
    said += [f"{gone} gone"] * bool(gone)
    return " · ".join([*said, *parts])


def detail_lines(process: Process, seen: Seen, look: Look) -> list[str]:
    kind, now = kind_of(process, seen, look.now), look.now
    began = f"{time_of_day(process.started, look.zone)}, {in_words(now - process.started)} ago"
    lines = [
        f"{who(process)} · pid {process.pid} on {process.host} · {folder(process.project)}",
        f"started {began} · version {process.version} · config {config_word(process, seen)}",
        f"{count_of(process.calls, 'call')} ended, {money(process.cost_nano)} spent, of which"
        f" {money(process.presumed_nano)} presumed · {seen.running.get(process.id, 0)} in flight",
        *(f"{glyphs.LOOK} {said}" for said in remarks(process, seen, now)),
    ]
    if process.id in seen.keys:
        lines.append(f"keys it sees: {', '.join(sorted(seen.keys[process.id])) or 'none'}")
    lines.append(f"its messages: {messages_at(process)}")
    return lines + fate(process, kind, look)


def messages_at(process: Process) -> str:
    if process.log_path:
        return process.log_path
    return f"stderr, which {process.client} keeps; look for its MCP log"


def fate(process: Process, kind: Kind, look: Look) -> list[str]:
    """What became of one that is not here any more, and of its money."""
    match kind:
        case "silent":
            return [
                f"no sign for {span(look.now - process.beat)}, though nothing says it ended: "
                "it may be stopped, or its machine asleep"
            ]
        case "ended" if process.ended is not None:
            return [f"said goodbye at {time_of_day(process.ended, look.zone)}"]
        case "gone" if process.ended is None:
            return [
                "gone: its process ended without a goodbye. The next server that looks marks its"
                " calls lost and counts the money they held as spent"
            ]
        case "gone" if process.ended is not None:
            found = time_of_day(process.ended, look.zone)
            return [f"gone: ended without a goodbye, found at {found}", lost_words(process)]
        case _:
            return []


def lost_words(process: Process) -> str:
    if not process.lost:
        return "no call was lost with it"
    return (
        f"{count_of(process.lost, 'call')} lost with it: {money(process.presumed_nano)} presumed"
        " spent, since nobody knows what its providers billed"
    )
