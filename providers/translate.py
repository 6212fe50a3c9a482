"""Network exceptions in the words of errors.py. No message of theirs is passed on: they may quote
addresses, and with them queries and keys."""

import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import cast

import httpcore2
import httpx2

from . import errors
from .transport import AddressRefused

NOT_CONNECTED = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.ProxyError,
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
)
TIMED_OUT = (httpcore2.TimeoutException, httpx2.TimeoutException, TimeoutError)
BROKEN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpx2.NetworkError,
    httpx2.ProtocolError,
)
WRONG_ADDRESS = (
    httpcore2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
)


class Progress:
    """How far a request came, which decides what an exception means."""

    def __init__(self) -> None:
        self.began = False
        self.complete = False


FOREIGN = (
    AddressRefused,
    UnicodeEncodeError,
    httpcore2.LocalProtocolError,
    *NOT_CONNECTED,
    *WRONG_ADDRESS,
    *TIMED_OUT,
    *BROKEN,
)


@contextmanager
def translated(provider: str, progress: Progress) -> Generator[None]:
    """Raises the UpstreamError that a network exception is; other exceptions pass."""
    try:
        yield
    except FOREIGN as error:
        raise meaning(error, provider, progress) from None


def meaning(error: Exception, provider: str, progress: Progress) -> errors.UpstreamError:
    """What one of the FOREIGN exceptions says, in our words."""
    if isinstance(error, AddressRefused):
        return errors.Misdirected(provider, f"{error}; nothing was sent")
    if isinstance(error, NOT_CONNECTED):
        return unconnected(provider, error)
    if isinstance(error, WRONG_ADDRESS):
        return errors.Misdirected(provider, "its base_url is not valid")
    if isinstance(error, httpcore2.LocalProtocolError | UnicodeEncodeError):
        return errors.Misdirected(provider, "one of its headers is not valid")
    return late(provider, progress) if isinstance(error, TIMED_OUT) else cut(provider, progress)


def unconnected(provider: str, error: Exception) -> errors.UpstreamError:
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return errors.Misdirected(
                provider,
                "the server's certificate is not valid; network.ca_file adds your own",
            )
        if isinstance(cause, ConnectionRefusedError):
            return errors.Unreachable(provider, "the connection was refused; nothing was sent")
    slow = isinstance(error, httpcore2.ConnectTimeout | httpx2.ConnectTimeout)
    how = "did not succeed in time" if slow else "failed"
    return errors.Unreachable(provider, f"connecting {how}; nothing was sent")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it came from, and the members of groups on the way."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions


def late(provider: str, progress: Progress) -> errors.UpstreamError:
    if progress.began:
        return errors.Interrupted(provider, "the answer stalled")
    return errors.TimedOut(provider, "no answer began in time")


def cut(provider: str, progress: Progress) -> errors.UpstreamError:
    if progress.began:
        return errors.Interrupted(provider, "the connection broke in the middle of the answer")
    return errors.Interrupted(provider, "the connection broke before an answer began")
