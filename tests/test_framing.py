"""Events out of bytes, however these are cut."""

import gzip
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_cases import event_frame, frame

from roundhouse_mcp.providers.framing import (
    LINE_CAP,
    Event,
    EventStream,
    NewlineJson,
    ServerSentEvents,
    Unframed,
)
from roundhouse_mcp.providers.gzip_text import Inflater
from roundhouse_mcp.providers.json_text import TooDeep, loads


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"data: a\n\n", [Event("a")]),
        (b"data:a\r\n\r\ndata:  b\r\n\r\n", [Event("a"), Event(" b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b": hello\n\nevent: x\ndata: 1\ndata: 2\nid: 7\n\n", [Event("1\n2", "x")]),
        (b"event: gone\n\ndata: a\n\n", [Event("a")]),
        (b"data\n\n", [Event("")]),
        (b"data: last", [Event("last")]),
        (b"data: \xff\n\n", [Event("\ufffd")]),
        (b"\n\n\n", []),
    ],
)
def test_server_sent_events_are_read_as_the_format_says(body: bytes, want: list[Event]) -> None:
    framing = ServerSentEvents()

    assert framing.feed(body) + framing.close() == want


def test_newline_json_skips_blank_lines_and_takes_an_unfinished_last_one() -> None:
    framing = NewlineJson()

    assert framing.feed(b'{"a":1}\r\n\n{"b"') + framing.feed(b":2}") == [Event('{"a":1}')]
    assert framing.close() == [Event('{"b":2}')]


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    size=st.integers(1, 9),
)
def test_pieces_of_any_size_give_the_same_events(
    texts: list[str], newline: bytes, size: int
) -> None:
    body = b"".join(b"data: " + text.encode() + newline * 2 for text in texts)
    framing = ServerSentEvents()

    found = [e for at in range(0, len(body), size) for e in framing.feed(body[at : at + size])]

    assert found + framing.close() == [Event(text) for text in texts]


@pytest.mark.parametrize("framing", [ServerSentEvents, NewlineJson])
def test_a_line_without_end_is_refused(
    framing: type[ServerSentEvents] | type[NewlineJson],
) -> None:
    reader = framing()

    for _ in range(LINE_CAP // 65536):
        reader.feed(b"x" * 65536)

    with pytest.raises(Unframed, match="longer than 1 MiB"):
        reader.feed(b"x")


def test_an_event_of_many_lines_without_end_is_refused() -> None:
    reader = ServerSentEvents()

    for _ in range(LINE_CAP // 1024):
        reader.feed(b"data: " + b"x" * 1024 + b"\n")

    with pytest.raises(Unframed, match="longer than 1 MiB"):
        reader.feed(b"data: x\n")


@pytest.mark.parametrize("levels", [65, 5000])
def test_json_nested_without_reason_is_refused(levels: int) -> None:
    with pytest.raises(TooDeep):
        loads("[" * levels + "]" * levels)


def test_brackets_inside_strings_nest_nothing() -> None:
    assert loads('["' + "[{" * 500 + '\\"[", {}]') == ["[{" * 500 + '"[', {}]


def test_a_bomb_unpacks_piece_by_piece() -> None:
    engine = zlib.compressobj(wbits=31)
    bomb = engine.compress(bytes(20_000_000)) + engine.flush()

    sizes = [len(piece) for piece in Inflater().feed(bomb)]

    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 256 * 1024


@given(data=st.binary(), size=st.integers(1, 9))
def test_gzip_cut_anywhere_unpacks_to_the_same(data: bytes, size: int) -> None:
    packed = gzip.compress(data)
    inflater = Inflater()

    pieces = [
        piece
        for at in range(0, len(packed), size)
        for piece in inflater.feed(packed[at : at + size])
    ]

    assert b"".join(pieces) == data


def test_a_frame_that_reports_an_error_is_told_apart_from_an_event() -> None:
    unforeseen = {
        ":message-type": "error",
        ":error-code": "InternalFailure",
        ":error-message": "went wrong",
    }
    body = event_frame('a {"x": 1}') + event_frame("!oddException {}") + frame(unforeseen, b"")

    assert EventStream().feed(body) == [
        Event('{"x": 1}', "a"),
        Event("{}", "!oddException"),
        Event('{"message": "went wrong"}', "!InternalFailure"),
    ]


@pytest.mark.parametrize("at", [1, 6, 9, 20, -2])
def test_a_damaged_frame_is_no_event(at: int) -> None:
    body = bytearray(event_frame('a {"x": 1}'))
    body[at] ^= 1

    with pytest.raises(Unframed, match="a frame of the answer is damaged"):
        EventStream().feed(bytes(body))


def test_half_a_frame_at_the_end_is_no_event() -> None:
    frames = EventStream()

    assert frames.feed(event_frame("a {}")[:-1]) == []
    assert frames.close() == []


def test_without_the_library_binary_frames_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.eventstream", None)

    with pytest.raises(Unframed, match="pip install"):
        EventStream().feed(event_frame("a {}"))
