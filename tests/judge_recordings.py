"""Serves recorded exchanges over a real socket and compares what our wires make of them with what
an independent reading expects.

    python tests/judge_recordings.py SET_DIR [--chunk N] [--provider P]

SET_DIR holds index.json, expected.jsonl and one JSON file per exchange. Prints a table per provider
and feature, every difference, and `agree N differ N skipped N` as the last line; exits with 1 when
anything differs. Recordings at fault are listed with a reason in recording_faults.toml.
"""

import argparse
import base64
import json
import struct
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import click
from replay import served

from roundhouse_mcp.providers import errors
from roundhouse_mcp.providers.answer import Answer, decoded, read_json
from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.classify import WAITABLE, cleaned
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.request import Request
from roundhouse_mcp.providers.types import Call, EmbedCall, Embedding, Message, Usage
from roundhouse_mcp.providers.waits import LONGEST_S, SHORTEST_S
from roundhouse_mcp.providers.wire import Job, JobWire, chat_wire

FAULTS = Path(__file__).with_name("recording_faults.toml")
LIMITS = Limits(first_byte_s=20, idle_s=20)

# What a set calls a wire, and the operations of it that Roundhouse uses.
CHAT = {
    "anthropic": ("anthropic_messages", {"messages", "messages_stream"}),
    "bedrock": ("bedrock_converse", {"converse", "converse_stream"}),
    "cohere-v2": ("cohere", {"chat", "chat_stream"}),
    "gemini": ("gemini", {"generate", "generate_stream"}),
    "ollama": ("ollama", {"chat", "chat_stream"}),
    "openai-chat": ("openai_chat", {"chat", "chat_stream"}),
    "openai-responses": ("openai_responses", {"responses", "responses_stream"}),
    "replicate": (
        "replicate",
        {"prediction_create", "prediction_get", "prediction_stream", "prediction_cancel"},
    ),
}
EMBED = {
    "cohere-v2": ("cohere_embed", {"embed"}),
    "gemini": ("gemini_embed", {"embed_batch"}),
    "hf-inference": ("huggingface_features", {"task"}),
    "ollama": ("ollama_embed", {"embed"}),
    "openai-embeddings": ("openai_embeddings", {"embed"}),
    "voyage": ("voyage", {"embed"}),
}
# Wires that make an answer in several requests; the operation that streams it, and the states of
# the work.
JOBS = {"replicate"}
HEARD_JOBS = {"prediction_stream"}
GOING_ON = {"starting", "processing"}
STOPPED_JOBS = {"canceled", "aborted"}
# Wires whose own input count leaves out what came from the cache or went into it.
CACHE_APART = {"anthropic", "bedrock"}
# Wires that bill less than they read, and an end of theirs that is a failure without an event.
BILLED = {"cohere-v2"}
ERROR_ENDS = {"cohere-v2"}
# Wires that count what went into the cache, which the independent reading leaves out.
CACHE_WRITES_UNREAD = {"openai-chat", "openai-responses"}
# Wires that count thoughts beside the answer, and what the service's tools read beside the prompt.
THOUGHTS_APART = {"gemini"}

KINDS: dict[str, tuple[type[UpstreamError], ...]] = {
    "auth": (errors.Locked,),
    "billing": (errors.Exhausted,),
    "content_filter": (errors.Refused,),
    "context_length": (errors.TooLong,),
    "invalid_request": (errors.Refused, errors.Conflicted),
    "model_not_found": (errors.Misdirected,),
    "not_found": (errors.Misdirected,),
    "overloaded": (errors.Faulted,),
    "permission": (errors.Locked,),
    "rate_limit": (errors.Throttled,),
    "server_error": (errors.Faulted,),
    "unsupported": (errors.Refused,),
}
# Finish reasons for which we have no word of our own.
FINISH = {None: "stop", "other": "stop", "pause": "stop"}
# Finish reasons for which only we have a word.
FINISH_RAW = {
    "IMAGE_OTHER": "error",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "LANGUAGE": "error",
    "MALFORMED_RESPONSE": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "MODEL_ARMOR": "content_filter",
    "NO_IMAGE": "error",
    "OTHER": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}


@dataclass(slots=True)
class Heard:
    """What came out of one exchange."""

    assembler: Assembler = field(default_factory=Assembler)
    pieces: list[str] = field(default_factory=list[str])
    job: Job | None = None
    embedding: Embedding | None = None
    error: UpstreamError | None = None


