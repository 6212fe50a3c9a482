"""What settings must satisfy together: names that exist, addresses that may be used."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..providers import catalog, plugins
from . import key_commands
from .files import too_wide
from .lines import Path
from .settings import (
    ENGINE_KEYS,
    OTHER_NAMES,
    PROGRAM_KEYS,
    STRATEGIES,
    BudgetSettings,
    ProviderSettings,
    RuleSettings,
    Settings,
    WhenSettings,
)

SECRET_HEADERS = {"authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"}
LOCAL_SCHEMES = {"http", "mock"}


class Wrong(Exception):
    """A setting that cannot be used: where it is, what is wrong with it, and the fix."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def check(settings: Settings) -> None:
    """Raises Wrong for the first thing that does not fit together."""
    check_timezone(settings.timezone)
    for name, row in settings.providers.items():
        check_provider(name, row, settings)
    names = Names(settings)
    check_routing(settings, names)
    check_roots(settings)
    for n, budget in enumerate(settings.budgets):
        check_budget(n, budget, names)
    if settings.telemetry.otlp_endpoint is not None:
        check_collector(settings.telemetry.otlp_endpoint, settings.network.trusted_hosts)


def near(name: str, known: Iterator[str] | list[str] | set[str]) -> str:
    """`; did you mean 'x'?`, or what there is."""
    names = sorted(known)
    close = get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


class Names:
    """The providers and models that can be named."""

    def __init__(self, settings: Settings) -> None:
        rows = catalog.shipped_rows()
        self.providers = {*rows, *settings.providers}
        self.settings = settings
        self.aliases = {*settings.routing.aliases}

    @cached_property
    def models(self) -> set[str]:
        """Read where a name is in doubt only: the shipped facts are long."""
        found = {p for table in catalog.all_models().values() for p in table if "/" in p}
        for row in self.settings.providers.values():
            found |= {*row.models, *row.facts, *filter(None, (row.default,))}
        return found

    def check_provider(self, name: str, path: Path) -> None:
        if name not in self.providers:
            raise Wrong(path, f"there is no provider {name!r}{near(name, self.providers)}")

    def check_model(self, name: str, path: Path) -> None:
        """A name may be a model of any provider, as long as its first part is no misspelt one."""
        head, slash, _ = name.partition("/")
        if not slash or head in self.providers or ":" in head or name in self.aliases:
            return
        if not any(fnmatchcase(name, pattern) for pattern in self.models):
            raise Wrong(
                path,
                f"there is no provider {head!r} and no provider lists a model {name!r}"
                f"{near(head, self.providers)}",
            )


def check_roots(settings: Settings) -> None:
    for n, root in enumerate(settings.files.roots):
        path = root.expanduser()
        if not path.is_absolute():
            raise Wrong(("files", "roots", n), f"{str(root)!r} is no absolute path")
        if too_wide(path.resolve()):
            raise Wrong(
                ("files", "roots", n), f"{root} holds your home directory; name a part of it"
            )


def check_timezone(name: str) -> None:
    try:
        if name != "UTC":
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Wrong(
            ("timezone",), f"{name!r} is no time zone; write one like 'Europe/Berlin'"
        ) from None


def check_routing(settings: Settings, names: Names) -> None:
    routing = settings.routing
    check_strategy(routing.strategy, ("routing", "strategy"))
    for n, item in enumerate(routing.chain):
        head = item if item in names.providers else item.replace(":", "/", 1).split("/")[0]
        names.check_provider(head, ("routing", "chain", n))
    for task, said in routing.tasks.items():
        path = ("routing", "tasks", task)
        if said.strategy:
            check_strategy(said.strategy, (*path, "strategy"))
        for n, model in enumerate(said.models):
            names.check_model(model, (*path, "models", n))
        if said.only and not said.models:
            raise Wrong((*path, "only"), "the task routes to nothing: only = true needs models")
    for alias, meant in routing.aliases.items():
        for model in (meant,) if isinstance(meant, str) else meant:
            names.check_model(model, ("routing", "aliases", alias))
        check_loop(alias, routing.aliases, ("routing", "aliases", alias))
    for n, rule in enumerate(routing.rules):
        check_rule(n, routing.rules)
        for m, model in enumerate(rule.models):
            names.check_model(model, ("routing", "rules", n, "models", m))


