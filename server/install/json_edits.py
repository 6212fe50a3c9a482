"""Changes to JSON text that leave every byte alone but those of what is put in or taken out.

Comments outside of it are never removed. What `put` adds to an object that has members, `take`
removes again, byte for byte.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .jsonc import Member, Node, Token, Unreadable, parse, tokens

UNIT = "  "
EMPTY = "{}\n"
INDENTED = re.compile(r"^([ \t]+)\"", re.MULTILINE)


def put(text: str, path: Sequence[str], value: Any) -> str:
    """Sets the value at `path`; objects on the way are made. Raises Unreadable where something else
    stands in the way."""
    text = text if text.strip("\ufeff \t\r\n") else EMPTY
    node = parse(text)
    for depth, key in enumerate(path):
        if node.kind != "object":
            raise Unreadable(f"{'.'.join(path[:depth]) or 'the whole of it'} is no object")
        member = member_of(node, key)
        if member is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return added(text, node, key, value)
        node = member.node
    said = rendered(value, indent_at(text, node.start), unit_of(text), newline(text))
    return text[: node.start] + said + text[node.end :]


def take(text: str, path: Sequence[str]) -> str:
    """Removes the member at `path`, if it is there."""
    node = parse(text)
    for key in path[:-1]:
        member = member_of(node, key) if node.kind == "object" else None
        if member is None:
            return text
        node = member.node
    member = member_of(node, path[-1]) if node.kind == "object" else None
    return text if member is None else without(text, node, member)


def member_of(node: Node, key: str) -> Member | None:
    found = [member for member in node.members if member.key == key]
    if len(found) > 1:
        raise Unreadable(f"it has {key!r} twice")
    return found[0] if found else None


def added(text: str, node: Node, key: str, value: Any) -> str:
    """The text with a member more, behind the last one and the comments after it."""
    if not node.members:
        return filled(text, node, key, value)
    last, line = node.members[-1], newline(text)
    spread = "\n" in text[node.start : node.end]
    end = last.node.end if last.comma is None else last.comma + 1
    place = end_of_comments(text, end, node.end - 1)
    indent = indent_at(text, last.start)
    said = f"{quoted(key)}: {rendered(value, indent, unit_of(text) if spread else None, line)}"
    between = line + indent if spread else " "
    if last.comma is None:
        return text[:end] + "," + text[end:place] + between + said + text[place:]
    return text[:place] + between + said + "," + text[place:]


def filled(text: str, node: Node, key: str, value: Any) -> str:
    """The text with the first member of an object that has none."""
    place = end_of_comments(text, node.start + 1, node.end - 1)
    outer, unit, line = indent_at(text, node.start), unit_of(text), newline(text)
    said = f"{quoted(key)}: {rendered(value, outer + unit, unit, line)}"
    rest = text[place : node.end - 1]
    closing = rest if "\n" in rest else line + outer
    return text[:place] + line + outer + unit + said + closing + text[node.end - 1 :]


def without(text: str, node: Node, member: Member) -> str:
    """The text without the member; the comments before it stay."""
    at = node.members.index(member)
    comma = node.members[at - 1].comma if at else None
    after_mark = node.start + 1 if comma is None else comma + 1
    start = end_of_comments(text, after_mark, member.start)
    end = member.node.end if member.comma is None else member.comma + 1
    rest = text[end:]
    kept = text[:start]
    if not text[node.start + 1 : start].strip() and not text[end : node.end - 1].strip():
        return text[: node.start + 1] + text[node.end - 1 :]  # nothing is left in it
    if member.comma is None and comma is not None:  # no comma may be left behind the last one
        kept = text[:comma] + text[comma + 1 : start]
    if rest.lstrip(" \t").startswith(("\r", "\n")):
        return kept + rest
    if at + 1 < len(node.members) or ends_in_line_comment(text[after_mark:start]):
        return kept + text[start : member.start] + rest.lstrip(" \t")
    return kept + rest


def comments(text: str) -> list[Token]:
    return [token for token in tokens(text, comments=True) if token.kind == "comment"]


def end_of_comments(text: str, start: int, end: int) -> int:
    """Where the last comment between two places ends; `start` where there is none."""
    found = comments(text[start:end])
    return start + found[-1].end if found else start


def ends_in_line_comment(text: str) -> bool:
    return any(token.text.startswith("//") for token in comments(text)[-1:])


def newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def indent_at(text: str, at: int) -> str:
    """The white space at the beginning of the line a place is in."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def unit_of(text: str) -> str:
    """What the file indents by: what its first key is indented by."""
    found = INDENTED.search(text)
    return found.group(1)[:8] if found else UNIT


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def rendered(value: Any, indent: str, unit: str | None, line: str) -> str:
    """JSON whose further lines begin with `indent`; on one line if there is no unit. Lists stay on
    one line."""
    if unit is None or not isinstance(value, Mapping) or not value:
        return json.dumps(value, ensure_ascii=False)
    members = cast("Mapping[str, Any]", value).items()
    inner = indent + unit
    lines = [f"{inner}{quoted(key)}: {rendered(item, inner, unit, line)}" for key, item in members]
    return "{" + line + f",{line}".join(lines) + f"{line}{indent}}}"
