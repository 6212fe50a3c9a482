"""Changes to JSON with comments: what is put in, what is taken out, and that nothing else moves."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse_mcp.server.install.json_edits import comments, put, take
from roundhouse_mcp.server.install.jsonc import Unreadable, parse

ENTRY = {"command": "uvx", "args": ["roundhouse-mcp==1.0", "serve"], "env": {"A": "ü"}}
PATH = ["servers", "roundhouse"]

blank = st.sampled_from(["", " ", "\n", "\n  ", "\r\n\t", "  \n\n "])
comment = st.sampled_from(["", "", '/* a { " */', "// b } \n", "/**/", "// 'c' : ,\r\n"])
trivia = st.tuples(blank, comment, blank).map("".join)
scalar = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(),
    st.text(max_size=6),
    st.floats(allow_nan=False, allow_infinity=False),
).map(lambda value: json.dumps(value, ensure_ascii=False))


def spaced(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(trivia, parts, trivia).map("".join)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str], least: int = 0) -> str:
    keys = draw(st.lists(st.text('abc"\\é', max_size=3), unique=True, min_size=least, max_size=4))
    members = [f"{draw(spaced(st.just(json.dumps(key))))}:{draw(inner)}" for key in keys]
    closing = draw(st.sampled_from(["", ","])) if members else ""
    return "{" + ",".join(members) + closing + draw(trivia) + "}"


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=3))
    return "[" + ",".join(items) + (draw(st.sampled_from(["", ","])) if items else "") + "]"


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return spaced(st.one_of(objects(inner), arrays(inner)))


value = st.recursive(spaced(scalar), nested, max_leaves=8)


@st.composite
def files(draw: st.DrawFn, least: int = 1) -> str:
    """A file with a table `servers` of at least so many members between others."""
    table = draw(spaced(objects(value, least)))
    others = [f'"o{n}":{draw(value)}' for n in range(draw(st.integers(0, 2)))]
    others.insert(draw(st.integers(0, len(others))), f'{draw(trivia)}"servers":{table}')
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return f"{bom}{draw(trivia)}{{{','.join(others)}{draw(trivia)}}}{draw(trivia)}"


def said(text: str) -> list[str]:
    return [token.text.strip() for token in comments(text)]


@settings(max_examples=30, deadline=None)
@given(files())
def test_what_is_put_into_a_table_and_taken_out_again_leaves_every_byte_as_it_was(
    text: str,
) -> None:
    assert take(put(text, PATH, ENTRY), PATH) == text


@settings(max_examples=30, deadline=None)
@given(files(least=0))
def test_an_entry_changes_nothing_but_itself(text: str) -> None:
    expected = parse(text).value
    expected["servers"]["roundhouse"] = ENTRY

    after = put(text, PATH, ENTRY)

    assert parse(after).value == expected
    assert said(after) == said(text)
    assert list(parse(after).value) == list(expected)


@settings(max_examples=30, deadline=None)
@given(files(), st.data())
def test_any_entry_can_be_taken_out_and_the_others_and_every_comment_outside_it_stay(
    text: str, data: st.DataObject
) -> None:
    table = next(m.node for m in parse(text).members if m.key == "servers")
    member = data.draw(st.sampled_from(table.members))
    expected = parse(text).value
    del expected["servers"][member.key]

    after = take(text, ["servers", member.key])

    end = member.node.end if member.comma is None else member.comma
    assert parse(after).value == expected
    assert said(after) == said(text[: member.start]) + said(text[end:])


@settings(max_examples=30, deadline=None)
@given(files(), st.data())
def test_a_value_is_replaced_in_its_place(text: str, data: st.DataObject) -> None:
    table = next(m.node for m in parse(text).members if m.key == "servers")
    member = data.draw(st.sampled_from(table.members))

    after = put(text, ["servers", member.key], 5)

    assert after == text[: member.node.start] + "5" + text[member.node.end :]


@settings(max_examples=30, deadline=None)
@given(value)
def test_without_comments_and_trailing_commas_it_reads_what_python_reads(text: str) -> None:
    def python() -> object:
        return json.loads(text, strict=True)

    try:
        expected = python()
    except ValueError:
        with pytest.raises(Unreadable):
            parse(text, comments=False, commas=False)
    else:
        assert parse(text, comments=False, commas=False).value == expected
