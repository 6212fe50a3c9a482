"""JSON, with comments or without, as a tree that knows where in the text everything stands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DEEPEST = 200
SPACE = " \t\r\n"
STRING = r'"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"'
COMMENT = r"//[^\r\n]*+|/\*.*?\*/"
TOKEN = re.compile(
    rf"""
      [{SPACE}]*+(?:
        (?P<comment>{COMMENT})
      | (?P<value>
            [{{}}\[\],:]
          | {STRING}
          | -?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])
          | (?:true|false|null)\b
        )
      | (?P<end>\Z)
      )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class Unreadable(ValueError):
    """The text is no such JSON. The message says what, and in which line."""


class Token(NamedTuple):
    kind: str
    start: int
    end: int
    text: str


class Node(NamedTuple):
    """A value at text[start:end]. `members` are an object's, `items` an array's; `said` is the text
    of any other."""

    start: int
    end: int
    kind: str
    said: str = ""
    members: tuple["Member", ...] = ()
    items: tuple["Node", ...] = ()

    @property
    def value(self) -> Any:
        """As a JSON reader sees it: of two equal keys the last counts."""
        if self.kind == "object":
            return {member.key: member.node.value for member in self.members}
        if self.kind == "array":
            return [item.value for item in self.items]
        return json.loads(self.said)


class Member(NamedTuple):
    """`start` is where the key begins, `comma` where the comma after the value stands, if any."""

    key: str
    start: int
    node: Node
    comma: int | None = None


@dataclass(slots=True)
class Reader:
    """Reads one text. `commas`: one may stand behind the last member."""

    text: str
    comments: bool = True
    commas: bool = True
    tokens: list[Token] = field(default_factory=list[Token])
    at: int = 0

    def __post_init__(self) -> None:
        found = tokens(self.text, self.comments)
        self.tokens = [token for token in found if token.kind != "comment"]

    def here(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def wrong(self, token: Token) -> Unreadable:
        what = "the end of the file" if token.kind == "end" else "what stands"
        return Unreadable(f"{what} in line {line_of(self.text, token.start)} is not expected there")

    def take(self, mark: str) -> Token:
        if self.here().text != mark:
            raise self.wrong(self.here())
        return self.next()

    def node(self, depth: int = 0) -> Node:
        token = self.next()
        if depth > DEEPEST:
            raise Unreadable(f"line {line_of(self.text, token.start)} is nested too deeply")
        if token.text == "{":
            return self.object(token, depth)
        if token.text == "[":
            return self.array(token, depth)
        if token.kind == "end" or token.text in ("}", "]", ",", ":"):
            raise self.wrong(token)
        return Node(token.start, token.end, "scalar", said=token.text)

    def object(self, opening: Token, depth: int) -> Node:
        members: list[Member] = []
        while self.here().text != "}" or not self.may_close(bool(members)):
            key = self.next()
            if not key.text.startswith('"'):
                raise self.wrong(key)
            self.take(":")
            node, comma = self.node(depth + 1), self.comma("}")
            members.append(Member(unquoted(key.text), key.start, node, comma))
            if comma is None:
                break
        return Node(opening.start, self.take("}").end, "object", members=tuple(members))

    def array(self, opening: Token, depth: int) -> Node:
        items: list[Node] = []
        while self.here().text != "]" or not self.may_close(bool(items)):
            items.append(self.node(depth + 1))
            if self.comma("]") is None:
                break
        return Node(opening.start, self.take("]").end, "array", items=tuple(items))

    def may_close(self, after_comma: bool) -> bool:
        if after_comma and not self.commas:
            raise self.wrong(self.here())
        return True

    def comma(self, closing: str) -> int | None:
        """The place of the comma here; None where the object or array ends instead."""
        if self.here().text == closing:
            return None
        return self.take(",").start


def tokens(text: str, comments: bool) -> Iterator[Token]:
    """Everything in the text but white space, in order; `kind` is comment or value, and at last
    end. Raises Unreadable."""
    at, kind = len(text) - len(text.removeprefix("\ufeff")), ""
    while kind != "end":
        found = TOKEN.match(text, at)
        if found is None or (found.lastgroup == "comment" and not comments):
            what = "has a comment" if found else "has something that is no JSON"
            at += len(text[at:]) - len(text[at:].lstrip(SPACE))
            raise Unreadable(f"line {line_of(text, at)} {what}")
        kind = found.lastgroup or ""
        start, at = found.span(kind)
        yield Token(kind, start, at, found[kind])


def unquoted(text: str) -> str:
    return json.loads(text) if "\\" in text else text[1:-1]


def parse(text: str, *, comments: bool = True, commas: bool = True) -> Node:
    """The tree of the whole text. Raises Unreadable."""
    reader = Reader(text, comments, commas)
    root = reader.node()
    if reader.here().kind != "end":
        raise reader.wrong(reader.here())
    return root


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
