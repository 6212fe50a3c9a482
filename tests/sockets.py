"""Which addresses this process asks for and connects to, seen at the lowest place there is.

An audit hook cannot be removed, so there is one per process, and it does nothing unless a test
watches. While it does, nothing gets past it to another machine.
"""

import ipaddress
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

CONNECTING = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
RESOLVING = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}


@dataclass(slots=True)
class Seen:
    """`connected` and `resolved` are hosts, loopback included; `foreign` the others among them."""

    connected: list[str] = field(default_factory=list[str])
    resolved: list[str] = field(default_factory=list[str])
    foreign: list[str] = field(default_factory=list[str])

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CONNECTING:
            address = arguments[CONNECTING[event]]
            if not isinstance(address, tuple):
                return  # of a socket in the file system, or none at all
            host = text(cast("tuple[object, ...]", address)[0])
            self.connected.append(host)
        else:
            host = text(arguments[RESOLVING[event]])
            self.resolved.append(host)
        if not here(host):
            self.foreign.append(f"{event} {host}")
            raise ConnectionRefusedError(f"a test watches: {host} is not on this machine")


class Hook:
    """What the process's one audit hook looks at."""

    seen: Seen | None = None
    installed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is not None and (event in CONNECTING or event in RESOLVING):
            self.seen.note(event, arguments)


HOOK = Hook()


def text(host: object) -> str:
    return host.decode() if isinstance(host, bytes) else "" if host is None else str(host)


def here(host: str) -> bool:
    """A loopback address, or a name that can be no other."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@contextmanager
def watched() -> Generator[Seen]:
    """What happens inside. A connection or a question that would leave the machine is refused."""
    if not HOOK.installed:
        sys.addaudithook(HOOK)
        HOOK.installed = True
    seen = HOOK.seen = Seen()
    try:
        yield seen
    finally:
        HOOK.seen = None
