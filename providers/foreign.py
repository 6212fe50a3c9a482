"""Code that is not ours: is what it hands over what its types say, and what is it when it fails?

Nothing such code says in an exception is passed on, except in an UpstreamError: other messages may
quote keys and prompts. The log gets the class and the place.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from traceback import extract_tb
from typing import Any, cast, get_args

from .catalog import Auth
from .classify import BODY_CHARS, cleaned
from .errors import KINDS, Garbled, UpstreamError
from .request import Request
from .types import Chunk, Embedding, FinishReason, ToolCallPart, Usage
from .waits import LONGEST_S, SHORTEST_S

logger = logging.getLogger(__name__)

ANYTHING = (Exception, SystemExit, BaseExceptionGroup)  # what a stranger's code may raise
FINISH_REASONS = get_args(FinishReason)
COUNTS = tuple(field.name for field in fields(Usage) if field.name != "estimated")


def chunk(value: Any) -> Chunk:
    """The value, if it is a chunk with fields of the right types. Raises TypeError."""
    good = (
        isinstance(value, Chunk)
        and all_are(str, value.text, value.reasoning)
        and all_are(bool, value.done, value.ended)
        and value.finish_reason in (None, *FINISH_REASONS)
        and all_are(str | None, value.model)
        and all_are(Mapping | None, value.raw_usage)
        and all_are(tuple, value.tool_calls)
        and all(is_part(part) for part in value.tool_calls)
        and is_usage_or_none(value.usage)
    )
    if not good:
        raise TypeError("no chunk, or one with a field of a wrong type")
    json.dumps(dict(value.raw_usage or {}))
    return value


def all_are(kind: Any, *values: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def is_part(value: Any) -> bool:
    return (
        isinstance(value, ToolCallPart)
        and all_are(str, value.arguments)
        and all_are(int | None, value.index)
        and all_are(str | None, value.id, value.name, value.signature)
    )


def is_usage_or_none(value: Any) -> bool:
    """Money is counted with these."""
    if value is None:
        return True
    if not isinstance(value, Usage):
        return False
    counts: list[Any] = [getattr(value, name) for name in COUNTS]
    return all(n is None or (type(n) is int and n >= 0) for n in counts)


def request(value: Any) -> Request:
    """The value, if it is a request with fields of the right types. Raises TypeError."""
    good = (
        isinstance(value, Request)
        and all_are(str, value.method, value.path)
        and all_are(Mapping | None, value.body)
        and all_are(str, *value.headers, *value.headers.values())
        and all_are(str, *value.query, *value.query.values())
        and value.auth in (None, *get_args(Auth))
    )
    if not good:
        raise TypeError("no request, or one with a field of a wrong type")
    return value


def embedding(value: Any) -> Embedding:
    """The value, if it is vectors of finite numbers. Raises TypeError and ValueError."""
    if not (
        isinstance(value, Embedding)
        and all_are(Usage, value.usage)
        and is_usage_or_none(value.usage)
    ):
        raise TypeError("no embedding")
    vectors = tuple(tuple(float(x) for x in vector) for vector in value.vectors)
    finite = all(math.isfinite(x) for vector in vectors for x in vector)
    if not (finite and all_are(str | None, value.model, value.request_id)):
        raise TypeError("an embedding with a field of a wrong type")
    return replace(value, vectors=vectors)


def meaning(error: BaseException, provider: str, what: str) -> UpstreamError:
    """What an exception of foreign code is to us. `what` names the code. Its own UpstreamErrors
    keep their class; anything else is Garbled: nobody knows what had been sent by then."""
    if isinstance(error, UpstreamError):
        return own(error, provider)
    note(error, provider, what)
    return Garbled(provider, f"{what} failed ({type(error).__name__}); the log says where")


def own(error: UpstreamError, provider: str) -> UpstreamError:
    """The same error as one of the classes we know, with bounded fields."""
    made = next(kind for kind in type(error).__mro__ if kind in KINDS)
    kind = cast("type[UpstreamError]", made)
    known = kind(
        provider,
        cleaned(str(error.detail)) or "it gave no reason",
        status=error.status if isinstance(error.status, int) else None,
        code=None if error.code is None else cleaned(str(error.code)),
        retry_after_s=wait(error.retry_after_s),
        body=str(error.body)[:BODY_CHARS],
        request_id=None if error.request_id is None else cleaned(str(error.request_id)),
        model_specific=bool(error.model_specific),
    )
    if error.billing in ("presumed", "observed"):
        known.billing = error.billing
    return known


def wait(seconds: Any) -> float | None:
    """Seconds between half a second and an hour, None for what is no time."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(max(float(seconds), SHORTEST_S), LONGEST_S)


def note(error: BaseException, provider: str, what: str) -> None:
    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename} line {frames[-1].lineno}" if frames else "no place"
    logger.error("%s: %s failed: %s at %s", provider, what, type(error).__name__, place)