def skipped(
    entry: Mapping[str, Any], expected: Mapping[str, Any], faults: Mapping[str, str]
) -> str:
    """Why an exchange is not judged; empty when it is."""
    if entry["id"] in faults:
        return f"recording at fault: {faults[entry['id']]}"
    if entry["provider"] not in shipped():
        return f"no row for {entry['provider']}"
    if wire_for(entry) is None:
        return f"no wire for {entry['wire']} {entry['operation']}"
    return "nothing expected of it" if expected["kind"] == "other" else ""


def wire_for(entry: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Our wire's name, and whether it embeds."""
    for embeds, table in ((False, CHAT), (True, EMBED)):
        ours, operations = table.get(entry["wire"], ("", set[str]()))
        if entry["operation"] in operations:
            return ours, embeds
    return None


async def heard(http: Http, row: Provider, entry: Mapping[str, Any], count: int) -> Heard:
    found = Heard()
    model = entry["model"] or "unknown"
    try:
        if wire_for(entry) == (row.embed_wire, True):
            texts = EmbedCall(texts=("text",) * count)
            found.embedding = await http.embed(row, "key", texts, model=model, limits=LIMITS)
            return found
        if entry["wire"] in JOBS:
            await hear_job(http, row, entry, found)
            return found
        call = Call(messages=(Message(role="user", text="Hello"),), max_tokens=16)
        async with http.stream(row, "key", call, model=model, limits=LIMITS) as stream:
            async for chunk in stream:
                found.assembler.add(chunk)
    except UpstreamError as error:
        found.error = error
    return found


async def hear_job(http: Http, row: Provider, entry: Mapping[str, Any], found: Heard) -> None:
    """One of the requests that make up an answer: each was recorded alone."""
    wire = chat_wire(row.wire)
    assert isinstance(wire, JobWire)
    question = Request(method="GET", path="/")
    async with http.sent(row, "key", question, LIMITS, local_only=True) as reader:
        if entry["operation"] in HEARD_JOBS:
            async for chunk in Answer(row, wire, reader):
                found.assembler.add(chunk)
                found.pieces.append(chunk.text)
            return
        body = read_json(row.name, await reader.all(), reader.request_id)
        found.job = wire.job(body, provider=row)
        chunk = decoded(row.name, lambda: wire.decode(body, provider=row.name), request_id=None)
        found.assembler.add(chunk)


def row_for(entry: Mapping[str, Any], base_url: str) -> Provider:
    wire, embeds = wire_for(entry) or ("", False)
    row = replace(
        shipped()[entry["provider"]], base_url=f"{base_url}/{entry['id']}", facts_from=None
    )
    return replace(row, embed_wire=wire) if embeds else replace(row, wire=wire)


def differences(entry: Mapping[str, Any], want: Mapping[str, Any], got: Heard) -> list[str]:
    if want["kind"] == "error":
        return list(error_differences(want, got))
    if want["kind"] == "embed":
        return list(embedding_differences(want, got))
    if want["kind"] == "job":
        return list(job_differences(want, got))
    if want["kind"] == "job_stream":
        return list(job_stream_differences(want, got))
    return list(chat_differences(entry, want, got))


def differ(name: str, want: object, got: object) -> Iterator[str]:
    if want != got:
        yield f"{name}: expected {want!r:.300}, got {got!r:.300}"


def error_differences(want: Mapping[str, Any], got: Heard) -> Iterator[str]:
    error = got.error
    if error is None:
        yield f"expected an error of class {want['cls']}, got an answer"
        return
    kinds = KINDS[want["cls"]]
    if want["cls"] == "server_error" and not want["retryable"]:
        kinds = (errors.Refused,)
    if type(error) not in kinds:
        yield f"class: expected {want['cls']}, got {error.kind}"
    yield from differ("status", want["status"], error.status)
    message = want["message"]
    if isinstance(message, str) and message and not message.lstrip().startswith("<"):
        yield from differ("message", cleaned(message), error.detail)
    wait = waits(want["retry_after"])
    if wait is not None and error.status in WAITABLE:
        yield from differ("retry_after", wait, error.retry_after_s)


def waits(said: str | None) -> float | None:
    """Seconds as we keep them; None for what is not said, no number, or no wait."""
    try:
        seconds = float(said or 0)
    except ValueError:
        return None
    return min(max(seconds, SHORTEST_S), LONGEST_S) if seconds > 0 else None


def embedding_differences(want: Mapping[str, Any], got: Heard) -> Iterator[str]:
    found = got.embedding
    if found is None:
        yield f"expected vectors, got {got.error!r}"
        return
    yield from differ("count", want["count"], len(found.vectors))
    yield from differ("dimensions", want["dims"], len(found.vectors[0]))
    first = want.get("first") or first_floats(want["first_b64"])
    near = all(abs(a - b) < 1e-6 for a, b in zip(first, found.vectors[0], strict=False))
    yield from differ("first numbers", True, near)
    # Texts that were read are never zero tokens: that is a program that does not count. Without
    # usage in the expectation nobody looked for it.
    used: Mapping[str, Any] | None = want.get("usage")
    if used is not None:
        tokens = used.get("input") or used.get("total") or used.get("billed_input") or None
        yield from differ("input tokens", tokens, found.usage.input)


def first_floats(text: str) -> tuple[float, ...]:
    data = base64.b64decode(text)
    return struct.unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4])


