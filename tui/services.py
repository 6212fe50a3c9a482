"""The providers as the running servers report them, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..server.home import Home, fingerprint
from ..server.ledger import provider_rows
from ..server.ledger.driver import Connection
from ..server.ledger.provider_rows import Report, Reporter, Tested
from .clean import clean_json
from .reader import BEAT_LIMIT_S

LAST = 1_000_000  # the place of a provider without a priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What only a close look shows. Prices are nano-dollars per million tokens in and out, None
    where nobody knows them; sizes are bytes, None where the program does not say."""

    address: str = ""
    variables: tuple[str, ...] = ()
    local: bool = False
    detail: str = ""
    tasks: tuple[str, ...] = ()
    models: tuple[tuple[str, int | None, int | None], ...] = ()
    loaded: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A provider: what the server with the present configuration says of it, what each running
    server says, in the order of their start, and its last test."""

    name: str
    said: Report
    facts: Facts
    seen: tuple[tuple[Reporter, Report], ...]
    test: Tested | None = None

    @property
    def has_key(self) -> list[Reporter]:
        return [server for server, report in self.seen if report.key_from]

    @property
    def lacks_key(self) -> list[Reporter]:
        return [server for server, report in self.seen if not report.key_from]

    @property
    def keyless(self) -> bool:
        """Does it need no key, and has none anywhere?"""
        return not self.said.key_needed and not self.has_key

    @property
    def models(self) -> int | None:
        """How many models it has: as the last test heard, else as the servers know."""
        tested = self.test.models if self.test is not None and self.test.ok else None
        known = self.said.models
        return known if tested is None else max(tested, known or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panorama:
    """All reports of one moment. `servers` run, unless `living` is false: then it is the one that
    was there last. `outdated` go by another config.toml than there is now."""

    services: tuple[Service, ...] = ()
    servers: tuple[Reporter, ...] = ()
    outdated: tuple[Reporter, ...] = ()
    living: bool = False

    @property
    def configured(self) -> list[Service]:
        return [service for service in self.services if service.said.configured]

    @property
    def others(self) -> list[str]:
        return [service.name for service in self.services if not service.said.configured]

    def named(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)


def look_around(home: Home, db: Connection, now: float) -> Panorama:
    """Reads what the servers reported, and which of them go by the present config.toml."""
    reporters = provider_rows.reporters(db)
    servers = [one for one in reporters if one.ended is None and now - one.beat < BEAT_LIMIT_S]
    living = bool(servers)
    servers = servers or sorted(reporters, key=lambda one: one.beat)[-1:]
    present = fingerprint(home.config)
    outdated = [one for one in servers if living and one.config_file not in (None, present)]
    tests = {test.provider: test for test in provider_rows.tests(db)}
    return Panorama(
        services=tuple(put_together(servers, outdated, provider_rows.reports(db), tests)),
        servers=tuple(servers),
        outdated=tuple(outdated),
        living=living,
    )


def put_together(
    servers: Sequence[Reporter],
    outdated: Sequence[Reporter],
    reports: Sequence[Report],
    tests: Mapping[str, Tested],
) -> list[Service]:
    """Those that are on come first, in the order in which they are tried."""
    by_server = {one.id: one for one in servers}
    by_name: dict[str, list[tuple[Reporter, Report]]] = {}
    for report in reports:
        if report.server in by_server:
            pair = (by_server[report.server], report)
            by_name.setdefault(report.provider, []).append(pair)
    found: list[Service] = []
    for name, pairs in by_name.items():
        seen = sorted(pairs, key=lambda pair: (pair[0].started, pair[0].id))
        current = [pair for pair in seen if pair[0] not in outdated] or seen
        usable = [pair for pair in current if not pair[1].reason] or current
        said = usable[-1][1]
        facts = facts_of(said.facts)
        test = tests.get(name)
        found.append(Service(name=name, said=said, facts=facts, seen=tuple(seen), test=test))
    return sorted(found, key=order_of)


def order_of(service: Service) -> tuple[bool, int, int]:
    said = service.said
    return (not said.enabled, LAST if said.priority is None else said.priority, said.place)


def facts_of(raw: bytes) -> Facts:
    """Whatever is not as it should be is left out."""
    found = clean_json(raw)
    said = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return Facts(
        address=str(said.get("address") or ""),
        variables=words(said, "variables"),
        local=said.get("local") is True,
        detail=str(said.get("detail") or ""),
        tasks=words(said, "tasks"),
        models=tuple(
            (str(row[0]), number(row[1]), number(row[2]))
            for row in rows_in(said, "models")
            if len(row) == 3
        ),
        loaded=tuple(
            (str(row[0]), number(row[1])) for row in rows_in(said, "loaded") if len(row) == 2
        ),
    )


def rows_in(said: Mapping[str, Any], name: str) -> list[list[Any]]:
    found = said.get(name)
    rows = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("list[Any]", row) for row in rows if isinstance(row, list)]


def words(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = said.get(name)
    return tuple(map(str, cast("list[Any]", found))) if isinstance(found, list) else ()


def number(value: object) -> int | None:
    return value if isinstance(value, int) else None
