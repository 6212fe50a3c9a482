"""Which addresses telemetry may go to."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from .checks import loopback

NO_ADDRESS = "it is no address; write it like http://localhost:4318"


def collector_problem(url: str, trusted_hosts: Sequence[str]) -> str | None:
    """Why no telemetry goes to this address; None where it may. The address is not repeated."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return NO_ADDRESS
    if parts.scheme not in ("http", "https") or not host:
        return NO_ADDRESS
    if parts.username or parts.password or parts.query or parts.fragment:
        return "it holds more than an address; keys go into OTEL_EXPORTER_OTLP_HEADERS"
    if parts.scheme == "http" and not (loopback(host) or host in trusted_hosts):
        return f"plain http goes out in the open; use https, or add {host!r} to " + (
            "network.trusted_hosts"
        )
    return None
