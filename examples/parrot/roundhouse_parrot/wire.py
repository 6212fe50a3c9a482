"""The Parrot protocol: POST /speak, answered by one JSON document per line, a word each.

    {"hear": "Pretty Polly", "model": "grey", "most_words": 4096}

    {"word": "Pretty "}
    {"word": "Polly"}
    {"end": "all said", "heard": 2, "said": 2}

Its last line is the proof that the answer is complete. An error is a line {"squawk": "..."}.
"""

import json
from typing import Any

from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.providers.classify import from_body
from roundhouse_mcp.providers.framing import Event
from roundhouse_mcp.providers.request import Request, output_cap, request
from roundhouse_mcp.providers.types import Call, Chunk, FinishReason, Usage

FRAMING = "ndjson"
ENDS: dict[str, FinishReason] = {"all said": "stop", "out of breath": "length"}


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    body = {
        "model": model,
        "hear": "\n".join(message.text for message in call.messages),
        "most_words": output_cap(call, provider.facts(model)),
    }
    return request(provider, provider.path or "/speak", body, model=model)


def decode(body: Any, *, provider: str) -> Chunk:
    """A whole answer, from a service that does not stream: {"text": ..., "end": ...}."""
    if "end" not in body:
        raise from_body(provider, body)
    return Chunk(
        text=body["text"], finish_reason=ENDS[body["end"]], usage=usage(body), done=True, ended=True
    )


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    line = json.loads(event.data)
    if "squawk" in line:
        raise from_body(provider, {"error": {"message": line["squawk"]}})
    if "end" in line:
        return Chunk(finish_reason=ENDS[line["end"]], usage=usage(line), done=True, ended=True)
    return Chunk(text=line["word"])


def usage(said: Any) -> Usage:
    return Usage(input=said.get("heard"), output=said.get("said"))
