"""Traces and metrics leave for the collector the user names, and for no other."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from seats import rows, scripted, started, write_config
from upstream import Script, Upstream, answer, silence, upstream

from roundhouse_mcp.server import config
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.exporting import secrets, targets
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.settings import NetworkSettings, Settings, TelemetrySettings

pytestmark = pytest.mark.anyio
ONE = scripted("one", "text=All%20is%20well.")
TAKEN = answer("", kind="application/x-protobuf")
HERE = "http://localhost:4318"
FAR = "https://collector.test"


def to(server: Upstream) -> str:
    return f'[telemetry]\notlp_endpoint = "{server.url.removesuffix("/v1")}"\n'


async def one_call(home: Path, script: Script) -> Upstream:
    """A real server with a collector makes one call and is closed."""
    async with upstream(script) as collector:
        write_config(home, ONE, to(collector))
        with anyio.fail_after(20):
            async with started(home) as seat:
                await seat.said("complete", prompt="Tell me about zebras", model="one/m")
    return collector


async def test_a_process_sends_its_traces_and_metrics_before_it_leaves(tmp_path: Path) -> None:
    collector = await one_call(tmp_path, TAKEN)

    bodies = {request.path: request.body for request in collector.posts}
    spans = [span for path in collector.posts for span in spans_in(path.path, path.body)]
    by_name = {span.name: span for span in spans}
    assert by_name["chat m"].parent_span_id == by_name["tools/call complete"].span_id
    names = {
        metric.name
        for resource in ExportMetricsServiceRequest.FromString(
            bodies["/v1/metrics"]
        ).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= names
    assert all(b"roundhouse" in request.body for request in collector.posts)
    assert not any(b"ebras" in request.body for request in collector.posts)


def spans_in(path: str, body: bytes) -> list[Span]:
    if path != "/v1/traces":
        return []
    return [
        span
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


async def test_a_collector_that_says_nothing_holds_nobody_up(tmp_path: Path) -> None:
    await one_call(tmp_path, silence)

    (call,) = rows(tmp_path, "SELECT status FROM calls")
    (server,) = rows(tmp_path, "SELECT ended FROM servers")
    assert call["status"] == "ok"
    assert server["ended"] is not None


def settings(endpoint: str | None = None, *trusted: str) -> Settings:
    return Settings(
        telemetry=TelemetrySettings(otlp_endpoint=endpoint),
        network=NetworkSettings(trusted_hosts=trusted),
    )


@pytest.mark.parametrize(
    ("endpoint", "environ", "expected"),
    [
        (None, {}, {}),
        (HERE, {}, {"traces": f"{HERE}/v1/traces", "metrics": f"{HERE}/v1/metrics"}),
        (HERE, {"OTEL_SDK_DISABLED": "true"}, {}),
        (HERE, {"OTEL_METRICS_EXPORTER": "none"}, {"traces": f"{HERE}/v1/traces"}),
        (None, {"OTEL_TRACES_EXPORTER": "otlp"}, {"traces": f"{HERE}/v1/traces"}),
        (
            HERE,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{FAR}/", "OTEL_TRACES_EXPORTER": "none"},
            {"metrics": f"{FAR}/v1/metrics"},
        ),
        (
            None,
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{FAR}/in"},
            {"traces": f"{FAR}/in"},
        ),
        (None, {"OTEL_SERVICE_NAME": "mine"}, {}),
    ],
)
def test_each_signal_goes_where_the_user_says(
    endpoint: str | None, environ: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    found = targets(settings(endpoint), environ)

    assert found.urls == expected
    assert found.problems == ()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "must be otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "it must be http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.test"}, "network.trusted_hosts"),
    ],
)
def test_a_wish_that_cannot_be_met_is_explained(environ: Mapping[str, str], reason: str) -> None:
    found = targets(settings(HERE), {"OTEL_METRICS_EXPORTER": "none", **environ})

    assert found.urls == {}
    (problem,) = found.problems
    assert problem.startswith("traces are not sent: ")
    assert reason in problem


def test_a_trusted_collector_may_be_spoken_to_in_the_open() -> None:
    open_air = "http://collector.test"

    assert targets(settings(open_air, "collector.test"), {}).urls["traces"].startswith(open_air)


def test_the_keys_of_a_collector_are_known_as_secrets() -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc%3D12,x-team=me", "HEADERS": "a=b"}

    assert list(secrets(headers)) == ["abc=12", "me"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("collector", "write it like http://localhost:4318"),
        ("http://[half", "write it like http://localhost:4318"),
        ("https://me:word@collector.test", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector.test", "use https, or add 'collector.test' to network.trusted_hosts"),
    ],
)
def test_a_collector_that_cannot_be_used_is_a_mistake(
    url: str, reason: str, tmp_path: Path
) -> None:
    write_config(tmp_path, f'[telemetry]\notlp_endpoint = "{url}"\n')

    with pytest.raises(ConfigError) as caught:
        config.load(Home(tmp_path), {})

    assert "telemetry.otlp_endpoint" in str(caught.value)
    assert reason in str(caught.value)
    assert "word" not in str(caught.value)
