"""What is checked of a request before anything is sent."""

import json
from collections.abc import Mapping
from typing import Any

from . import errors
from .catalog import Provider

REQUEST_CAP = 8 * 1024 * 1024


def located(provider: Provider) -> None:
    """Raises Misdirected for a row whose address only the user knows, and has not told."""
    if not provider.base_url:
        asked = " or ".join(provider.url_env) or "base_url"
        raise errors.Misdirected(provider.name, f"its address is not known; set {asked}")


def usable(provider: Provider, key: str | None) -> str | None:
    """The key as given. Raises Locked for one that is missing or no header can carry."""
    if key is None:
        if provider.key_required and provider.auth != "none":
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
