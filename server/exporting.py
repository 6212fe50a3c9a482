"""Sends what this process tells OpenTelemetry to a collector, over OTLP/HTTP, where its user says
so: `[telemetry] otlp_endpoint`, or the standard OTEL_* variables, which win.

Needs the packages of the extra `otel`; without a collector nothing of them is imported. Whoever
has made a provider before us (opentelemetry-instrument) is left alone. A collector that does not
answer costs a background thread its patience, and nobody else anything.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from opentelemetry import metrics, trace

from .checks import loopback
from .collectors import collector_problem
from .desk import Desk
from .settings import Settings

logger = logging.getLogger(__name__)

FLUSH_S = 0.25  # at the end; clients kill a server 400 ms after they asked it to leave
DEFAULT = "http://localhost:4318"
SIGNALS = ("traces", "metrics")
PROTOCOL = "http/protobuf"
MISSING = (
    "traces and metrics are not sent, because packages are missing; "
    "install roundhouse-mcp[otel], or remove telemetry.otlp_endpoint and the OTEL_* variables"
)


class Flushing(Protocol):
    def force_flush(self, timeout_millis: int = ...) -> bool: ...


@dataclass(frozen=True, slots=True)
class Targets:
    """Where each signal goes, and why one that was wanted goes nowhere."""

    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    problems: tuple[str, ...] = ()


def targets(settings: Settings, environ: Mapping[str, str]) -> Targets:
    """By the rules of the OpenTelemetry specification, the setting counting as the least of the
    variables."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Targets()
    urls, problems = dict[str, str](), list[str]()
    for signal in SIGNALS:
        url = address(signal, settings, environ)
        if url is None:
            continue
        problem = unfit(signal, url, settings, environ)
        if problem is None:
            urls[signal] = url
        else:
            problems.append(f"{signal} are not sent: {problem}")
    return Targets(urls, tuple(problems))


def address(signal: str, settings: Settings, environ: Mapping[str, str]) -> str | None:
    """The whole address of one signal's intake, None where nobody wants it sent."""
    exporter = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
    if exporter == "none":
        return None
    if own := environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip():
        return own
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    base = base or settings.telemetry.otlp_endpoint or (DEFAULT if exporter else "")
    return f"{base.rstrip('/')}/v1/{signal}" if base else None


def unfit(signal: str, url: str, settings: Settings, environ: Mapping[str, str]) -> str | None:
    exporter = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() or "otlp"
    if exporter != "otlp":
        return f"OTEL_{signal.upper()}_EXPORTER is {exporter[:20]!r}; it must be otlp or none"
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if said := environ.get(name, "").strip():
            return None if said == PROTOCOL else f"{name} is {said[:20]!r}; it must be {PROTOCOL}"
    return collector_problem(url, settings.network.trusted_hosts)


class Exporting:
    """What sends, in threads of its own, until it is flushed for the last time."""

    def __init__(self, *parts: Flushing) -> None:
        self.parts = parts

    async def end(self) -> None:
        """Sends what is left, for a moment."""
        with anyio.move_on_after(FLUSH_S):
            await anyio.to_thread.run_sync(self.flush, abandon_on_cancel=True)

    def flush(self) -> None:
        for part in self.parts:
            part.force_flush(round(FLUSH_S * 1000))


def begin(desk: Desk) -> Exporting | None:
    """Sends from now on, if the user wants it. What is wrong with their wishes is a warning."""
    desk.redactor.meet(secrets(desk.environ))
    found = targets(desk.settings, desk.environ)
    for problem in found.problems:
        logger.warning("%s", problem)
    if not found.urls:
        return None
    try:
        return Exporting(*providers(desk, found.urls))
    except ImportError:
        logger.warning(MISSING)
    except (RuntimeError, ValueError, OSError) as error:
        logger.warning("traces and metrics are not sent: %s", type(error).__name__)
    return None


def secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """The values of the headers a collector wants: `name=value,name=value`, URL-encoded."""
    for name, said in environ.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            yield from (unquote(pair.partition("=")[2]).strip() for pair in said.split(","))


def providers(desk: Desk, urls: Mapping[str, str]) -> Iterator[Flushing]:
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create(described(desk))
    if "traces" in urls and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        spans = OTLPSpanExporter(urls["traces"], **connection(desk, urls["traces"]))
        tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracing.add_span_processor(BatchSpanProcessor(spans))
        trace.set_tracer_provider(tracing)
        yield tracing
    if "metrics" in urls and not is_made(metrics.get_meter_provider()):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        figures = OTLPMetricExporter(urls["metrics"], **connection(desk, urls["metrics"]))
        reader = PeriodicExportingMetricReader(figures)
        measuring = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        metrics.set_meter_provider(measuring)
        yield measuring


def is_made(provider: object) -> bool:
    """Has somebody set a meter provider? The API's stand-in has no public name."""
    return type(provider).__module__.startswith("opentelemetry.sdk")


def described(desk: Desk) -> dict[str, str]:
    """Which process it is; the user's variables may name the service otherwise."""
    named = desk.environ.get("OTEL_SERVICE_NAME") or (
        "service.name=" in desk.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )
    return {
        **({} if named else {"service.name": "roundhouse"}),
        "service.version": desk.user_agent.rpartition("/")[2],
        "service.instance.id": desk.server_id,
    }


def connection(desk: Desk, url: str) -> dict[str, Any]:
    """The user's certificates and proxy; what is on this machine is asked directly."""
    network = desk.settings.network
    found: dict[str, Any] = {}
    if network.ca_file is not None:
        found["certificate_file"] = str(network.ca_file)
    if network.proxy and not loopback(urlsplit(url).hostname or ""):
        import requests  # the exporter's own way out

        found["session"] = requests.Session()
        found["session"].proxies = {"http": network.proxy, "https": network.proxy}
    return found