def chat_differences(
    entry: Mapping[str, Any], want: Mapping[str, Any], got: Heard
) -> Iterator[str]:
    heard = got.assembler
    yield from differ("text", want["text"] or want.get("refusal") or "", heard.text)
    thoughts = want["thinking"] + (want.get("tool_plan") or "")
    yield from differ("reasoning", thoughts, heard.reasoning)
    yield from ending_differences(entry, want, got)
    yield from call_differences(want["tool_calls"], heard.tool_calls)
    usage = heard.usage or Usage()
    for name, value in billed(want["usage"], entry["wire"]).items():
        yield from differ(f"usage {name}", value, getattr(usage, name))
    if want["model"]:
        yield from differ("model", want["model"], heard.model)


def ending_differences(
    entry: Mapping[str, Any], want: Mapping[str, Any], got: Heard
) -> Iterator[str]:
    failed = want["stop"] == "error" and entry["wire"] in ERROR_ENDS
    if failed or want.get("stream_error") or want.get("error"):
        if got.error is None or isinstance(got.error, errors.Interrupted | errors.Garbled):
            yield f"expected the error the answer reports, got {got.error!r}"
    elif want.get("truncated_stream"):
        if not isinstance(got.error, errors.Interrupted):
            yield f"expected an interrupted answer, got {got.error!r}"
    elif got.error is not None:
        yield f"expected an answer, got {got.error!r}"
    else:
        yield from differ("finish_reason", finish(want), got.assembler.finish_reason)


def finish(want: Mapping[str, Any]) -> str:
    if want.get("refusal"):
        return "refusal"
    if want.get("blocked") and want["stop"] is None:
        return "content_filter"
    stop: str | None = want["stop"]
    return FINISH_RAW.get(want.get("stop_raw") or "") or FINISH.get(stop) or str(stop)


def job_differences(want: Mapping[str, Any], got: Heard) -> Iterator[str]:
    """A job that was stopped or failed is an error, one that goes on is no whole answer."""
    status = want["status"]
    yield from differ("over", status not in GOING_ON, got.job is not None and got.job.over)
    if status in STOPPED_JOBS:
        yield from differ("error", errors.Interrupted, type(got.error))
    elif status == "failed" or want["error"]:
        failed = errors.Faulted | errors.Refused
        yield from differ("an error", True, isinstance(got.error, failed))
        if isinstance(want["error"], str) and got.error is not None:
            yield from differ("message", cleaned(want["error"]), got.error.detail)
    elif not isinstance(want["output"], str | None):
        yield from differ("output that is no text", errors.Garbled, type(got.error))
    else:
        yield from differ("no error", None, got.error)
        yield from differ("complete", status == "succeeded", got.assembler.complete)
        yield from differ("text", want["output"] or "", got.assembler.text)


def job_stream_differences(want: Mapping[str, Any], got: Heard) -> Iterator[str]:
    """The independent reading keeps the first line of every piece."""
    first_lines = "".join(piece.partition("\n")[0] for piece in got.pieces)
    yield from differ("text", want["text"], first_lines)
    yield from differ("no error", None, got.error)
    yield from differ("complete", True, got.assembler.complete)


