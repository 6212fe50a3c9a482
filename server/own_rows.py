"""A user's own rows over the shipped ones: changed providers, second accounts, new ones."""

from dataclasses import replace
from typing import Any

from ..providers import catalog, plugins
from ..providers.catalog import Model, Provider
from ..providers.setup import Setup
from .config import WHOLE
from .settings import ModelSettings, ProviderSettings, Settings

EMBED_WIRES = {
    "cohere": "cohere_embed",
    "gemini": "gemini_embed",
    "ollama": "ollama_embed",
    "openai_chat": "openai_embeddings",
    "openai_responses": "openai_embeddings",
}
ENGINE_URL = "http://127.0.0.1/v1"  # until it runs and its port is known
EMBEDDING = {"embeddings", "offline"}  # what an engine started for that can do
ASSUMED = ("chat", "streaming", "tools", "json", "embeddings")  # of a row that does not say


def merged(name: str, settings: Settings) -> Provider:
    """The shipped row, or the one it is like, with what the user says over it. Imports the package
    whose provider this is, if it is one's; raises LookupError and plugins.Broken for it."""
    said = settings.providers.get(name, ProviderSettings())
    shipped = catalog.shipped_rows()
    if said.engine is not None:
        return started(name, said)
    if said.like is not None:
        base = alike(name, merged(said.like, settings))
    elif name in shipped:
        base = catalog.provider(name, shipped[name])
    elif said.wire is None and said.embed_wire is None:
        base = plugins.row(name)
    else:
        base = fresh(name, said)
    return over(base, said)


def plugin_of(name: str, settings: Settings) -> str | None:
    """The plugin whose row this is: that of a name neither we nor the user's `wire` explain."""
    said = settings.providers.get(name, ProviderSettings())
    if said.like is not None:
        return plugin_of(said.like, settings)
    explained = said.wire or said.embed_wire or said.engine or name in catalog.shipped_rows()
    return None if explained else name


def unread(name: str, settings: Settings) -> Provider:
    """The row as far as it is known without importing a package: of a plugin's provider only what
    the user says of it."""
    plugin = plugin_of(name, settings)
    if plugin is None:
        return merged(name, settings)
    row = Provider(
        name=name, wire="plugin", base_url=f"plugin://{plugin}", plugin=plugin, key_required=False
    )
    return over(row, settings.providers.get(name, ProviderSettings()))


def foreign_wires(row: Provider) -> set[str]:
    """The wires of this row that a package must bring; one is `plugin` where it brings the whole
    provider."""
    return {*filter(None, (row.wire, row.embed_wire))} - plugins.builtin("wire")


def read(name: str, settings: Settings) -> Provider:
    """The whole row. Imports the packages it needs; raises LookupError for one that is not there,
    and plugins.Broken for one that cannot be used."""
    from ..providers.wire import chat_wire, embed_wire

    row = merged(name, settings)
    if row.plugin is None:
        if row.wire:
            chat_wire(row.wire)
        if row.embed_wire:
            embed_wire(row.embed_wire)
    return row


def alike(name: str, model: Provider) -> Provider:
    """A second account of a known provider: the same service, a key and an address of its own."""
    return replace(
        model,
        name=name,
        title="",
        key_env=(variable(name),),
        url_env=(),
        by_name_only=False,
        price_provider=model.price_provider or model.name,
        otel_name=model.otel_name or model.name,
    )


def started(name: str, said: ProviderSettings) -> Provider:
    """The row of an engine that we start: it speaks as its kind does, has an address only while it
    runs, and needs no key."""
    from ..providers import engines  # few have any, and every start comes by here

    assert said.engine is not None
    kind = engines.kinds()[said.engine]
    row = over(alike(name, catalog.provider(kind.like, catalog.shipped_rows()[kind.like])), said)
    model = said.model or said.engine
    setup = Setup(
        name=name,
        kind=said.engine,
        model=model,
        alias=said.models[0] if said.models else engines.alias_of(said.engine, model),
        context=said.context,
        slots=row.concurrency,
        embeds=said.embeddings,
        idle_s=said.idle_s,
        start_s=said.start_timeout_s,
        allow_download=said.allow_download,
        check_memory=row.check_memory,
        command=said.command,
        arguments=said.arguments,
    )
    known = (Model(pattern="*", context=said.context),) if said.context else ()
    return replace(
        row,
        title=f"{kind.title} on this machine",
        wire=None if said.embeddings else row.wire,
        embed_wire=row.embed_wire if said.embeddings else None,
        base_url=ENGINE_URL,
        key_env=(),
        key_required=False,
        local=True,
        capabilities=row.capabilities & EMBEDDING
        if said.embeddings
        else row.capabilities - {"embeddings"},
        models_path=None,
        quirks=row.quirks - {"listed_models_only"},
        start_hint="",
        own_facts=(*row.own_facts, *known),
        setup=setup,
    )


def variable(name: str) -> str:
    return name.upper().replace("-", "_").replace(".", "_") + "_API_KEY"


def fresh(name: str, said: ProviderSettings) -> Provider:
    """A row of the user's own making. A key is required if they name where it is; one with an
    embedding wire alone only makes embeddings."""
    return Provider(
        name=name,
        wire=said.wire,
        base_url=said.base_url or "",
        embed_wire=EMBED_WIRES.get(said.wire or ""),
        models_path="/models",
        key_env=(variable(name),),
        key_required=any((said.key_env, said.api_key, said.key_command)),
        capabilities=frozenset(ASSUMED if said.wire else {"embeddings"}),
    )


PLAIN = (
    "wire",
    "embed_wire",
    "base_url",
    "auth",
    "local",
    "path",
    "responses_path",
    "embed_path",
    "default",
    "embedding_model",
    "retention",
    "max_tokens_field",
    "stream_usage",
    "organization",
    "region",
    "api_version",
    "concurrency",
    "allow_pull",
    "check_memory",
)


def over(row: Provider, said: ProviderSettings) -> Provider:
    changes: dict[str, Any] = {
        name: value for name in PLAIN if (value := getattr(said, name)) is not None
    }
    for name in ("headers", "query", "deployments"):
        changes[name] = {**getattr(row, name), **getattr(said, name)}
    if said.key_env is not None:
        named = said.key_env
        changes["key_env"] = (named,) if isinstance(named, str) else named
    if said.api_key is not None and (reference := WHOLE.fullmatch(said.api_key)):
        changes["key_env"] = (reference[1],)
    if said.capabilities is not None:
        changes["capabilities"] = frozenset(said.capabilities)
    if said.keep_alive is not None:
        changes["keep_alive_s"] = said.keep_alive
    if said.timeout_s is not None:
        changes["first_byte_timeout_s"] = said.timeout_s
    if said.base_url is not None:
        changes["models_base"] = None
    facts = tuple(own_model(pattern, about) for pattern, about in said.facts.items())
    return replace(row, drop=row.drop | {*said.drop}, own_facts=(*row.own_facts, *facts), **changes)


def own_model(pattern: str, said: ModelSettings) -> Model:
    facts = said.model_dump(by_alias=True)
    return Model(pattern=pattern, keep_alive_s=facts.pop("keep_alive"), **facts)
