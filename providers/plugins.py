"""Wires and providers that other installed packages bring, found by their entry points.

    roundhouse_mcp.wires        name -> a module or object with a wire's functions (wire.py)
    roundhouse_mcp.providers    name -> a CodeFactory, usually a class

Looking which packages there are imports none of them; that happens when one is used. What has a
name of ours, or shares its name with another package, is not used. docs/extending.md is the
contract.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from . import catalog
from .catalog import Provider
from .types import Call, Chunk, EmbedCall, Embedding

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from .probe import Probe

Kind = Literal["wire", "provider"]

logger = logging.getLogger(__name__)

GROUPS: Mapping[Kind, str] = {
    "wire": "roundhouse_mcp.wires",
    "provider": "roundhouse_mcp.providers",
}
METHODS = ("stream", "embed", "health")
# Of a row, what only the user may say: who may be trusted with a prompt that must not leave, and
# which package answers.
USERS_WORD = ("local", "retention", "plugin", "setup")


class CodeProvider(Protocol):
    """A provider that is code instead of a wire and an address. It raises the UpstreamErrors of
    errors.py; anything else it raises is Garbled."""

    def stream(self, call: Call, *, model: str, key: str | None) -> AsyncIterator[Chunk]:
        """The answer's pieces as they come. The last one has `done`."""
        ...

    async def embed(self, call: EmbedCall, *, model: str, key: str | None) -> Embedding: ...

    async def health(self, key: str | None) -> "Probe":
        """Is it there, and which models does it have? Costs nothing."""
        ...


class CodeFactory(Protocol):
    """What the entry point of a provider names. ROW is a row as in catalog.toml, without address
    and wire. It is called with the row as the user has it, once for each row of theirs."""

    @property
    def ROW(self) -> Mapping[str, Any]: ...

    def __call__(self, provider: Provider) -> CodeProvider: ...


class Broken(LookupError):
    """A package is there and cannot be used. The message never repeats what its code said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point. `package` is the name and version of what brings it; `unusable` says why it
    is not used whatever its code does."""

    kind: Kind
    name: str
    package: str
    entry: "EntryPoint"
    unusable: str = ""


@lru_cache
def installed(kind: Kind) -> Mapping[str, Plugin]:
    """What the packages of this environment bring, by name."""
    from importlib.metadata import entry_points

    found: dict[str, Plugin] = {}
    try:
        entries = list(entry_points(group=GROUPS[kind]))
    except (OSError, ValueError) as error:
        logger.warning("installed packages cannot be listed: %s", type(error).__name__)
        return found
    for entry in entries:
        plugin = Plugin(kind=kind, name=entry.name, package=package(entry), entry=entry)
        if (other := found.get(entry.name)) is not None:
            plugin = unusable(plugin, f"{other.package} brings one of that name, too")
        elif entry.name in builtin(kind):
            plugin = unusable(plugin, f"Roundhouse has a {kind} of that name itself")
        found[entry.name] = plugin
    return found


def package(entry: "EntryPoint") -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package"


def unusable(plugin: Plugin, why: str) -> Plugin:
    return Plugin(
        kind=plugin.kind, name=plugin.name, package=plugin.package, entry=plugin.entry, unusable=why
    )


@lru_cache
def builtin(kind: Kind) -> frozenset[str]:
    if kind == "provider":
        return frozenset(catalog.shipped_rows())
    files = catalog.SHIPPED.with_name("wires").glob("*.py")
    return frozenset(file.stem for file in files) - {"__init__"}


def names(kind: Kind) -> frozenset[str]:
    """The names packages add to ours."""
    return frozenset(installed(kind)) - builtin(kind)


def load(kind: Kind, name: str, check: Callable[[Any], str]) -> Any:
    """What the entry point names, imported now if it never was. Raises LookupError where no
    package brings it, and Broken where `check` says what is wrong with it."""
    plugin = installed(kind).get(name)
    if plugin is None:
        raise LookupError(f"there is no {kind} named {name}")
    problem = plugin.unusable
    if not problem:
        found, problem = imported(kind, name)
        problem = problem or looked_at(found, check)
        if not problem:
            return found
    raise Broken(f"the {kind} {name} of {plugin.package}: {problem}")


def looked_at(found: Any, check: Callable[[Any], str]) -> str:
    try:
        return check(found)
    except Exception as error:  # a stranger's attributes may raise anything
        return f"looking at it failed ({type(error).__name__})"


@lru_cache
def imported(kind: Kind, name: str) -> tuple[Any, str]:
    """The object, or why there is none. A module that failed once is not tried again."""
    try:
        return installed(kind)[name].entry.load(), ""
    except ModuleNotFoundError as error:
        return None, f"there is no module {error.name}"
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything
        return None, f"importing it failed ({type(error).__name__})"


def row(name: str) -> Provider:
    """The provider's own row: what it says of itself. Raises LookupError and Broken."""
    factory = factory_of(name)
    try:
        return checked(name, factory.ROW)
    except Exception as error:  # a stranger's mapping may raise anything
        package = installed("provider")[name].package
        raise Broken(
            f"the provider {name} of {package}: its ROW is not valid: {told(error)}"
        ) from None


def checked(name: str, given: Mapping[str, Any]) -> Provider:
    """The row with every field of its type. Raises whatever a wrong one leads to."""
    from pydantic import TypeAdapter

    said = {key: value for key, value in given.items() if key not in USERS_WORD}
    embeds = "embeddings" in said.get("capabilities", ())
    said |= {"wire": "plugin", "embed_wire": "plugin" if embeds else None}
    read = catalog.provider(name, {"base_url": f"plugin://{name}", **said})
    fields = {key: value for key, value in asdict(read).items() if key != "remembered"}
    return TypeAdapter(Provider).validate_python({**fields, "plugin": name})


def told(error: Exception) -> str:
    """Which field is wrong, for a row that is data and holds no secret."""
    listed = cast("list[Mapping[str, Any]]", getattr(error, "errors", list)())
    if not listed:
        return type(error).__name__ if not isinstance(error, TypeError) else str(error)[:120]
    where = ".".join(str(part) for part in listed[0]["loc"]).replace("own_facts", "models")
    return f"{where} ({listed[0]['type']})"


def factory_of(name: str) -> CodeFactory:
    """Raises LookupError and Broken."""
    return cast("CodeFactory", load("provider", name, factory_flaw))


def factory_flaw(found: Any) -> str:
    if not callable(found):
        return "it cannot be called"
    if not isinstance(getattr(found, "ROW", None), Mapping):
        return "it has no ROW"
    return missing(found, METHODS) if isinstance(found, type) else ""


def missing(found: object, methods: tuple[str, ...]) -> str:
    absent = [name for name in methods if not callable(getattr(found, name, None))]
    return f"it has no {' and no '.join(absent)}" if absent else ""
