"""Replicate's predictions: a request begins one, a stream tells of it, a last look settles it.

A model is `owner/name`, `owner/name:version` or a version alone. Models take one prompt, so a
conversation of several turns is written out as one.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..catalog import Model, Provider
from ..classify import LONG_WORDS, from_body
from ..errors import Interrupted, Refused, UpstreamError
from ..framing import Event
from ..json_text import loads, parsed
from ..request import Request, effort_word, output_cap, request
from ..types import Call, Chunk, Image, Message, Usage
from ..wire import Job
from .schemas import instructed

FRAMING: Literal["sse"] = "sse"
PREDICTIONS = "/v1/predictions"
MODEL = "/v1/models/{model}/predictions"
DEPLOYMENT = "/v1/deployments/{model}/predictions"
LISTENING = {"accept": "text/event-stream", "cache-control": "no-store"}

SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool"}
STOPPED = ("canceled", "aborted")
OVER = ("succeeded", "failed", *STOPPED)
# Failures for which the request is to blame, by the words or codes models use.
SENSITIVE = ("E005", "flagged as sensitive", "NSFW")
FAILED = "the prediction failed without saying why"
END = Chunk(finish_reason="stop", done=True, ended=True)


def encode(call: Call, *, model: str, provider: Provider, stream: bool = True) -> Request:
    facts = provider.facts(model)
    if call.tools:
        raise Refused(provider.name, "its models take no tools; nothing was sent")
    body: dict[str, Any] = {"input": inputs(call, facts, provider)}
    if stream:
        body["stream"] = True
    if model in provider.deployments:
        return request(provider, DEPLOYMENT, body, model=model)
    name, _, version = model.rpartition(":")
    if name or "/" not in version:
        return request(provider, PREDICTIONS, body | {"version": version}, model=model)
    return request(provider, provider.path or MODEL, body, model=model)


def inputs(call: Call, facts: Model, provider: Provider) -> dict[str, Any]:
    """The model's inputs, without those it does not have."""
    messages = call.messages
    if call.output_schema is not None:
        messages = instructed(messages, call.output_schema)
    system = "\n\n".join(each.text for each in messages if each.role == "system")
    turns = [each for each in messages if each.role != "system"]
    said: dict[str, Any] = {"prompt": prompt(turns)}
    if system:
        said[facts.system_field or "system_prompt"] = system
    said[facts.max_tokens_field or provider.max_tokens_field] = output_cap(call, facts)
    if call.temperature is not None and facts.sampling is not False:
        said["temperature"] = call.temperature
    if call.stop and "stop_sequences" not in facts.drop:
        said["stop_sequences"] = stops(call.stop, provider)
    if call.effort is not None and facts.reasoning:
        said["reasoning_effort"] = effort_word(call.effort, facts)
    said |= pictures([image for turn in turns for image in turn.images], facts, provider)
    return {name: value for name, value in said.items() if name not in facts.drop}


def stops(texts: Sequence[str], provider: Provider) -> str:
    if any("," in each for each in texts):
        raise Refused(provider.name, "it takes no stop text with a comma; nothing was sent")
    return ",".join(texts)


def prompt(turns: Sequence[Message]) -> str:
    if len(turns) == 1:
        return turns[0].text
    return "\n\n".join(
        [*(f"{SPEAKERS[turn.role]}: {spoken(turn)}" for turn in turns), "Assistant:"]
    )


def spoken(turn: Message) -> str:
    """A turn in words, the calls it made included."""
    made = (
        f"[called {call.name} with {json.dumps(call.arguments, ensure_ascii=False)}]"
        for call in turn.tool_calls
    )
    return "\n".join(filter(None, (turn.text, *made)))


def pictures(images: Sequence[Image], facts: Model, provider: Provider) -> dict[str, Any]:
    """Images by the name the model has for them."""
    if not images:
        return {}
    name = facts.image_field or "image"
    urls = [f"data:{image.media_type};base64,{image.data}" for image in images]
    if name.endswith("[]"):
        return {name.removesuffix("[]"): urls}
    if len(urls) > 1:
        raise Refused(provider.name, "the model takes one image only; nothing was sent")
    return {name: urls[0]}


def job(body: Any, *, provider: Provider) -> Job:
    """How a prediction goes on. It is looked at and stopped at the row's own address, whatever
    addresses it names."""
    known_as: str = body["id"]
    if not (known_as.isascii() and known_as.isalnum()):
        raise ValueError("the prediction's id is none")
    path = f"{PREDICTIONS}/{known_as}"
    urls: Any = body.get("urls") or {}
    address: Any = urls.get("stream")
    if not isinstance(address, str | None):
        raise TypeError("the stream's address is no text")
    return Job(
        id=known_as,
        look=request(provider, path, None, method="GET"),
        stop=request(provider, f"{path}/cancel", None),
        hear=Request(method="GET", path="", address=address, headers=LISTENING)
        if address
        else None,
        over=body["status"] in OVER,
    )


def decode(body: Any, *, provider: str) -> Chunk:
    """A prediction as far as it is, all of its text as one chunk."""
    if body.get("error"):
        raise failed(provider, body["error"])
    status: str = body["status"]
    if status == "failed":
        raise failed(provider, FAILED)
    if status in STOPPED:
        raise Interrupted(provider, f"the prediction was {status}")
    done = status == "succeeded"
    metrics: Any = body.get("metrics") or None
    return Chunk(
        text=text(body.get("output")),
        finish_reason="stop" if done else None,
        usage=usage(metrics),
        model=body.get("model") or None,
        done=done,
        ended=done,
        raw_usage=metrics,
    )


def text(output: Any) -> str:
    """A string, a list of its pieces, or nothing yet. Raises TypeError for what is no text."""
    if isinstance(output, dict):
        raise TypeError("the output is no text")
    return output if isinstance(output, str) else "".join(output or ())


def usage(metrics: Mapping[str, Any] | None) -> Usage | None:
    """Official language models count tokens, others only seconds."""
    if metrics is None or "output_token_count" not in metrics:
        return None
    return Usage(input=metrics.get("input_token_count"), output=metrics.get("output_token_count"))


def decode_event(event: Event, *, provider: str) -> Chunk | None:
    if event.name == "output":
        return Chunk(text=event.data) if event.data else None
    if event.name == "error":
        said = parsed(event.data)
        raise failed(provider, said if isinstance(said, dict) else event.data)
    if event.name != "done":
        return None
    ending: Any = loads(event.data)
    reason = ending.get("reason") or ""
    if reason == "error":
        raise failed(provider, FAILED)
    if reason:
        raise Interrupted(provider, f"the prediction was {reason}")
    return END


def failed(provider: str, said: Any) -> UpstreamError:
    """What a failed prediction means, which only its message tells."""
    fields: Any = {"message": said} if isinstance(said, str) else said
    message = str(fields.get("detail") or fields.get("message") or "")
    if LONG_WORDS.search(message) or any(word in message for word in SENSITIVE):
        fields = {"message": message, "status_code": 400}
    return from_body(provider, {"error": fields})
