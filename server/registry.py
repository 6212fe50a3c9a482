"""The providers of this machine: shipped rows, the user's over them, their keys, what answers here.

Which model runs: the one named; else the first of the user's `models`; at a local program the one
it has loaded, else the first it lists; else the row's `default`.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..providers import aws_profile, catalog, plugins, probe
from ..providers.catalog import Provider
from . import fetching, key_commands, own_rows
from .allowances import Allowance
from .errors import ConfigError, NotFound
from .keys import Key, Keys
from .listed import Listed, how_to_key
from .settings import DefaultsSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from ..providers.http import Http

FOUND_FOR_S = 15.0
PROBE_S = 1.0
UNREAD = "its package is not read yet"


@dataclass(slots=True)
class Registry:
    """Every provider there is, the user's own first, in the order they wrote them."""

    rows: dict[str, Listed]
    aliases: Mapping[str, str | tuple[str, ...]] = field(
        default_factory=dict[str, str | tuple[str, ...]]
    )
    hidden: tuple[str, ...] = ()
    unread: dict[str, Callable[[], Listed]] = field(default_factory=dict[str, Callable[[], Listed]])
    asked_at: dict[str, float] = field(default_factory=dict[str, float])
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    no_key_at: dict[str, float] = field(default_factory=dict[str, float])
    asking: anyio.Lock = field(default_factory=anyio.Lock)

    @classmethod
    def build(cls, settings: Settings, keys: Keys, environ: Mapping[str, str]) -> "Registry":
        """Imports no package: rows that need one wait for `read_plugins`. Raises ConfigError for
        an address in a variable that is none."""
        rows: dict[str, Listed] = {}
        unread: dict[str, Callable[[], Listed]] = {}
        for name in dict.fromkeys([*settings.providers, *catalog.shipped_rows()]):
            row = own_rows.unread(name, settings)
            rows[name] = listed(row, settings, keys, environ)
            if own_rows.foreign_wires(row):
                rows[name] = replace(rows[name], broken=UNREAD)
                unread[name] = partial(from_package, name, settings, keys, environ)
        hidden = aws_profile.secrets(environ)
        return cls(rows, settings.routing.aliases, hidden, unread, environ=environ)

    def read_plugins(self) -> bool:
        """Imports the packages that the user's rows need, once. One that is broken is its row's
        reason. Whether there were any."""
        unread, self.unread = self.unread, {}
        for name, read in unread.items():
            try:
                self.rows[name] = read()
            except (LookupError, ConfigError) as error:
                self.rows[name] = replace(self.rows[name], broken=str(error))
        return bool(unread)

    def listed(self) -> tuple[Listed, ...]:
        return tuple(self.rows.values())

    def named(self, name: str) -> Listed:
        """Raises NotFound, with the nearest name."""
        if name in self.rows:
            return self.rows[name]
        raise NotFound(f"there is no provider {name[:80]!r}", next_step=self.near(name, self.rows))

    def key(self, name: str) -> Key | None:
        return self.rows[name].key

    def key_of(self, provider: Provider) -> str | None:
        key = self.key(provider.name)
        return key.value if key else None

    def keys_present(self) -> tuple[str, ...]:
        """The providers that have a key, by name."""
        return tuple(name for name, row in self.rows.items() if row.key is not None)

    def secrets(self) -> tuple[str, ...]:
        """Every key in use, and every secret that may sign, for the redactor alone."""
        keys = (row.key.value for row in self.rows.values() if row.key is not None)
        return (*keys, *self.hidden)

    def defaults(self, name: str) -> DefaultsSettings:
        return self.rows[name].defaults

    def resolve(self, name: str, *, embeds: bool = False) -> list[tuple[Listed, str]]:
        """The models a name means: `provider/model`, `provider:model`, an alias, a provider (its
        default model, `*` where it has none of this kind), or a model (at every provider that has
        it). Raises NotFound."""
        if name in self.aliases:
            meant = expanded(name, self.aliases)
            return [pair for each in meant for pair in self.resolve(each, embeds=embeds)]
        head, model = self.split(name)
        if head is not None and model:
            row = self.rows[head]
            return [(row, row.same(model, row.models) or self.unlisted(row, model))]
        if head is not None:
            row = self.rows[head]
            own = row.embedding_model if embeds else row.default_model
            if own is None and row.can(embeds=embeds):
                raise NotFound(modelless(row, embeds))
            return [(row, own or "*")]
        found = [
            (row, written)
            for row in self.rows.values()
            if not row.provider.by_name_only and (written := row.named(name)) is not None
        ]
        if not found:
            raise NotFound(
                f"no provider here has a model {name[:80]!r}",
                next_step="Name it as provider/model where you know it exists. "
                + self.near(name, {*self.model_names(), *self.rows}),
            )
        return found

    def unlisted(self, row: Listed, model: str) -> str:
        """A model this provider is not known to have: it may have it all the same, unless naming
        one it lacks makes it download that. Raises NotFound."""
        provider = row.provider
        if provider.setup is not None:
            raise NotFound(
                f"the engine {provider.name} has no model {model[:80]!r}",
                next_step=f"It has {provider.setup.alias}.",
            )
        if "listed_models_only" not in provider.quirks or row.absent()[0] is not None:
            return model
        raise NotFound(
            f"{provider.name} has no model {model[:80]!r}, and would download what it is asked for",
            next_step=f"It has {', '.join(row.models)}." if row.models else "It lists none.",
        )

    def split(self, name: str) -> tuple[str | None, str]:
        """The part before the first `/` or `:`, if it is a provider's name, and the rest."""
        if name in self.rows:
            return name, ""
        ends = [at for mark in "/:" if (at := name.find(mark)) > 0]
        head = name[: min(ends)] if ends else ""
        return (head, name[len(head) + 1 :]) if head in self.rows else (None, name)

    def model_names(self) -> Iterator[str]:
        for row in self.rows.values():
            yield from (f"{row.provider.name}/{model}" for model in row.models)
            yield from row.models

    def near(self, name: str, known: Collection[str]) -> str:
        packaged = next((p for p in plugins.names("provider") if name.startswith(p)), None)
        if packaged is not None and packaged not in self.rows:
            return f"A package brings {packaged}; to use it: roundhouse providers add {packaged}"
        close = get_close_matches(name, known, 1)
        return f"Did you mean {close[0]!r}?" if close else f"Providers: {', '.join(self.rows)}."

    def what_would_enable(self) -> str:
        """What to set or start so that something answers."""
        rows = [row.provider for row in self.rows.values() if not row.provider.by_name_only]
        variables = ", ".join(r.key_env[0] for r in rows if r.key_env and r.wire and not r.local)
        programs = ", ".join(r.title or r.name for r in rows if r.local)
        return (
            f"Set one of {variables}, or run `roundhouse keys set NAME`, or start a local program "
            f"({programs}). `roundhouse doctor` says what is missing."
        )

    async def discover(self, http: "Http", *, trusted: Sequence[str] | None = None) -> bool:
        """Asks the local programs whether they run and which models they have, at most every
        15 s. Rows with the user's own `models` are not asked: what to call them is known. With
        `trusted`, the hosts that count as this machine, no program elsewhere is asked either.
        Keys that programs give out are fetched first. Whether there are new ones."""
        async with self.asking:
            keyed = await fetching.fetch(self, trusted)
            now = time.monotonic()
            due = [row for row in self.listed() if may_be_asked(row) and self.is_old(row, now)]
            if trusted is not None:
                due = [row for row in due if row.is_here(trusted, "*")]
            if not due:
                return keyed
            async with anyio.create_task_group() as group:
                for row in due:
                    group.start_soon(self.ask, http, row)
            self.asked_at |= dict.fromkeys((row.provider.name for row in due), time.monotonic())
            return keyed

    def learn(self, name: str, seen: "probe.Probe") -> None:
        """What a local program answered when somebody tested it."""
        row = self.rows.get(name)
        if row is not None and may_be_asked(row):
            self.rows[name] = replace(row, found=seen)
            self.asked_at[name] = time.monotonic()

    def is_old(self, row: Listed, now: float) -> bool:
        return now - self.asked_at.get(row.provider.name, -FOUND_FOR_S) >= FOUND_FOR_S

    async def ask(self, http: "Http", row: Listed) -> None:
        key = row.key.value if row.key else None
        found = await probe.probe(http, row.provider, key, timeout_s=PROBE_S)
        self.rows[row.provider.name] = replace(row, found=found)


