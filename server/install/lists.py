"""A client's list of servers in the text of its file, whatever the format. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import tomlkit

from ..home import VARIABLE
from . import json_edits, jsonc, toml_edits
from .clients import Client
from .entries import NAME

VEIL = "…"
SHOWN = {("command",), ("args",), ("type",), ("env", VARIABLE)}  # of our entry; others may be keys
TOML_COMMENT = re.compile(r"#.*")

Unreadable = (jsonc.Unreadable, toml_edits.Unreadable)
Entry = Mapping[str, Any]


def found(client: Client, text: str) -> Entry | None:
    """Our entry, if there is one. Raises one of Unreadable."""
    if client.format == "toml":
        table: Any = toml_edits.read(text).get(client.table, {})
    elif not text.strip("\ufeff \t\r\n"):
        return None
    else:
        table = table_of(client, text)
    if not isinstance(table, dict):
        raise jsonc.Unreadable(f"{client.table} is no table of servers")
    entry = cast("dict[str, Any]", table).get(NAME)
    if entry is not None and not isinstance(entry, dict):
        raise jsonc.Unreadable(f"{client.table}.{NAME} is no table")
    return cast("Entry | None", entry)


def table_of(client: Client, text: str) -> Any:
    comments, commas = client.format != "json", client.format == "jsonc+"
    root = jsonc.parse(text, comments=comments, commas=commas)
    if root.kind != "object":
        raise jsonc.Unreadable("it holds no object")
    table = json_edits.member_of(root, client.table)
    if table is None:
        return {}
    json_edits.member_of(table.node, NAME)  # there once at most
    return table.node.value


def added(client: Client, text: str, entry: Entry) -> str:
    """The text with our entry, which was not there."""
    if client.format == "toml":
        return toml_edits.put(text, client.table, NAME, entry)
    return json_edits.put(text, (client.table, NAME), entry)


def altered(client: Client, text: str, values: Entry) -> str:
    """The text with these keys of our entry set."""
    if client.format == "toml":
        return toml_edits.alter(text, client.table, NAME, values)
    for key, value in values.items():
        text = json_edits.put(text, (client.table, NAME, key), value)
    return text


def removed(client: Client, text: str) -> str:
    if client.format == "toml":
        return toml_edits.take(text, client.table, NAME)
    return json_edits.take(text, (client.table, NAME))


def veiled(client: Client, text: str) -> str:
    """The text with nothing of the user's in it but names and numbers: entries of other servers
    hold keys. Lines stay where they are, as far as a difference needs it."""
    if not text.strip("\ufeff \t\r\n"):
        return ""
    if client.format == "toml":
        return veiled_toml(client, text)
    secret = set(strings(jsonc.parse(text), (), client.table))
    said: list[str] = []
    for token in jsonc.tokens(text.removeprefix("\ufeff"), comments=True):
        place = token.start + len(text) - len(text.removeprefix("\ufeff"))
        if token.kind == "comment":
            said.append(f"// {VEIL}" if token.text.startswith("//") else f"/* {VEIL} */")
        else:
            said.append(f'"{VEIL}"' if place in secret else token.text)
    return "".join(said)


def strings(node: jsonc.Node, path: tuple[str, ...], table: str) -> Iterator[int]:
    """Where the strings stand that are not ours to show."""
    if ours(path, table):
        return
    if isinstance(node.scalar, str):
        yield node.start
    for member in node.members:
        yield from strings(member.node, (*path, member.key), table)
    for item in node.items:
        yield from strings(item, path, table)


def ours(path: tuple[str, ...], table: str) -> bool:
    """Is it a value of our entry that holds no key?"""
    return path[:2] == (table, NAME) and path[2:] in SHOWN


def veiled_toml(client: Client, text: str) -> str:
    document = tomlkit.parse(text.removeprefix("\ufeff"))
    veil(cast("dict[str, Any]", document), (), client.table)
    return TOML_COMMENT.sub(f"# {VEIL}", tomlkit.dumps(document))  # pyright: ignore[reportUnknownMemberType]


def veil(table: dict[str, Any], path: tuple[str, ...], list_name: str) -> None:
    for key, value in list(table.items()):
        here = (*path, key)
        if ours(here, list_name):
            continue
        if isinstance(value, dict):
            veil(cast("dict[str, Any]", value), here, list_name)
        elif isinstance(value, str):
            table[key] = VEIL
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            tables = [cast("dict[str, Any]", each) for each in items if isinstance(each, dict)]
            for each in tables:
                veil(each, here, list_name)
            if items and not tables:
                table[key] = [VEIL]
