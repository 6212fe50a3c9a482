"""Changes to a TOML file's table of servers that keep its comments and everything else.

A new entry is written behind the rest, and one is taken out, as text; tomlkit changes what is
there, and does what text cannot. Each result is read again before it counts.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

Tables = dict[str, Any]
HEADER = re.compile(r"^[ \t]*\[+([^\]\r\n]*)\]+", re.MULTILINE)


class Unreadable(ValueError):
    """The text is no TOML, or something else stands where the table should."""


def read(text: str) -> Tables:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from None


def put(text: str, table: str, name: str, entry: Mapping[str, Any]) -> str:
    """Adds the entry, which is not there."""
    wanted = read(text)
    place(wanted, table)[name] = dict(entry)

    def change(document: Tables) -> None:
        document.setdefault(table, tomlkit.table())[name] = dict(entry)

    return one_of(wanted, lambda: text + block(text, table, name, entry), text, change)


def alter(text: str, table: str, name: str, values: Mapping[str, Any]) -> str:
    """Sets keys of the entry."""
    wanted = read(text)
    place(wanted, table)[name].update(values)

    def change(document: Tables) -> None:
        document[table][name].update(values)

    return by_tomlkit(text, change)


def take(text: str, table: str, name: str) -> str:
    """Removes the entry, which is there; comments behind it stay."""
    wanted = read(text)
    del place(wanted, table)[name]
    if not wanted[table]:
        del wanted[table]

    def change(document: Tables) -> None:
        del document[table][name]
        if not document[table]:
            del document[table]

    return one_of(wanted, lambda: without(text, table, name), text, change)


def place(tables: Tables, table: str) -> Tables:
    found = tables.setdefault(table, {})
    if not isinstance(found, dict):
        raise Unreadable(f"{table} is no table")
    return cast("Tables", found)


def one_of(
    wanted: Tables, made: Callable[[], str], text: str, change: Callable[[Tables], None]
) -> str:
    """The text made, if it says what is wanted; else what tomlkit makes of the change."""
    after = made()
    try:
        if read(after) == wanted:
            return after
    except Unreadable:
        pass  # a table written in another form than ours: tomlkit knows them all
    return by_tomlkit(text, change)


def by_tomlkit(text: str, change: Callable[[Tables], None]) -> str:
    try:
        document = tomlkit.parse(text)
        change(cast("Tables", document))
        return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]
    except TOMLKitError as error:
        raise Unreadable(str(error)) from None


def block(text: str, table: str, name: str, entry: Mapping[str, Any]) -> str:
    """The entry as a table of its own, to stand behind the text."""
    line = "\r\n" if "\r\n" in text else "\n"
    plain = {key: value for key, value in entry.items() if not isinstance(value, Mapping)}
    inner = cast("dict[str, Tables]", {k: v for k, v in entry.items() if k not in plain})
    said = [f"[{table}.{name}]", *assignments(plain)]
    for key, value in inner.items():
        said += ["", f"[{table}.{name}.{key}]", *assignments(value)]
    before = "" if not text.strip() else line if text.endswith("\n") else line * 2
    return before + line.join(said) + line


def assignments(values: Mapping[str, Any]) -> list[str]:
    made = tomlkit.document()
    cast("Tables", made).update(values)
    return tomlkit.dumps(made).splitlines()  # pyright: ignore[reportUnknownMemberType]


def without(text: str, table: str, name: str) -> str:
    """The text without the lines of the entry's tables, and one empty line before each."""
    headers = list(HEADER.finditer(text))
    ends = [found.start() for found in headers] + [len(text)]
    for header, end in reversed(list(zip(headers, ends[1:], strict=True))):
        path = [part.strip(" \t\"'") for part in header.group(1).split(".")]
        if path[:2] == [table, name]:
            lines = text[header.start() : end].splitlines(keepends=True)
            while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
                lines.pop()
            last = header.start() + sum(map(len, lines))
            text = re.sub(r"\r?\n\Z", "", text[: header.start()]) + text[last:]
    return text
