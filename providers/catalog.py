"""Every provider we can name: rows of catalog.toml, with the user's own rows merged over them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Auth = Literal["bearer", "api-key", "x-api-key", "none"]
SHIPPED = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of the models whose names match `pattern` at one provider. None: not known."""

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
    wire: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One row. Lists of variables are in order of precedence; `drop` names request fields the
    service rejects; `retention` is the sourced fact behind `privacy = "no_retention"`."""

    name: str
    wire: str
    base_url: str
    title: str = ""
    embed_wire: str | None = None
    key_env: tuple[str, ...] = ()
    url_env: tuple[str, ...] = ()
    auth: Auth = "bearer"
    key_required: bool = True
    local: bool = False
    by_name_only: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str | None = None
    embed_path: str | None = None
    models_path: str | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    capabilities: frozenset[str] = frozenset()
    default: str | None = None
    embedding_model: str | None = None
    embed_batch: int = 256
    max_tokens_field: str = "max_tokens"
    drop: frozenset[str] = frozenset()
    stream_usage: bool = True
    quirks: frozenset[str] = frozenset()
    price_provider: str | None = None
    retention: str | None = None
    docs: str = ""
    start_hint: str = ""
    models: tuple[Model, ...] = ()
    # From the user's configuration; the shipped rows leave these alone.
    api_version: str | None = None
    deployments: Mapping[str, str] = field(default_factory=dict[str, str])
    organization: str | None = None
    first_byte_timeout_s: float = 60.0
    concurrency: int = 8
    engine: Literal["lmstudio", "ollama", "llamacpp"] | None = None

    def facts(self, model: str) -> Model:
        """Everything the rows say of `model`: the fields of every matching pattern, the longest
        pattern's word being final."""
        found = Model(pattern=model)
        for row in sorted(self.models, key=lambda row: len(row.pattern)):
            if fnmatchcase(model, row.pattern):
                said = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "pattern"}
                found = replace(found, **{k: v for k, v in said.items() if v not in (None, ())})
        return found


def provider(name: str, row: Mapping[str, Any]) -> Provider:
    """A row as read from TOML. Raises TypeError for a field no row has."""
    given = dict(row)
    models = tuple(
        Model(pattern=pattern, **{k: tuple(v) if isinstance(v, list) else v for k, v in m.items()})
        for pattern, m in given.pop("models", {}).items()
    )
    for key in ("key_env", "url_env"):
        value = given.get(key, ())
        given[key] = (value,) if isinstance(value, str) else tuple(value)
    for key in ("capabilities", "drop", "quirks"):
        given[key] = frozenset(given.get(key, ()))
    return Provider(name=name, models=models, **given)


@lru_cache
def shipped_rows(path: Path = SHIPPED) -> Mapping[str, Mapping[str, Any]]:
    """The shipped rows as plain tables, for merging the user's over them."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


@lru_cache
def shipped() -> Mapping[str, Provider]:
    return {name: provider(name, row) for name, row in shipped_rows().items()}
