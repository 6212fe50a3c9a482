"""Every provider we can name: rows of catalog.toml, with the user's own rows merged over them."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from .setup import Setup

Auth = Literal["bearer", "api-key", "x-api-key", "x-goog-api-key", "aws", "none"]
REMEMBERED = 256
REPEATED = frozenset({"/api", "/v1", "/v2"})
SHIPPED = Path(__file__).with_name("catalog.toml")
MODELS = Path(__file__).with_name("models.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of the models whose names match `pattern` at one provider. None: not known.

    `drop` names request fields these models reject; `efforts` the words they take for it, lowest
    first, where that is not all of ours; `thinking` is how to ask for it where a wire knows several
    ways; `sampling_version` is the API version under which they still take a temperature.
    `system_field` and `image_field` are the names of inputs that differ from model to model; a
    name ending in `[]` takes a list.
    """

    pattern: str
    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    json: bool | None = None
    reasoning: bool | None = None
    sampling: bool | None = None
    embeddings: bool | None = None
    dimensions: tuple[int, ...] = ()
    quality: int | None = None
    max_tokens_field: str | None = None
    system_field: str | None = None
    image_field: str | None = None
    wire: str | None = None
    embed_wire: str | None = None
    embed_batch: int | None = None
    drop: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    thinking: Literal["adaptive", "budget", "reasoning_config", "reasoning_effort"] | None = None
    sampling_version: str | None = None
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One row. `wire` is its chat wire, None where a service only makes embeddings; `models_path`
    is None where nothing can be asked for free. Lists of variables are in order of precedence;
    what is found under one of `bearer_env` is sent as a bearer token, whatever `auth` says;
    `drop` names request fields the service rejects; `retention` is the sourced fact behind
    `privacy = "no_retention"`.
    `{api_version}`, `{organization}` and `{deployment}` in `path`, `headers` and `query` stand for
    those fields, `{model}` in a path for the model's own name; a header or query item whose field
    is unset is not sent. `{region}` in `base_url` stands for the region. `auth = "aws"` is a bearer
    key where there is one, else a signature made with the user's AWS credentials.

    `path` is the path of `wire`, `responses_path` that of openai_responses where a model's row
    names that wire. `models_path` lists the models, at `models_base` where that is not the address
    of the models themselves; with `models_public` anybody may ask, so that a list proves no key.
    `key_path` proves one where the service has no list. `hosts` are patterns of the service's own
    hosts: an address in one of its answers is followed, with the key, only to these.

    `cost_field` is where its usage object says what it bills, in parts of a dollar of which
    `cost_units` make one; `cost_beside` names a flag (`when`) and where the bill of another service
    stands (`field`) that comes on top then. `seconds_field` is where it says what machine time it
    took. Fields of fields are joined by a point.

    `facts_from` names the table of models.toml that holds the facts of its models; `own_facts` are
    the user's, and final. `effort_fields` are body fields that go along with `effort`;
    `embed_batch` texts and `embed_tokens` tokens are the most one embedding request takes. `plugin`
    is the entry point of the package whose code answers instead of a wire. `setup` is how the
    engine is started where that is ours to do; its address is known once it runs. `otel_name` is
    what OpenTelemetry calls the service, where that is not its name here.

    Of local programs the user runs: `keep_alive_s` is how long a model stays loaded after a call
    (negative: for good), sent as `keep_alive_field`; `pulls`: it downloads what it lacks on
    request, if `allow_pull`; `check_memory`: is one refused that would not fit; `get_hint` is the
    command that fetches `{model}`."""

    name: str
    base_url: str
    wire: str | None = None
    title: str = ""
    embed_wire: str | None = None
    key_env: tuple[str, ...] = ()
    url_env: tuple[str, ...] = ()
    region_env: tuple[str, ...] = ()
    bearer_env: tuple[str, ...] = ()
    auth: Auth = "bearer"
    key_required: bool = True
    local: bool = False
    by_name_only: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str | None = None
    responses_path: str | None = None
    embed_path: str | None = None
    models_path: str | None = None
    models_base: str | None = None
    models_public: bool = False
    key_path: str | None = None
    hosts: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    capabilities: frozenset[str] = frozenset()
    default: str | None = None
    embedding_model: str | None = None
    embed_batch: int = 256
    embed_tokens: int | None = None
    max_tokens_field: str = "max_tokens"
    drop: frozenset[str] = frozenset()
    stream_usage: bool = True
    quirks: frozenset[str] = frozenset()
    effort_fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    price_provider: str | None = None
    otel_name: str | None = None
    cost_field: str | None = None
    cost_units: int = 1
    cost_beside: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds_field: str | None = None
    retention: str | None = None
    docs: str = ""
    start_hint: str = ""
    get_hint: str = ""
    keep_alive_field: str | None = None
    pulls: bool = False
    facts_from: str | None = None
    own_facts: tuple[Model, ...] = ()
    # Mostly from the user's configuration.
    api_version: str | None = None
    deployments: Mapping[str, str] = field(default_factory=dict[str, str])
    organization: str | None = None
    region: str | None = None
    first_byte_timeout_s: float = 60.0
    concurrency: int = 8
    keep_alive_s: float | None = None
    allow_pull: bool = False
    check_memory: bool = True
    load_timeout_s: float = 300.0
    engine: Literal["lmstudio", "ollama", "llamacpp", "vllm", "mlx", "transformers"] | None = None
    plugin: str | None = None
    setup: Setup | None = None
    remembered: dict[str, Model] = field(
        default_factory=dict[str, Model], init=False, repr=False, compare=False
    )

    @property
    def models(self) -> tuple[Model, ...]:
        """The facts of all its models: the shipped ones as the user corrects them, then theirs."""
        table = shipped_models(self.facts_from or "")
        if not (table and self.own_facts):
            return table or self.own_facts
        return (*(corrected(row, self.own_facts) for row in table), *self.own_facts)

    def facts(self, model: str) -> Model:
        """Everything the rows say of `model`: the fields of every matching pattern, the longest
        pattern's word being final. Asked several times a call, so it is remembered."""
        if model not in self.remembered:
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            self.remembered[model] = self.gathered(model)
        return self.remembered[model]

    def batch(self, model: str) -> int:
        """How many texts one embedding request may carry."""
        return self.facts(model).embed_batch or self.embed_batch

    def keeps_s(self, model: str) -> float | None:
        """How long the user wants it kept loaded after a call; negative: for good."""
        own = self.facts(model).keep_alive_s
        return self.keep_alive_s if own is None else own

    def gathered(self, model: str) -> Model:
        found = Model(pattern=model)
        for row in sorted(self.models, key=lambda row: len(row.pattern)):
            if fnmatchcase(model, row.pattern):
                said = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "pattern"}
                found = replace(found, **{k: v for k, v in said.items() if v not in (None, ())})
        return found


