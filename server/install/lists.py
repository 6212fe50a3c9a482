"""A client's list of servers in the text of its file, whatever the format. Pure."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

import tomlkit

from ..home import VARIABLE
from . import json_edits, jsonc, toml_edits
from .clients import Client
from .entries import NAME

VEIL = "…"
VEILED = re.compile(
    rf"{jsonc.COMMENT}|{jsonc.STRING}(?P<colon>[{jsonc.SPACE}]*+(?=:))?", re.DOTALL | re.ASCII
)
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


def veiled(client: Client, text: str, shown: Collection[str]) -> str:
    """The text with nothing of the user's in it but names and numbers: entries of other servers
    hold keys. Strings that are `shown` stay."""
    if client.format == "toml":
        document = tomlkit.parse(text.removeprefix("\ufeff"))
        veil(cast("dict[str, Any]", document), shown)
        said = tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]
        return TOML_COMMENT.sub(f"# {VEIL}", said)

    def one(found: re.Match[str]) -> str:
        said = found[0]
        if said.startswith("/"):
            return f"// {VEIL}" if said.startswith("//") else f"/* {VEIL} */"
        if found["colon"] is not None or json.loads(said) in shown:
            return said
        return f'"{VEIL}"'

    return VEILED.sub(one, text)


def veil(table: dict[str, Any], shown: Collection[str]) -> None:
    for key, value in list(table.items()):
        if isinstance(value, dict):
            veil(cast("dict[str, Any]", value), shown)
        elif isinstance(value, str) and value not in shown:
            table[key] = VEIL
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            tables = [cast("dict[str, Any]", each) for each in items if isinstance(each, dict)]
            for each in tables:
                veil(each, shown)
            if any(not isinstance(each, dict) and each not in shown for each in items):
                table[key] = [VEIL]


def shown(entry: Entry | None) -> set[str]:
    """The strings of our entry that are no keys."""
    said = entry or {}
    env, args = said.get("env"), said.get("args")
    parts: list[Any] = [said.get("command"), said.get("type")]
    parts += cast("list[Any]", args) if isinstance(args, list) else []
    parts += [cast("Entry", env).get(VARIABLE)] if isinstance(env, dict) else []
    return {part for part in parts if isinstance(part, str)}
