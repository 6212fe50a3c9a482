"""An answer that does not fit the schema it was asked for: read it, and ask once more. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..providers.prices import bound
from ..providers.tokens import input_bound, pictures
from ..providers.types import Call, Completion, EmbedCall, Message
from . import schemas
from .candidates import Candidate

FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
NO_JSON = "the answer is not valid JSON, although a schema was asked for"
CUT = "the answer was cut off before its JSON was complete; allow more max_tokens"
AGAIN = (
    "That does not do: {complaint}. Answer again with one JSON object that fits this JSON schema, "
    "and nothing else:\n{schema}"
)


def fitted(asked: Call | EmbedCall, completion: Completion) -> tuple[Any, str | None]:
    """The answer as data if a schema was asked for, and what is wrong with it, if anything."""
    if isinstance(asked, EmbedCall) or asked.output_schema is None or completion.tool_calls:
        return None, None
    for text in readings(completion.text):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return value, schemas.complaint(asked.output_schema, value)
    return None, CUT if completion.finish_reason == "length" else NO_JSON


def readings(text: str) -> Iterator[str]:
    """The answer itself; else what stands in its fences; else from its first brace to its last.
    Models that are asked in words like to say something around their JSON."""
    yield text
    yield from (match[1] for match in FENCED.finditer(text))
    yield text[text.find("{") : text.rfind("}") + 1]


def may_be_mended(asked: Call | EmbedCall, completion: Completion) -> str | None:
    """The complaint to ask again with; None for an answer that fits, or was cut or refused."""
    if completion.finish_reason != "stop":
        return None
    return fitted(asked, completion)[1]


def asked_again(asked: Call, completion: Completion, complaint: str) -> Call:
    """The conversation with the answer and what is wrong with it."""
    words = AGAIN.format(complaint=complaint, schema=json.dumps(asked.output_schema))
    said = Message(role="assistant", text=completion.text or "(nothing)")
    return replace(asked, messages=(*asked.messages, said, Message(role="user", text=words)))


def priced_again(candidate: Candidate, asked: Call) -> Candidate:
    """The candidate with the most that asking again can cost."""
    if candidate.rates is None:
        return candidate
    worst = bound(candidate.rates, input_bound(asked), candidate.max_tokens, images=pictures(asked))
    return replace(candidate, bound_nano=worst, safe_nano=None)
