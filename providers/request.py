"""One request to a provider, as data: what the wires make and http.py sends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args
from urllib.parse import quote, urlencode

from .catalog import Auth, Model, Provider
from .errors import Misdirected
from .types import Call, Effort

EFFORTS: tuple[str, ...] = get_args(Effort)
SHARED_STARTS = frozenset({"/api", "/openai", "/v1", "/v2"})
FIELD = re.compile(r"\{(\w+)\}")
IN_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*", re.A)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`path` is relative to the row's base_url; `auth` overrides the row's where a request needs
    another style. `address` is a whole address from one of the service's answers, in place of
    both."""

    method: str = "POST"
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    auth: Auth | None = None
    address: str | None = None


def name_on_wire(provider: Provider, model: str) -> str:
    """The name the service knows the model by: its deployment where it has one."""
    return provider.deployments.get(model, model)


def in_path(provider: Provider, model: str) -> str:
    """The model's name as it stands in a path. Raises Misdirected for a name that is none there,
    or would lead to another path."""
    name = name_on_wire(provider, model)
    if not IN_PATH.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise Misdirected(
            provider.name,
            "there are no models of such a name; nothing was sent",
            model_specific=True,
        )
    return name


def output_cap(call: Call, facts: Model) -> int:
    """The cap that is sent: never more than the model can write."""
    return min(call.max_tokens, facts.max_output or call.max_tokens)


def effort_word(effort: Effort, facts: Model) -> str:
    """The effort in a word the model takes, the nearest where it does not take ours."""
    if not facts.efforts or effort in facts.efforts:
        return effort
    taken = [word for word in EFFORTS if word in facts.efforts] or facts.efforts
    return min(taken, key=lambda word: distance(word, effort))


def distance(word: str, effort: Effort) -> int:
    return abs(EFFORTS.index(word) - EFFORTS.index(effort)) if word in EFFORTS else 0


def request(
    provider: Provider,
    path: str,
    body: Mapping[str, Any] | None,
    *,
    model: str = "",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    auth: Auth | None = None,
) -> Request:
    """The request for `body`, with what the row says of headers and query, and without the fields
    this provider or this model rejects."""
    known = {
        "api_version": provider.api_version,
        "organization": provider.organization,
        "deployment": quote(name_on_wire(provider, model), safe=""),
        "model": in_path(provider, model) if "{model}" in path else None,
    }
    dropped = provider.drop.union(provider.facts(model).drop)
    whole = None if body is None else {**body, **kept_alive(provider, model)}
    return Request(
        method=method,
        path=FIELD.sub(lambda match: known.get(match[1]) or "", path),
        body=None
        if whole is None
        else {name: value for name, value in whole.items() if name not in dropped},
        headers={**filled(provider.headers, known), **(headers or {})},
        query={**filled(provider.query, known), **(query or {})},
        auth=auth,
    )


ENDLESS = frozenset({"keep_alive"})  # fields that take a negative number for good


def kept_alive(provider: Provider, model: str) -> dict[str, Any]:
    """How long the model is to stay loaded after this call, where the user says so."""
    field, seconds = provider.keep_alive_field, provider.keeps_s(model)
    if field is None or not model or seconds is None:
        return {}
    if seconds < 0 and field not in ENDLESS:
        return {}
    return {field: int(seconds) if seconds == int(seconds) else seconds}


def filled(items: Mapping[str, str], known: Mapping[str, str | None]) -> dict[str, str]:
    """The items with their fields filled in, without those whose field is unset."""
    return {
        name: FIELD.sub(lambda match: known.get(match[1]) or "", value)
        for name, value in items.items()
        if all(known.get(needed) for needed in FIELD.findall(value))
    }


def url(provider: Provider, request: Request) -> str:
    """The row's address with the request's path and query; the row's own query stays. Many write
    the address with the part that every path of the wire begins with: it is not doubled."""
    if request.address is not None:
        return request.address
    address = provider.base_url.replace("{region}", provider.region or "")
    base, _, own_query = address.partition("?")
    base = base.rstrip("/")
    first = "/" + request.path.lstrip("/").partition("/")[0]
    if first in SHARED_STARTS and request.path.startswith(f"{first}/"):
        base = base.removesuffix(first)
    path, _, asked = request.path.partition("?")
    query = "&".join(part for part in (own_query, asked, urlencode(request.query)) if part)
    return base + path + (f"?{query}" if query else "")


def auth_headers(style: Auth, key: str | None) -> dict[str, str]:
    if key is None or style == "none":
        return {}
    bearer = style in ("bearer", "aws")
    return {"authorization": f"Bearer {key}"} if bearer else {style: key}