def expanded(name: str, aliases: Mapping[str, str | tuple[str, ...]]) -> tuple[str, ...]:
    """The models behind an alias, which may stand for others. config.py has refused loops."""
    meant = aliases.get(name)
    if meant is None:
        return (name,)
    each = (meant,) if isinstance(meant, str) else meant
    return tuple(dict.fromkeys(model for one in each for model in expanded(one, aliases)))


def modelless(row: Listed, embeds: bool) -> str:
    """The sentence for a provider whose default model nobody knows."""
    name = row.provider.name
    reason, detail = row.absent()
    if reason is not None:
        return f"{name} {detail}"
    kind = "embedding model" if embeds else "default model"
    return f"no {kind} of {name} is known; name one as {name}/MODEL"


def may_be_asked(row: Listed) -> bool:
    provider = row.provider
    real = not provider.by_name_only and not provider.base_url.startswith("mock:")
    return row.enabled and provider.local and real and not row.chosen


def from_package(name: str, settings: Settings, keys: Keys, environ: Mapping[str, str]) -> Listed:
    return listed(own_rows.read(name, settings), settings, keys, environ)


def listed(row: Provider, settings: Settings, keys: Keys, environ: Mapping[str, str]) -> Listed:
    name = row.name
    said = settings.providers.get(name, ProviderSettings())
    provider = addressed(row, said, environ)
    key = keys.for_provider(provider)
    if key is not None and key.name in provider.bearer_env:
        provider = replace(provider, auth="bearer")
    signed_with, problem = signing(provider, key, environ)
    if signed_with:
        # Credentials that lie there for other work are no order to spend: without a section of its
        # own in the configuration, the provider answers only when it is named.
        ambient = name not in settings.providers
        provider = replace(provider, key_required=False, by_name_only=ambient)
    return Listed(
        provider=provider,
        enabled=said.enabled,
        key=key,
        key_command=key_commands.words(said.key_command),
        priority=said.priority,
        chosen=said.models or ((provider.setup.alias,) if provider.setup else ()),
        defaults=said.defaults,
        cost_multiplier=said.cost_multiplier,
        use_for=said.use_for,
        weight=said.weight,
        allowance=Allowance(rpm=said.rpm, tpm=said.tpm, rpd=said.rpd),
        problem=keys.problems.get(name, "") or problem,
        signed_with=signed_with,
    )


def signing(row: Provider, key: Key | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where the AWS credentials seem to be that sign requests in place of a key, and why they
    cannot."""
    if row.auth != "aws" or key is not None:
        return "", ""
    source = aws_profile.source(environ)
    if source is None:
        wanted = f"set {' or '.join((*row.key_env, aws_profile.PROFILE, aws_profile.VARIABLE))}"
        return "", f"has no key and there are no AWS credentials; {wanted}"
    if not aws_profile.library_installed():
        return "", f"cannot sign with {source}; {aws_profile.INSTALL}, or {how_to_key(row)}"
    return source, ""


def addressed(row: Provider, said: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """The row in the region and at the address its variables name, unless the user's file names
    them."""
    if said.region is None:
        regions = [environ.get(variable, "").strip() for variable in row.region_env]
        if row.auth == "aws":
            regions.append(aws_profile.region(environ) or "")
        row = replace(row, region=next(filter(None, regions), row.region))
    if said.base_url is not None:
        return row
    for variable in row.url_env:
        value = environ.get(variable, "").strip()
        if value:
            try:
                return catalog.located(row, value)
            except ValueError:
                raise ConfigError(f"{variable} holds no address; write host:port.") from None
    return row
