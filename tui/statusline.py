"""One line for tmux or an editor's status line, and an exit code that says whether to look.

No text of strangers is in it: only numbers and our own words.
"""

import string
import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import Path

from ..server.errors import BadRequest
from .figures import dollars
from .glyphs import in_ascii
from .told import ALARM, UNREADABLE, Told, alarms, look_once

USUAL = "{mark} {running} {today} {alarm}"
FIELDS = {
    "mark": "how many servers run, or what is wrong with the ledger",
    "servers": "how many servers run",
    "running": "calls in flight, with a sign",
    "calls": "calls in flight",
    "today": "what today cost",
    "alarm": "the worst thing, or nothing",
    "circuits": "circuits that are not closed",
    "held": "circuits held by a person",
    "budgets": "budgets about to run out",
}


def status(
    home: Path,
    form: str = USUAL,
    *,
    clock: Callable[[], float] = time.time,
    zone: tzinfo | None = None,
    ascii_only: bool = False,
) -> tuple[str, int]:
    """The line, and 0, ALARM, or UNREADABLE when it says why nothing could be read. Raises
    BadRequest for a form with other fields than FIELDS."""
    check(form)
    told = look_once(home, clock=clock, zone=zone, ring=0)
    seen = alarms(told)
    if told.readable:
        line, code = filled(form, fields_of(told)), ALARM if seen.words else 0
    else:
        line, code = told.mark, UNREADABLE
    return in_ascii(line) if ascii_only else line, code


def fields_of(told: Told) -> dict[str, str]:
    seen, running = alarms(told), told.store.snapshot.running_count
    return {
        "mark": told.mark,
        "servers": str(told.alive),
        "running": f"▶ {running}",
        "calls": str(running),
        "today": dollars(told.store.snapshot.today_nano),
        "alarm": seen.words,
        "circuits": str(seen.circuits),
        "held": str(seen.held),
        "budgets": str(seen.budgets),
    }


def check(form: str) -> None:
    """Nothing but plain names: a form may not look into values."""
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(form) if name is not None]
        filled(form, dict.fromkeys(FIELDS, ""))
    except (ValueError, KeyError, IndexError, AttributeError):
        named = [""]
    if any(name not in FIELDS for name in named):
        raise BadRequest(
            f"the format {form[:60]!r} cannot be filled in",
            next_step=f"Fields: {', '.join(f'{{{name}}}' for name in FIELDS)}.",
        )


def filled(form: str, values: Mapping[str, str]) -> str:
    """One line, without what an empty field leaves at its end."""
    return " ".join(form.format_map(values).splitlines()).rstrip()
