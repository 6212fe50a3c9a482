"""One provider as this user has it: its row, key and models, and why it cannot be used, if so."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from ..providers.catalog import Provider
from ..providers.prices import runs_here
from ..providers.probe import Probe
from .allowances import UNLIMITED, Allowance
from .checks import loopback
from .keys import Key
from .reasons import Reason
from .settings import DefaultsSettings

LATEST = ":latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A provider as this user has it. `signed_with` says where the credentials seem to be that
    sign requests in place of a key. `chosen` are the models the user named; `found` is what a
    local program answered when it was last asked; None: it was not asked. `key_command` is asked
    for the key while there is none (registry.py)."""

    provider: Provider
    enabled: bool
    key: Key | None
    priority: int | None
    chosen: tuple[str, ...]
    defaults: DefaultsSettings
    cost_multiplier: Decimal
    use_for: tuple[str, ...]
    weight: float = 1.0
    allowance: Allowance = UNLIMITED
    problem: str = ""
    key_command: tuple[str, ...] = ()
    signed_with: str = ""
    broken: str = ""
    found: Probe | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models known to be there, the first one being the default."""
        if self.chosen:
            return self.chosen
        if self.found is not None and self.found.models:
            return tuple(dict.fromkeys((*self.found.loaded, *self.found.models)))
        own = (self.provider.default, *self.provider.deployments, self.provider.embedding_model)
        return tuple(dict.fromkeys(filter(None, own)))

    @property
    def default_model(self) -> str | None:
        """The chat model that runs when only the provider is named."""
        if not self.can(embeds=False):
            return None
        if self.chosen:
            return self.chosen[0]
        if self.found is not None and self.found.models:
            chat = [m for m in self.models if not self.embeds(m)]
            return chat[0] if chat else None
        return self.provider.default or next(iter(self.provider.deployments), None)

    @property
    def embedding_model(self) -> str | None:
        """The embedding model that runs when only the provider is named."""
        own = self.provider.embedding_model
        if self.chosen and not self.can(embeds=False):
            return self.chosen[0]
        if self.chosen or self.found is None or not self.found.models:
            return own or next((m for m in self.chosen if self.embeds(m)), None)
        there = self.same(own, self.found.models) if own else None
        if there:
            return there
        made = [m for m in self.models if self.embeds(m)]
        only = self.models if len(self.models) == 1 and self.provider.embed_wire else ()
        return next(iter((*made, *only)), None)

    def can(self, *, embeds: bool) -> bool:
        """Does it do this kind of work at all: embeddings, or else chat?"""
        return (self.provider.embed_wire if embeds else self.provider.wire) is not None

    def embeds(self, model: str) -> bool:
        said = self.provider.facts(model).embeddings
        if said is None and self.found is not None and model in self.found.embedding:
            return True
        return bool(said) or model == self.provider.embedding_model

    def same(self, model: str, among: Sequence[str]) -> str | None:
        """`model` as this provider writes it: local programs add `:latest`."""
        return next((m for m in (model, model + LATEST) if m in among), None)

    def named(self, model: str) -> str | None:
        """The model of that name if the provider is known to have it."""
        if exact := self.same(model, self.models):
            return exact
        if model == self.provider.embedding_model:
            return model
        if self.found is not None and self.found.models:
            return None
        patterns = [row.pattern for row in self.provider.models if row.pattern.strip("*")]
        return model if any(fnmatchcase(model, pattern) for pattern in patterns) else None

    def has_default(self, seen: Probe) -> bool | None:
        """Does the service list the model that runs when none is named? A dated name is the same
        model. None where there is no list to say so, or no such model."""
        model = self.default_model or self.embedding_model
        if model is None or not seen.models:
            return None
        return any(listed.startswith(model) or model.endswith(listed) for listed in seen.models)

    @property
    def admission(self) -> str:
        """What it is let in with, in words."""
        if self.key is not None:
            return f"key from {self.key.name}"
        return f"signed with {self.signed_with}" if self.signed_with else "no key needed"

    def loaded(self, model: str) -> bool | None:
        """Did the program say, when it was last asked, that it has this model in memory?"""
        if self.found is None or not self.found.reachable or not self.found.models:
            return None
        return self.same(model, self.found.loaded) is not None

    def smaller(self, model: str) -> list[str]:
        """A few of its models that take less room than this one, the largest first."""
        if self.found is None:
            return []
        sizes = self.found.weights
        most = sizes.get(self.same(model, tuple(sizes)) or "", 0)
        return sorted((m for m in sizes if sizes[m] < most), key=lambda m: -sizes[m])[:3]

    def absent(self) -> tuple[Reason | None, str]:
        """Why it cannot be used now at all, in words that say what would change that."""
        row = self.provider
        if not self.enabled:
            return "disabled", f"is switched off (providers.{row.name}.enabled)"
        if self.broken:
            return "disabled", f"is broken: {self.broken}"
        if not row.base_url:
            return "disabled", f"has no address; set {' or '.join(row.url_env) or 'base_url'}"
        if self.key is None and row.key_required and row.auth != "none":
            unasked = "its key_command was not asked yet" if self.key_command else ""
            return "key_missing", self.problem or unasked or f"has no key; {how_to_key(row)}"
        if "{region}" in row.base_url and not row.region:
            return "disabled", f"has no region; set {' or '.join(row.region_env) or 'region'}"
        if self.found is not None and not self.found.reachable:
            return "not_running", f"does not answer; {row.start_hint or self.found.detail}"
        return None, ""

    def is_here(self, trusted_hosts: Sequence[str], model: str) -> bool:
        """Does the model run on this machine, or on one the user trusts like it?"""
        if not runs_here(self.provider, model):
            return False
        if self.provider.plugin is not None:
            return True  # only the user's own `local = true` made it local
        url = urlsplit(self.provider.base_url)
        host = url.hostname or ""
        return url.scheme == "mock" or loopback(host) or host in trusted_hosts


def how_to_key(row: Provider) -> str:
    variables = " or ".join(row.key_env)
    command = f"run: roundhouse keys set {row.name}"
    return f"set {variables}, or {command}" if variables else command
