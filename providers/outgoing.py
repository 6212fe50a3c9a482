"""What is checked of a request before anything is sent."""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from . import errors
from .catalog import Provider

HOST = re.compile(r"[a-z0-9.-]+")
REQUEST_CAP = 8 * 1024 * 1024
REGION = re.compile(r"[a-z0-9-]+")


def located(provider: Provider) -> None:
    """Raises Misdirected for a row whose address only the user knows, and has not told."""
    if not provider.base_url:
        asked = " or ".join(provider.url_env) or "base_url"
        raise errors.Misdirected(provider.name, f"its address is not known; set {asked}")
    if "{region}" in provider.base_url and not REGION.fullmatch(provider.region or ""):
        asked = " or ".join(provider.region_env) or "region"
        raise errors.Misdirected(provider.name, f"its region is not known; set {asked}")


def usable(provider: Provider, key: str | None) -> str | None:
    """The key as given. Raises Locked for one that is missing or no header can carry."""
    if key is None:
        if provider.key_required and provider.auth not in ("aws", "none"):
            asked = " or ".join(provider.key_env) or "api_key"
            raise errors.Locked(provider.name, f"it has no key; set {asked}; nothing was sent")
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise errors.Locked(
            provider.name, "its key has characters no key has; set it again; nothing was sent"
        )
    return key


def encoded(provider: str, body: Mapping[str, Any]) -> bytes:
    try:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise errors.Refused(
            provider, "the request has characters that are not Unicode text; nothing was sent"
        ) from None
    except (TypeError, ValueError, RecursionError):
        raise errors.Faulted(provider, "its request is not JSON; nothing was sent") from None
    if len(content) > REQUEST_CAP:
        size = len(content) / 1024 / 1024
        raise errors.Refused(
            provider, f"the request has {size:.1f} MiB; the most is 8 MiB; nothing was sent"
        )
    return content


def followed(provider: Provider, address: str) -> str:
    """An address from one of the service's answers. Raises Misdirected unless it is at the row's
    own address, or at another host of the service that the row itself is at: it gets the key."""
    try:
        there, own = urlsplit(address), urlsplit(provider.base_url)
        if (there.scheme, there.netloc) == (own.scheme, own.netloc):
            return address
        plain = there.port in (None, 443) and there.username is None
    except ValueError:
        raise errors.Misdirected(
            provider.name, "its answer names an address that is none; nothing was sent there"
        ) from None
    ours = serves(provider, own.hostname or "") and serves(provider, there.hostname or "")
    if not (ours and plain and there.scheme == "https"):
        raise errors.Misdirected(
            provider.name,
            f"its answer sends us to {(there.hostname or 'no host')[:100]}, which is not known to "
            "be the service's own; nothing was sent there",
        )
    return address


def serves(provider: Provider, host: str) -> bool:
    plain = HOST.fullmatch(host) is not None
    return plain and any(fnmatchcase(host, pattern) for pattern in provider.hosts)
