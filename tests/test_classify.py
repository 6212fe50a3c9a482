"""Every error answer is one kind of error, decided by status and structured code.

The bodies are hand-made after what providers document or were seen to send.
"""

import json
from typing import Any

import pytest

from roundhouse_mcp.providers.classify import from_body, from_response
from roundhouse_mcp.providers.errors import UpstreamError
from roundhouse_mcp.providers.waits import wait_in

NOW = 1_800_000_000.0
PAGE = b"<!DOCTYPE html><title>Oops</title><style>p{}</style>" + b"<p>Bad &amp; Gateway</p>" * 1000


def error(
    status: int,
    body: Any,
    *,
    headers: dict[str, str] | None = None,
    quirks: frozenset[str] = frozenset(),
) -> UpstreamError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_response("p", status, headers or {}, data, now=NOW, quirks=quirks)


def openai(message: str, *, code: Any = None, type: str = "invalid_request_error") -> Any:  # noqa: A002
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def anthropic(message: str, type: str, **details: Any) -> Any:  # noqa: A002
    return {"type": "error", "error": {"type": type, "message": message, **details}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai("nope"), "refused"),
        (400, openai("too long", code="context_length_exceeded"), "too_long"),
        (400, anthropic("prompt is too long: 3 tokens > 2 maximum", "x"), "too_long"),
        (400, {"error": {"code": 400, "type": "exceed_context_size_error"}}, "too_long"),
        (400, openai("x", code="model_decommissioned"), "misdirected"),
        (400, openai("x", code="model_not_found"), "misdirected"),
        (400, openai("Model Not Exist", code="invalid_request_error"), "misdirected"),
        (400, {"error": {"message": "x", "details": [{"reason": "API_KEY_INVALID"}]}}, "locked"),
        (400, openai("x", code="tool_use_failed"), "conflicted"),
        (
            400,
            anthropic("x", "e", details={"error_code": "enforced_spend_limit_reached"}),
            "exhausted",
        ),
        (400, {"detail": "Model m-0 is not supported. Supported are m-1."}, "misdirected"),
        (400, {"detail": "This model is not supported with images"}, "refused"),
        (400, {"message": "too many tokens: total of 4292 is more than 4081"}, "too_long"),
        (400, {"message": "too many tokens: max tokens must be less than 4096"}, "refused"),
        (401, openai("bad key", code="invalid_api_key"), "locked"),
        (402, {"error": {"message": "Insufficient Balance"}}, "exhausted"),
        (403, {"detail": "no"}, "locked"),
        (403, openai("x", code="model_not_found"), "misdirected"),
        (404, openai("x", code="model_not_found"), "misdirected"),
        (404, {"error": "model 'x' not found"}, "misdirected"),
        (404, b"404 page not found", "misdirected"),
        (408, b"", "faulted"),
        (409, {}, "conflicted"),
        (413, anthropic("too big", "request_too_large"), "refused"),
        (413, openai("Request too large for model", code="rate_limit_exceeded"), "too_long"),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "refused"),
        (429, openai("slow", code="rate_limit_exceeded"), "throttled"),
        (429, openai("pay", code="insufficient_quota", type="insufficient_quota"), "exhausted"),
        (429, openai("Limit 30000, Requested 30601."), "too_long"),
        (429, openai("Limit 30000, Used 29000, Requested 30601."), "throttled"),
        (429, b"", "throttled"),
        (500, b"", "faulted"),
        (500, openai("x", type="server_error"), "faulted"),
        (501, {"error": {"code": 501, "message": "no embeddings"}}, "refused"),
        (502, PAGE, "faulted"),
        (503, b"upstream connect error", "faulted"),
        (524, PAGE, "faulted"),
        (529, anthropic("Overloaded", "overloaded_error"), "faulted"),
        (304, b"", "misdirected"),
        (418, b"I'm a teapot", "refused"),
    ],
)
def test_an_error_answer_has_one_kind(status: int, body: Any, kind: str) -> None:
    assert error(status, body).kind == kind


@pytest.mark.parametrize("words", ["insufficient_quota", "invalid api key", "you have no credit"])
def test_words_in_a_message_never_decide_about_money_or_keys(words: str) -> None:
    assert error(400, openai(f"the tool said: {words}")).kind == "refused"
    assert error(429, openai(f"the tool said: {words}")).kind == "throttled"


@pytest.mark.parametrize(
    ("status", "body", "specific"),
    [
        (404, openai("x", code="model_not_found"), True),
        (404, {"error": "model 'x' not found"}, True),
        (404, {"error": {"code": "DeploymentNotFound", "message": "x"}}, True),
        (400, openai("x", code="model_decommissioned"), True),
        (404, PAGE, False),
        (404, {"detail": "Not Found"}, False),
    ],
)
def test_a_missing_model_holds_the_model_and_a_missing_path_the_provider(
    status: int, body: Any, specific: bool
) -> None:
    assert error(status, body).model_specific is specific


def test_a_local_program_answers_500_to_what_it_cannot_do() -> None:
    said = {"error": {"code": 500, "message": "tools need --jinja", "type": "server_error"}}
    quirks = frozenset({"client_faults_are_500"})

    assert error(500, said, quirks=quirks).kind == "refused"
    assert error(500, b"Internal Server Error", quirks=quirks).kind == "faulted"
    assert error(503, said, quirks=quirks).kind == "faulted"


