"""What the chat wires make of whole answers, streams and errors; the bodies are hand-written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_cases import CASES, WIRES, body

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.framing import FRAMINGS
from roundhouse_mcp.providers.types import Chunk, Completion, Usage
from roundhouse_mcp.providers.wire import chat_wire, embed_wire


def table(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("wire", "case"),
        [
            pytest.param(wire, case, id=f"{wire}: {case['what']}")
            for wire in WIRES
            for case in CASES[wire][kind]
        ],
    )


def chunks(wire: str, pieces: list[bytes]) -> list[Chunk]:
    """The chunks of a stream that arrives in these pieces."""
    speaks = chat_wire(wire)
    framing = FRAMINGS[speaks.FRAMING]()
    events = [event for piece in pieces for event in framing.feed(piece)] + framing.close()
    found = (speaks.decode_event(event, provider="p") for event in events)
    return [chunk for chunk in found if chunk is not None]


def assembled(found: list[Chunk]) -> Completion:
    assembler = Assembler()
    for chunk in found:
        assembler.add(chunk)
    return assembler.completion(provider="p")


def wanted(want: Any) -> dict[str, Any]:
    """Everything that matters of a completion, what a case does not name being empty."""
    usage = Usage(**want.get("usage", {}))
    empty: dict[str, Any] = {
        "text": "",
        "reasoning": "",
        "tool_calls": [],
        "model": want.get("model"),
    }
    return {**empty, **want, "usage": usage}


def seen(completion: Completion, want: Any) -> dict[str, Any]:
    return {
        "text": completion.text,
        "reasoning": completion.reasoning,
        "finish_reason": completion.finish_reason,
        "tool_calls": [[c.id, c.name, c.arguments] for c in completion.tool_calls],
        "usage": completion.usage,
        "model": completion.model if "model" in want else None,
    } | ({} if "finish_reason" in want else {"finish_reason": "stop"})


@table("answers")
def test_a_whole_answer_says_what_it_says(wire: str, case: Any) -> None:
    completion = assembled([chat_wire(wire).decode(case["body"], provider="p")])

    assert seen(completion, case["want"]) == {"finish_reason": "stop", **wanted(case["want"])}


@table("streams")
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_stream_says_what_it_says(wire: str, case: Any, newline: str) -> None:
    completion = assembled(chunks(wire, [body(wire, case, newline)]))

    assert seen(completion, case["want"]) == wanted(case["want"])


@table("streams")
@given(data=st.data())
def test_the_same_bytes_cut_anywhere_give_the_same_chunks(
    wire: str, case: Any, data: st.DataObject
) -> None:
    whole = body(wire, case, data.draw(st.sampled_from(["\n", "\r\n"])))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=40)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert chunks(wire, pieces) == chunks(wire, [whole])


@table("failures")
def test_a_failure_inside_a_stream_is_never_a_short_answer(wire: str, case: Any) -> None:
    speaks = chat_wire(wire)
    assembler = Assembler()

    def listen() -> None:
        for event in FRAMINGS[speaks.FRAMING]().feed(body(wire, case)):
            assembler.add(speaks.decode_event(event, provider="p") or Chunk())
        assembler.completion(provider="p")

    with pytest.raises(UpstreamError) as failed:
        listen()

    assert failed.value.kind == case["kind"]
    assert assembler.text == case["text"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["", "m"])
def test_an_error_in_place_of_an_answer_is_raised(wire: str, name: str) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    with pytest.raises(UpstreamError) as failed:
        chat_wire(wire).decode({"model": name, **error}, provider="p")

    assert (failed.value.kind, failed.value.detail) == ("faulted", "Overloaded")
    assert failed.value.billing == "observed"


def test_surrogate_halves_in_separate_pieces_are_joined() -> None:
    assembler = Assembler()
    for text in ("a\ud83d", "\ude00b", "\ud83d"):
        assembler.add(Chunk(text=text))

    assert assembler.text == "a\U0001f600b\ufffd"


@pytest.mark.parametrize("places", [[1, 2], [0, 0], [0, 2]])
def test_vectors_that_are_not_numbered_one_by_one_are_not_guessed_at(places: list[int]) -> None:
    body = {"data": [{"index": place, "embedding": [1.0]} for place in places]}

    with pytest.raises(ValueError, match="not numbered one by one"):
        embed_wire("openai_embeddings").decode(body, provider="p")