def corrected(row: Model, own: Sequence[Model]) -> Model:
    """A shipped row with the user's facts over it: they are final, also where its pattern is the
    longer one."""
    for said in own:
        if fnmatchcase(row.pattern, said.pattern):
            known = {f.name: getattr(said, f.name) for f in fields(said) if f.name != "pattern"}
            row = replace(row, **{k: v for k, v in known.items() if v not in (None, ())})
    return row


def model(pattern: str, facts: Mapping[str, Any]) -> Model:
    """Model facts as read from TOML. Raises TypeError for a field no model has."""
    given = dict(facts)
    for key in ("dimensions", "drop", "efforts"):
        given[key] = tuple(given.get(key, ()))
    return Model(pattern=pattern, **given)


def provider(name: str, row: Mapping[str, Any]) -> Provider:
    """A row as read from TOML. Raises TypeError for a field no row has."""
    given = dict(row)
    own = tuple(model(pattern, facts) for pattern, facts in given.pop("models", {}).items())
    for key in ("key_env", "url_env", "region_env", "bearer_env", "hosts"):
        value = given.get(key, ())
        given[key] = (value,) if isinstance(value, str) else tuple(value)
    for key in ("capabilities", "drop", "quirks"):
        given[key] = frozenset(given.get(key, ()))
    return Provider(name=name, own_facts=own, **given)


def located(row: Provider, value: str) -> Provider:
    """The row at the address a user's variable names. `host:port` and `http://host` are filled up
    from the row's own address; 0.0.0.0, which a server may listen on, is reached as 127.0.0.1.
    A path that the wires of the row bring themselves is not needed twice. Raises ValueError for a
    port that is none."""
    own = urlsplit(row.base_url)
    given = urlsplit(value.strip() if "://" in value else f"//{value.strip()}")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given.hostname or "", given.hostname or "")
    port = given.port or (None if given.scheme else own.port)
    netloc = f"[{host}]" if ":" in host else host
    netloc += f":{port}" if port else ""
    scheme = given.scheme or own.scheme or "http"
    path = given.path.rstrip("/") or own.path
    path = "" if path in REPEATED and not own.path else path
    address = urlunsplit((scheme, netloc, path, given.query, ""))
    return replace(row, base_url=address, models_base=None)


@lru_cache
def shipped_rows(path: Path = SHIPPED) -> Mapping[str, Mapping[str, Any]]:
    """The shipped rows as plain tables, for merging the user's over them."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: {**row, "facts_from": name} for name, row in rows.items()}


@lru_cache
def shipped_models(provider: str) -> tuple[Model, ...]:
    """The shipped facts of one provider's models."""
    return tuple(model(name, facts) for name, facts in all_models().get(provider, {}).items())


@lru_cache
def all_models(path: Path = MODELS) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@lru_cache
def shipped() -> Mapping[str, Provider]:
    return {name: provider(name, row) for name, row in shipped_rows().items()}
