"""Code that is not ours: is what it hands over what its types say, and what is it when it fails?

Nothing such code says in an exception is passed on, except in an UpstreamError: other messages may
quote keys and prompts. The log gets the class and the place.
"""

import json
import logging
import math
from dataclasses import fields, replace
from traceback import extract_tb
from typing import Any, cast, get_args

from .classify import BODY_CHARS, cleaned
from .errors import KINDS, Garbled, UpstreamError
from .types import Chunk, Embedding, FinishReason, ToolCallPart, Usage
from .waits import LONGEST_S, SHORTEST_S

logger = logging.getLogger(__name__)

FINISH_REASONS = get_args(FinishReason)
COUNTS = tuple(field.name for field in fields(Usage) if field.name != "estimated")


def chunk(value: object) -> Chunk:
    """The value, if it is a chunk with fields of the right types. Raises TypeError."""
    if not isinstance(value, Chunk):
        raise TypeError("no chunk")
    texts = (value.text, value.reasoning)
    good = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(said, bool) for said in (value.done, value.ended))
        and (value.finish_reason is None or value.finish_reason in FINISH_REASONS)
        and is_text_or_none(value.model)
        and isinstance(value.tool_calls, tuple)
        and all(is_part(part) for part in value.tool_calls)
        and is_usage_or_none(value.usage)
    )
    if not good:
        raise TypeError("a chunk with a field of a wrong type")
    if value.raw_usage is not None:
        json.dumps(dict(value.raw_usage))
    return value


def is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def is_part(value: object) -> bool:
    return (
        isinstance(value, ToolCallPart)
        and isinstance(value.arguments, str)
        and (value.index is None or isinstance(value.index, int))
        and all(map(is_text_or_none, (value.id, value.name, value.signature)))
    )


def is_usage_or_none(value: object) -> bool:
    """Money is counted with these."""
    if value is None:
        return True
    counts = [getattr(value, name, "") for name in COUNTS]
    return isinstance(value, Usage) and all(
        n is None or (type(n) is int and n >= 0) for n in counts
    )


def embedding(value: object) -> Embedding:
    """The value, if it is one vector of finite numbers per text. Raises TypeError."""
    if not isinstance(value, Embedding) or not is_usage_or_none(value.usage):
        raise TypeError("no embedding")
    vectors = tuple(tuple(float(x) for x in vector) for vector in value.vectors)
    finite = all(math.isfinite(x) for vector in vectors for x in vector)
    if not (finite and all(map(is_text_or_none, (value.model, value.request_id)))):
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
    return kind(
        provider,
        cleaned(str(error.detail)) or "it gave no reason",
        status=error.status if isinstance(error.status, int) else None,
        code=None if error.code is None else cleaned(str(error.code)),
        retry_after_s=wait(error.retry_after_s),
        body=str(error.body)[:BODY_CHARS],
        request_id=None if error.request_id is None else cleaned(str(error.request_id)),
        model_specific=bool(error.model_specific),
    )


def wait(seconds: Any) -> float | None:
    """Seconds between half a second and an hour, None for what is no time."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(max(float(seconds), SHORTEST_S), LONGEST_S)


def note(error: BaseException, provider: str, what: str) -> None:
    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename} line {frames[-1].lineno}" if frames else "no place"
    logger.error("%s: %s failed: %s at %s", provider, what, type(error).__name__, place)