def call_differences(want: Sequence[Mapping[str, Any]], got: Sequence[Any]) -> Iterator[str]:
    yield from differ("number of tool calls", len(want), len(got))
    for n, (wanted, found) in enumerate(zip(want, got, strict=False)):
        yield from differ(f"tool call {n} name", wanted["name"], found.name)
        arguments: Any = {} if wanted["arguments"] is None else wanted["arguments"]
        yield from differ(f"tool call {n} arguments", arguments, found.arguments)
        yield from differ(f"tool call {n} id", wanted["id"] or found.id, found.id)
        yield from differ(f"tool call {n} has an id", True, bool(found.id))


def billed(usage: Mapping[str, Any] | None, wire: str) -> dict[str, int | None]:
    """The wire's own numbers as ours: everything read is input, unless less is billed: no part of
    that is known to be cached. What an expectation does not read is not compared."""
    names = ("input", "output", "cached", "cache_write", "reasoning")
    found: dict[str, int | None] = {name: (usage or {}).get(name) for name in names}
    if wire == "openai-chat":
        known = (found["input"], found["output"], found["reasoning"])
        total = sum(number or 0 for number in known)
        if found["output"] is not None and (usage or {}).get("total") == total:
            found["output"] += found["reasoning"] or 0
    if wire in CACHE_APART and found["input"] is not None:
        found["input"] += (found["cached"] or 0) + (found["cache_write"] or 0)
    if wire in BILLED:
        del found["reasoning"]
        for name in ("input", "output"):
            amount = (usage or {}).get(f"billed_{name}")
            found |= {} if amount is None else {name: amount}
        if usage and usage.get("billed_input") is not None:
            found["cached"] = None
    if wire in CACHE_WRITES_UNREAD:
        del found["cache_write"]
    if wire in THOUGHTS_APART:
        parts = [n for n in (found["output"], found["reasoning"]) if n is not None]
        found["output"] = sum(parts) if parts else None
        total: int = (usage or {}).get("total") or 0
        if found["input"] is not None:
            found["input"] = max(found["input"], total - sum(parts))
    return found


@dataclass(slots=True)
class Tally:
    counts: Counter[str] = field(default_factory=Counter[str])
    table: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    reasons: Counter[str] = field(default_factory=Counter[str])

    def count(self, entry: Mapping[str, Any], verdict: str) -> None:
        self.counts[verdict] += 1
        for feature in (entry["operation"], *entry["features"]):
            self.table[entry["provider"], feature, verdict] += 1

    def show(self) -> None:
        for provider, feature in sorted({row[:2] for row in self.table}):
            numbers = (self.table[provider, feature, word] for word in VERDICTS)
            shown = " ".join(f"{number:>7}" for number in numbers)
            click.echo(f"{provider:<12} {feature:<32} {shown}")
        for reason, number in self.reasons.most_common():
            click.echo(f"skipped {number}: {reason}")


VERDICTS = ("agree", "differ", "skipped")


async def judge(folder: Path, size: int | None, only: str | None) -> Tally:
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["exchanges"]
    lines = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    expected = {each["id"]: each for each in map(json.loads, lines)}
    faults: dict[str, str] = tomllib.loads(FAULTS.read_text(encoding="utf-8"))
    tally = Tally()
    chosen = [entry for entry in index if only in (None, entry["provider"])]
    exchanges = {
        entry["id"]: json.loads((folder / entry["file"]).read_text(encoding="utf-8"))
        for entry in chosen
    }
    async with served(exchanges, size) as base_url, Http() as http:
        for entry in chosen:
            want = expected[entry["id"]]
            if reason := skipped(entry, want, faults):
                tally.reasons[reason] += 1
                tally.count(entry, "skipped")
                continue
            got = await heard(http, row_for(entry, base_url), entry, want.get("count", 1))
            found = differences(entry, want, got)
            tally.count(entry, "differ" if found else "agree")
            for difference in found:
                click.echo(f"DIFFER {entry['id']} {difference}")
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--chunk", type=int, help="cut every body into pieces of N bytes")
    parser.add_argument("--provider", help="judge only this provider")
    given = parser.parse_args()
    tally = anyio.run(judge, given.set_dir, given.chunk, given.provider)
    click.echo(f"{'provider':<12} {'feature':<32} {'agree':>7} {'differ':>7} {'skipped':>7}")
    tally.show()
    click.echo(" ".join(f"{word} {tally.counts[word]}" for word in VERDICTS))
    sys.exit(1 if tally.counts["differ"] else 0)


if __name__ == "__main__":
    main()