@pytest.mark.parametrize(
    ("body", "detail", "code"),
    [
        (openai("Bad", code="c"), "Bad", "c"),
        (openai("Bad"), "Bad", "invalid_request_error"),
        ({"error": "just words"}, "just words", None),
        ({"message": "flat", "code": "1500", "object": "error"}, "flat", "1500"),
        ({"title": "T", "detail": "D", "status": 422}, "D", None),
        ([{"error": {"message": "listed", "status": "UNAVAILABLE"}}], "listed", "unavailable"),
        ({"detail": [{"msg": "field required"}]}, "field required", None),
        ({"message": {"detail": [{"msg": "not permitted"}]}}, "not permitted", None),
        (b'"a string"', "a string", None),
        (b"plain\n\x1b[2Jtext\t\xe2\x80\xae", "plain [2Jtext", None),
        (b"", "HTTP 500 Internal Server Error without a message", None),
        (b"<html><script>x()</script><b>Down</b></html>", "Down", None),
        ({"error": {"message": None}}, "HTTP 500 Internal Server Error without a message", None),
    ],
)
def test_the_message_and_code_are_found_in_every_shape(
    body: Any, detail: str, code: str | None
) -> None:
    found = error(500, body)

    assert (found.detail, found.code) == (detail, code)


def test_a_page_of_html_becomes_one_short_line_and_a_bounded_body() -> None:
    found = error(500, PAGE)

    assert found.detail.startswith("Oops Bad &amp; Gateway Bad")
    assert len(found.detail) <= 200
    assert len(found.body) == 4096


@pytest.mark.parametrize(
    ("headers", "body", "want"),
    [
        ({"retry-after": "7"}, {}, 7.0),
        ({"retry-after": "1.5"}, {}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, {}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, {}, 1.0),
        ({"retry-after": "0.01"}, {}, 0.5),
        ({"retry-after": "999999"}, {}, 3600.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, {}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, {}, None),
        ({"retry-after": "-1"}, {}, None),
        ({"retry-after": "nan"}, {}, None),
        ({"retry-after": "inf"}, {}, None),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "2m59.5s"}, {}, 179.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s"}, {}, 1.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-reset-tokens": "120ms",
            },
            {},
            360.0,
        ),
        ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:20Z"}, {}, 20.0),
        ({}, {"error": {"details": [{"@type": "x"}, {"retryDelay": "48s"}]}}, 48.0),
        ({}, [{"error": {"details": [{"retryDelay": "5s"}]}}], 5.0),
        ({}, {"retry_after": 12}, 12.0),
        ({}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1800000004000"}}}}, 4.0),
        ({}, {}, None),
        ({}, "text", None),
    ],
)
def test_the_wait_is_read_wherever_it_is(
    headers: dict[str, str], body: Any, want: float | None
) -> None:
    assert wait_in(headers, body, now=NOW) == want


@pytest.mark.parametrize(
    ("status", "body", "quirk", "kind"),
    [
        (
            400,
            {"code": "x", "error": "Incorrect API key provided: a***b."},
            "bad_key_is_400",
            "locked",
        ),
        (400, {"code": "x", "error": "Incorrect API key provided: a***b."}, "no_strict", "refused"),
        (400, {"code": "x", "error": "Invalid argument"}, "bad_key_is_400", "refused"),
        (
            412,
            openai("Account suspended", code="PRECONDITION_FAILED"),
            "unpaid_is_412",
            "exhausted",
        ),
        (412, openai("Account suspended", code="PRECONDITION_FAILED"), "no_strict", "refused"),
    ],
)
def test_a_row_says_what_its_service_means_by_a_status(
    status: int, body: Any, quirk: str, kind: str
) -> None:
    assert error(status, body, quirks=frozenset({quirk})).kind == kind


def test_a_moment_in_time_is_no_wait_inside_an_answer() -> None:
    reset = {"metadata": {"headers": {"X-RateLimit-Reset": "1800000000000"}}}

    found = from_body("p", {"error": {"code": 429, "message": "slow down", **reset}})

    assert (found.kind, found.retry_after_s) == ("throttled", None)


@pytest.mark.parametrize(
    ("status", "want"), [(429, 7.0), (503, 7.0), (529, 7.0), (500, None), (400, None), (401, None)]
)
def test_a_wait_counts_only_where_waiting_helps(status: int, want: float | None) -> None:
    assert error(status, {}, headers={"retry-after": "7"}).retry_after_s == want


@pytest.mark.parametrize(
    ("body", "kind", "status", "billing"),
    [
        ({"error": {"type": "overloaded_error", "message": "x"}}, "faulted", 529, "observed"),
        ({"error": {"type": "invalid_request_error", "message": "x"}}, "refused", 400, "none"),
        ({"error": {"code": 502, "message": "x"}}, "faulted", 502, "observed"),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, "exhausted", 429, "none"),
        ({"error": {"type": "INVALID_TOOL_GENERATION"}}, "conflicted", 400, "observed"),
        ({"error": "it broke"}, "faulted", 500, "observed"),
        ("not even an object", "faulted", 500, "observed"),
    ],
)
def test_an_error_inside_an_answer_is_known_by_its_type(
    body: Any, kind: str, status: int, billing: str
) -> None:
    found = from_body("p", body)

    assert (found.kind, found.status, found.billing) == (kind, status, billing)
