"""What an error answer means: one place, by status and structured code.

Message texts are read for two facts that some services give no code for, and only on a 4xx: that
the prompt is too long and that a model is unknown; a lack of memory is read from the 500 of a local
program whose row says so. Money is never decided by words; a key is only
where the row says that the service answers 400 to a bad one.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, cast

from . import errors
from .errors import UpstreamError
from .json_text import parsed
from .waits import wait_in

DETAIL_CHARS = 200
BODY_CHARS = 4096
WAITABLE = frozenset({429, 503, 529})

MONEY = frozenset(
    {
        "billing_disabled",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "enforced_spend_limit_reached",
        "insufficient_quota",
    }
)
KEY = frozenset({"api_key_invalid", "authentication_error", "invalid_api_key", "permission_error"})
LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
MODEL = frozenset(
    {
        "deploymentnotfound",
        "invalid_model",
        "model_decommissioned",
        "model_not_available",
        "model_not_found",
        "unknown_model",
    }
)
# The model called a tool wrongly: another try may go well.
UNLUCKY = frozenset({"invalid_tool_generation", "tool_use_failed"})
# Codes inside a stream that blame the request.
BLAMED = (
    "bio_policy",
    "content_filter",
    "context_length_exceeded",
    "cyber_policy",
    "data_residency_mismatch",
    "empty_image_file",
    "failed_to_download_image",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "misalignment_policy_violation",
    "unsupported_image_media_type",
)
# Error types that arrive inside a stream, after the status has already said 200.
STATUS_OF_TYPE = {
    **dict.fromkeys(BLAMED, 400),
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "invalid_tool_generation": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "ratelimitreached": 429,
    "rate_limited": 429,
    "request_too_large": 413,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "timeout_error": 504,
    "too_many_requests": 429,
    "too_many_requests_error": 429,
}

# What AWS calls its errors: in a header, or as the type of an event. The status that says the same.
STATUS_OF_AWS = {
    "accessdeniedexception": 403,
    "conflictexception": 409,
    "expiredtokenexception": 401,
    "incompletesignature": 401,
    "incompletesignatureexception": 401,
    "internalserverexception": 500,
    "invalidsignatureexception": 401,
    "missingauthenticationtoken": 401,
    "missingauthenticationtokenexception": 401,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 402,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "toomanyrequestsexception": 429,
    "unrecognizedclientexception": 401,
    "validationexception": 400,
}

LONG_WORDS = re.compile(
    r"(prompt|input) (is )?too long|context (length|limit|window|size)"
    r"|maximum (context|input length)|input token count\b.* exceeds|Request too large"
    r"|too many input tokens|input tokens exceed|too many tokens: (total|size)"
    r"|max allowed tokens per submitted batch",
    re.I,
)
MODEL_WORDS = re.compile(
    r"^(model not exist|unknown model|invalid model|model \S+ is not supported"
    r"|the specified version does not exist)\b"
    r"|provided model identifier|^invocation of model id \S+ with on-demand throughput",
    re.I,
)
ROOM_WORDS = re.compile(r"requires more (system |GPU |video )?memory", re.I)
KEY_WORDS = re.compile(r"^incorrect api key\b", re.I)
MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.I | re.S)
UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an error body says. `structured`: it was JSON with an error in it. `behind` is what a
    service in the middle was told by the one behind it."""

    message: str
    behind: str = ""
    codes: tuple[str, ...] = ()
    structured: bool = False
    status: int | None = None


def from_response(
    provider: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    request_id: str | None = None,
    quirks: frozenset[str] = frozenset(),
) -> UpstreamError:
    """The error that a response with an error status is. `now` is UTC epoch seconds; `headers`
    have lower-case names."""
    text = body.decode("utf-8", "replace")
    decoded = parsed(text)
    said = named(read(decoded, text), headers.get("x-amzn-errortype", "").partition(":")[0])
    return error(
        provider,
        status,
        said,
        body=text,
        request_id=request_id,
        quirks=quirks,
        wait=wait_in(headers, decoded, now=now) if status in WAITABLE else None,
    )


def from_body(provider: str, body: object, *, name: str = "") -> UpstreamError:
    """The error reported inside an answer whose status was 200. `name` is the event's name."""
    said = named(read(body, str(body)), name)
    known = STATUS_OF_TYPE | STATUS_OF_AWS
    by_type = [known[code] for code in said.codes if code in known]
    status = said.status or (by_type[0] if by_type else 500)
    found = error(
        provider,
        status,
        said,
        body=str(body),
        # There is no clock here, so a moment in time is no wait: only durations count.
        wait=wait_in({}, body, now=math.inf) if status in WAITABLE else None,
    )
    if isinstance(found, errors.Faulted | errors.Conflicted):
        # The work had begun, and may be billed.
        found.billing = "observed"
    return found