def check_loop(alias: str, aliases: Mapping[str, str | tuple[str, ...]], path: Path) -> None:
    """Raises Wrong for an alias that leads back to itself."""

    def walk(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            raise Wrong(path, f"the alias leads back to itself: {' -> '.join((*trail, name))}")
        meant = aliases.get(name, ())
        for each in (meant,) if isinstance(meant, str) else meant:
            walk(each, (*trail, name))

    walk(alias, ())


def check_rule(n: int, rules: Sequence[RuleSettings]) -> None:
    """Raises Wrong for a rule that no call can reach."""
    path, when = ("routing", "rules", n, "when"), rules[n].when
    if when.max_input_tokens is not None and when.max_input_tokens < when.min_input_tokens:
        raise Wrong(path, "no call has fewer tokens than max_input_tokens and more than the least")
    earlier = next((m for m in range(n) if covers(rules[m].when, when)), None)
    if earlier is not None:
        raise Wrong(path, f"no call reaches this rule: rule {earlier + 1} takes all it is for")


def covers(one: WhenSettings, other: WhenSettings) -> bool:
    """Does every call that fits `other` fit `one`?"""
    most = other.max_input_tokens
    below = one.max_input_tokens is None or (most is not None and most <= one.max_input_tokens)
    return (
        one.min_input_tokens <= other.min_input_tokens
        and below
        and set(one.needs) <= set(other.needs)
    )


def check_strategy(name: str, path: Path) -> None:
    if OTHER_NAMES.get(name, name) not in STRATEGIES:
        raise Wrong(path, f"there is no strategy {name!r}{near(name, {*STRATEGIES})}")


def check_budget(n: int, budget: BudgetSettings, names: Names) -> None:
    kind, _, name = budget.scope.partition(":")
    path = ("budgets", n, "scope")
    if kind == "provider":
        names.check_provider(name, path)
    elif kind == "model":
        names.check_model(name, path)


def check_provider(name: str, row: ProviderSettings, settings: Settings) -> None:
    path = ("providers", name)
    if ENGINE_KEYS & row.model_fields_set:
        check_engine(row, path)
    if not name or set(name) & set("/: \t\n*?[]"):
        raise Wrong(path, f"a provider's name has no slash, colon, space or wildcard: {name!r}")
    shipped = catalog.shipped_rows()
    explained = row.engine or name in shipped or ((row.wire or row.embed_wire) and row.base_url)
    if row.like is not None:
        check_like(name, row.like, settings, path)
    elif not explained:
        check_plugin(name, row, path)
    if PROGRAM_KEYS & row.model_fields_set:
        check_program(name, settings, path)
    for key in ("wire", "embed_wire"):
        check_wire(getattr(row, key), (*path, key))
    for header in row.headers:
        if header.lower() in SECRET_HEADERS:
            raise Wrong(
                (*path, "headers", header),
                f"keys are not kept here; run: roundhouse keys set {name}",
            )
    check_command(row.key_command, (*path, "key_command"))
    if row.base_url is not None:
        check_url(row.base_url, is_local(name, row), settings, (*path, "base_url"))


def check_engine(row: ProviderSettings, path: Path) -> None:
    from .engine_checks import engine_problems  # few have engines, and every start comes by here

    for key, problem in engine_problems(row):
        raise Wrong((*path, key), problem)


def check_command(command: str | tuple[str, ...] | None, path: Path) -> None:
    try:
        words = key_commands.words(command)
    except ValueError:
        raise Wrong(path, "it has a quote that is not closed") from None
    if command is not None and not (words and words[0]):
        raise Wrong(path, "it names no program; write it like ['op', 'read', 'op://…']")


def check_program(name: str, settings: Settings, path: Path) -> None:
    from .engine_checks import program_problems

    for key, problem in program_problems(name, settings):
        raise Wrong((*path, key), problem)


def check_plugin(name: str, row: ProviderSettings, path: Path) -> None:
    """A row without an address of its own is that of an installed package."""
    packaged = plugins.names("provider")
    if row.wire is None and name in packaged:
        return
    known = {*catalog.shipped_rows()} | packaged
    raise Wrong(
        path,
        f"nobody knows {name!r}; give it wire and base_url, or like, or install the package that "
        f"brings it{near(name, known)}",
    )


def check_wire(wire: str | None, path: Path) -> None:
    ours = plugins.builtin("wire")
    if wire is None or wire in ours or wire in plugins.names("wire"):
        return
    known = ours | plugins.names("wire")
    raise Wrong(path, f"there is no wire {wire!r}{near(wire, {*known})}")


def check_like(name: str, like: str, settings: Settings, path: Path) -> None:
    model = settings.providers.get(like)
    there = like in catalog.shipped_rows() or (model and model.like is None)
    if like == name or not (there or (model is None and like in plugins.names("provider"))):
        known = {*catalog.shipped_rows()} | {n for n, r in settings.providers.items() if not r.like}
        raise Wrong((*path, "like"), f"there is no provider {like!r} to copy{near(like, known)}")


def is_local(name: str, row: ProviderSettings) -> bool:
    shipped: Mapping[str, Any] = catalog.shipped_rows().get(row.like or name, {})
    return bool(shipped.get("local", False) if row.local is None else row.local)


def check_url(url: str, local: bool, settings: Settings, path: Path) -> None:
    """Keys and prompts go over https, or stay on machines the user trusts."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Wrong(path, "it is no address; write it like https://host/v1") from None
    if parts.scheme not in LOCAL_SCHEMES | {"https"} or not host:
        raise Wrong(path, f"{url[:80]!r} is no address; write it like https://host/v1")
    if parts.username or parts.password:
        raise Wrong(path, f"it holds a user name; run: roundhouse keys set {path[1]}")
    if (parts.query or parts.fragment) and parts.scheme != "mock":
        raise Wrong(path, "it ends in a query; put query parameters into the key query")
    if parts.scheme == "mock":
        check_script(parts.query, path)
    trusted = local or loopback(host) or host in settings.network.trusted_hosts
    if parts.scheme == "http" and not trusted:
        raise Wrong(
            path,
            f"plain http would send keys and prompts in the open; write https, or add {host!r} to "
            "network.trusted_hosts",
        )


def check_collector(url: str, trusted_hosts: Sequence[str]) -> None:
    from .collectors import collector_problem  # few name one

    if problem := collector_problem(url, trusted_hosts):
        raise Wrong(("telemetry", "otlp_endpoint"), problem)


def check_script(query: str, path: Path) -> None:
    from ..providers import mock  # most configurations have none

    try:
        mock.script(dict(parse_qsl(query, keep_blank_values=True)))
    except ValueError as error:
        raise Wrong(path, str(error)) from None


def loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
