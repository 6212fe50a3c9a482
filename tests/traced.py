"""What this process tells OpenTelemetry, kept in memory while a test listens.

The API takes one provider for the life of a process, so the listening is switched, not the
provider."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider


@dataclass
class Listening(SpanProcessor):
    """`broken`: it fails at every span."""

    on: bool = False
    broken: bool = False
    spans: list[ReadableSpan] = field(default_factory=list[ReadableSpan])
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def on_end(self, span: ReadableSpan) -> None:
        if self.broken and span.kind is trace.SpanKind.CLIENT:
            raise RuntimeError("the listener fell over")
        if self.on:
            self.spans.append(span)

    @property
    def attempts(self) -> list[ReadableSpan]:
        """Our own spans, in order of their ends."""
        return [s for s in self.spans if s.instrumentation_scope.name == "roundhouse"]  # type: ignore[union-attr]

    def called(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def points(self, metric: str) -> Sequence[Any]:
        """The data points of a metric since the process began."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        ]


@cache
def listener() -> Listening:
    found = Listening()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(found)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([found.reader], shutdown_on_exit=False))
    return found


@contextmanager
def traced() -> Generator[Listening]:
    """Everything told in the block, by spans that ended in it."""
    found = listener()
    found.spans, found.on = [], True
    try:
        yield found
    finally:
        found.on = found.broken = False


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
