"""What providers say, as bytes of their protocols: two chat dialects, embeddings, error answers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the provider reads it: `tag` is the mark the prompt carries, `size` the bytes
    of everything there is to read."""

    tag: str
    model: str
    size: int
    turns: int
    cap: int
    schema: bool
    texts: int


def asked(body: Json) -> Asked:
    texts = list(every_text(body))
    words = " ".join(texts)
    return Asked(
        tag=words.partition("<<")[2].partition(">>")[0],
        model=str(body["model"]),
        size=sum(len(text.encode()) for text in texts),
        turns=len(texts),
        cap=int(body.get("max_tokens") or body.get("max_completion_tokens") or 0),
        schema="response_format" in body or "output_config" in body,
        texts=len(body.get("input", ())),
    )


def every_text(body: Json) -> Iterator[str]:
    yield from body.get("input", ())
    if isinstance(body.get("system"), str):
        yield body["system"]
    for message in body.get("messages", ()):
        content = message["content"]
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in content if "text" in part)


def event(body: Json, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


class OpenAI:
    """Chat Completions."""

    @staticmethod
    def opening(model: str, read: int | None) -> bytes:
        return OpenAI.chunk(model, {"role": "assistant", "content": ""})

    @staticmethod
    def chunk(model: str, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({"id": "c", "model": model, "choices": [choice]})

    @staticmethod
    def word(model: str, text: str) -> bytes:
        return OpenAI.chunk(model, {"content": text})

    @staticmethod
    def closing(model: str, finish: str, read: int | None, written: int | None) -> bytes:
        end = OpenAI.chunk(model, {}, finish)
        if read is not None:
            usage = {"prompt_tokens": read, "completion_tokens": written}
            end += event({"id": "c", "model": model, "choices": [], "usage": usage})
        return end + b"data: [DONE]\n\n"

    @staticmethod
    def whole(model: str, text: str, finish: str, read: int, written: int) -> Json:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return {"id": "c", "model": model, "choices": [choice], "usage": usage}

    @staticmethod
    def trouble(kind: str, message: str) -> bytes:
        return event({"error": {"message": message, "type": kind, "code": kind}})


class Anthropic:
    """Messages."""

    @staticmethod
    def opening(model: str, read: int | None) -> bytes:
        said: Json = {"id": "m", "model": model, "role": "assistant", "content": []}
        if read is not None:
            said["usage"] = {"input_tokens": read, "output_tokens": 1 if read else 0}
        return event({"type": "message_start", "message": said}, "message_start") + event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            "content_block_start",
        )

    @staticmethod
    def word(model: str, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return event({"type": "content_block_delta", "index": 0, "delta": delta})

    @staticmethod
    def closing(model: str, finish: str, read: int | None, written: int | None) -> bytes:
        delta: Json = {"stop_reason": "max_tokens" if finish == "length" else "end_turn"}
        body: Json = {"type": "message_delta", "delta": delta}
        if written is not None:
            body["usage"] = {"output_tokens": written}
        return event(body) + event({"type": "message_stop"})

    @staticmethod
    def whole(model: str, text: str, finish: str, read: int, written: int) -> Json:
        return {
            "id": "m",
            "type": "message",
            "model": model,
            "role": "assistant",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "max_tokens" if finish == "length" else "end_turn",
            "usage": {"input_tokens": read, "output_tokens": written},
        }

    @staticmethod
    def trouble(kind: str, message: str) -> bytes:
        return event({"type": "error", "error": {"type": kind, "message": message}}, "error")


DIALECTS: Mapping[str, type[OpenAI] | type[Anthropic]] = {
    "openai_chat": OpenAI,
    "anthropic_messages": Anthropic,
}


def embedded(model: str, texts: int, read: int | None) -> Json:
    data = [
        {"object": "embedding", "index": n, "embedding": [0.5, 0.25 * n, 1.0]} for n in range(texts)
    ]
    usage = {} if read is None else {"usage": {"prompt_tokens": read, "total_tokens": read}}
    return {"object": "list", "model": model, "data": data, **usage}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer; `{key}` in its message is the caller's key, which some services quote."""

    status: int
    body: Json
    headers: Mapping[str, str]

    def content(self, key: str) -> bytes:
        return json.dumps(self.body).replace("{key}", key).encode()


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> Refusal:
    error = {"message": message, "type": code or "error", "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(status, {"error": error}, named)


SPENT: Json = {
    "type": "error",
    "error": {
        "type": "rate_limit_error",
        "message": "the organisation has reached its spend limit",
        "details": {"error_code": "enforced_spend_limit_reached"},
    },
}
REFUSALS: Mapping[str, Refusal] = {
    "429": refusal(429, "slow down"),
    "429 wait": refusal(429, "slow down", "rate_limit_exceeded", retry_after="2"),
    "429 long wait": refusal(429, "slow down", retry_after="45"),
    "429 quota": refusal(429, "you exceeded your quota", "insufficient_quota"),
    "429 spend": Refusal(429, SPENT, {}),
    "500": refusal(500, "internal error"),
    "502": refusal(502, "bad gateway"),
    "503 wait": refusal(503, "come back", retry_after="3"),
    "504": refusal(504, "gateway timeout"),
    "529": refusal(529, "overloaded", "overloaded_error"),
    "408": refusal(408, "request timeout"),
    "409": refusal(409, "conflict"),
    "400": refusal(400, "this field is wrong", "invalid_request_error"),
    "400 long": refusal(400, "context length exceeded", "context_length_exceeded"),
    "401": refusal(401, "the key {key} is not valid", "invalid_api_key"),
    "402": refusal(402, "payment required"),
    "403": refusal(403, "not allowed"),
    "404 model": refusal(404, "no such model", "model_not_found"),
    "413": refusal(413, "too large"),
    "422": refusal(422, "cannot be processed"),
    "307": refusal(307, "elsewhere", location="https://elsewhere.example/v1"),
}