def error(
    provider: str,
    status: int,
    said: Said,
    *,
    body: str,
    wait: float | None,
    request_id: str | None = None,
    quirks: frozenset[str] = frozenset(),
) -> UpstreamError:
    kind = kind_of(status, said, quirks)
    return kind(
        provider,
        said.message or f"HTTP {status} {phrase(status)} without a message",
        status=status,
        code=said.codes[0] if said.codes else None,
        retry_after_s=wait,
        body=body[:BODY_CHARS],
        request_id=request_id,
        model_specific=kind is errors.Misdirected and (status != 404 or said.structured),
    )


def kind_of(status: int, said: Said, quirks: frozenset[str]) -> type[UpstreamError]:
    codes = frozenset(said.codes)
    status = next((STATUS_OF_AWS[code] for code in said.codes if code in STATUS_OF_AWS), status)
    if codes & MONEY or status == 402 or (status == 412 and "unpaid_is_412" in quirks):
        return errors.Exhausted
    if status >= 500:
        return fault(status, said, quirks)
    if status in (401, 403) and not codes & MODEL:
        return errors.Locked
    if too_long(status, said):
        return errors.TooLong
    if status == 404 or codes & MODEL or MODEL_WORDS.search(said.message):
        return errors.Misdirected
    if codes & KEY or bad_key(status, said, quirks):
        return errors.Locked
    if codes & UNLUCKY:
        return errors.Conflicted
    plain = {
        408: errors.Faulted,
        409: errors.Conflicted,
        424: errors.Faulted,
        429: errors.Throttled,
    }
    return plain.get(status, errors.Misdirected if status < 400 else errors.Refused)


def bad_key(status: int, said: Said, quirks: frozenset[str]) -> bool:
    return status == 400 and "bad_key_is_400" in quirks and bool(KEY_WORDS.search(said.message))


def fault(status: int, said: Said, quirks: frozenset[str]) -> type[UpstreamError]:
    """A 5xx is the service's fault, except where a local program answers a request it cannot
    serve with a well-formed 500."""
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return errors.Refused
    if status == 500 and "no_memory_is_500" in quirks and ROOM_WORDS.search(said.message):
        return errors.NotReady
    ours = status == 500 and said.structured and "client_faults_are_500" in quirks
    return errors.Refused if ours else errors.Faulted


def too_long(status: int, said: Said) -> bool:
    """A 429 counts when one request is larger than the whole limit: no wait cures that."""
    if LONG & frozenset(said.codes):
        return True
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        limits = re.search(r"Limit (\d+), Requested (\d+)", said.message)
        used = re.search(r"Used (\d+)", said.message)
        return limits is not None and used is None and int(limits[2]) > int(limits[1])
    words = f"{said.message}\n{said.behind}"
    return status in (400, 413, 422) and LONG_WORDS.search(words) is not None


def read(body: object, text: str) -> Said:
    """Bodies are objects, strings, lists, `detail`, plain text or HTML."""
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    if not isinstance(body, dict):
        words = body if isinstance(body, str) else MARKUP.sub(" ", text[:BODY_CHARS])
        return Said(message=cleaned(words))
    outer = cast("dict[str, Any]", body)
    inner = outer.get("error")
    fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
    codes = tuple(code.lower() for code in codes_in(fields, outer))
    path_unknown = set(outer) == {"detail"} and outer["detail"] == "Not Found"
    return Said(
        message=cleaned(message_in(fields, outer)),
        behind=behind(fields),
        codes=codes,
        structured=not path_unknown,
        status=status_in(fields),
    )


def named(said: Said, name: str) -> Said:
    """With the error's name that stands beside the body, if it is one we know."""
    code = name.lower()
    return replace(said, codes=(code, *said.codes)) if code in STATUS_OF_AWS else said


def behind(fields: Mapping[str, Any]) -> str:
    metadata = fields.get("metadata")
    raw = cast("dict[str, Any]", metadata).get("raw") if isinstance(metadata, dict) else None
    return raw[:BODY_CHARS] if isinstance(raw, str) else ""


def message_in(fields: Mapping[str, Any], outer: Mapping[str, Any]) -> str:
    for value in (
        fields.get("message"),
        outer.get("error"),
        fields.get("detail"),
        fields.get("title"),
        outer.get("message"),
        outer.get("detail"),
        outer.get("Message"),
    ):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("detail")
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return str(cast("dict[str, Any]", value[0]).get("msg", ""))
    return ""


def codes_in(fields: Mapping[str, Any], outer: Mapping[str, Any]) -> Iterator[str]:
    """Most specific first."""
    details = fields.get("details")
    places = [fields, details, fields.get("innererror"), outer]
    if isinstance(details, list):
        places[1:2] = cast("list[object]", details)
    for place in places:
        if isinstance(place, dict):
            table = cast("dict[str, Any]", place)
            for name in ("error_code", "code", "reason", "status", "type"):
                if isinstance(table.get(name), str) and table[name] != "error":
                    yield table[name]


def status_in(fields: Mapping[str, Any]) -> int | None:
    for name in ("status_code", "code", "status"):
        value = fields.get(name)
        value = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def cleaned(text: str) -> str:
    """One short line that is safe to show."""
    line = UNSEEN.sub(" ", text).strip()
    return line if len(line) <= DETAIL_CHARS else line[: DETAIL_CHARS - 1].rstrip() + "…"


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"
