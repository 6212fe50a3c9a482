"""What a user takes along: a row on the clipboard, or all rows the filter shows in a file."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

from ..server.ledger.care import cell
from .contents import Contents
from .rows import Column

Form = Literal["csv", "jsonl"]
PROGRAM_S = 2.0
PROGRAMS = (  # what must be set for it to have a clipboard, and how it is called
    ("", ("pbcopy",)),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("", ("clip.exe",)),
)


def record(contents: Contents, columns: Sequence[Column], index: int) -> Mapping[str, object]:
    """A row's exact values where its view has them, else its cells."""
    if contents.record_at is not None:
        return contents.record_at(index)
    cells = contents.row_at(index).cells
    return {column.key: text for column, text in zip(columns, cells, strict=True)}


def records(contents: Contents, columns: Sequence[Column]) -> list[Mapping[str, object]]:
    return [
        record(contents, columns, index)
        for index, key in enumerate(contents.keys)
        if key not in contents.rules
    ]


def as_json(one: Mapping[str, object]) -> str:
    return json.dumps(dict(one), ensure_ascii=False, default=str)


def export(path: Path, form: Form, rows: Sequence[Mapping[str, object]]) -> str:
    """Writes a new file; why it could not, or "". A file that is there is never touched."""
    path = path.expanduser()
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            written(file, form, rows)
    except FileExistsError:
        return f"{path} is there already; nothing was written: choose another name"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return f"{path} cannot be written: {why}; choose another place"
    return ""


def written(file: TextIO, form: Form, rows: Sequence[Mapping[str, object]]) -> None:
    if form == "jsonl":
        file.writelines(as_json(row) + "\n" for row in rows)
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)


def programs(environ: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    """The clipboard programs of this machine that have a clipboard to write to."""
    return (
        words
        for variable, words in PROGRAMS
        if (not variable or environ.get(variable)) and shutil.which(words[0])
    )


def copy_by_program(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The program that has taken the text, or "". Blocks for as long as the program runs, at most
    two seconds for each."""
    for words in programs(environ):
        try:
            done = subprocess.run(
                words,
                input=text.encode("utf-16-le" if words[0] == "clip.exe" else "utf-8"),
                stdout=subprocess.DEVNULL,  # xclip stays behind and keeps what it inherits open
                stderr=subprocess.DEVNULL,
                timeout=PROGRAM_S,
                check=False,
                start_new_session=sys.platform != "win32",
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return words[0]
    return ""


def copied(what: str, program: str) -> str:
    """What happened, in words: the terminal is asked too, and does not tell whether it did."""
    if program:
        return f"copied {what} with {program}"
    return f"asked the terminal to copy {what} (OSC 52); some do not"
