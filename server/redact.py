"""The one choke point where keys are taken out of text that leaves us: results, ledger, logs."""

import base64
import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
SHORTEST = 8
MOST_FRAMES = 8
OURS = __name__.split(".")[0]
KNOWN = frozenset({OURS, "opentelemetry"})  # loggers whose words are none of the users'

# What keys look like at the services we know. Some are echoed half masked: `sk-ab12***wxyz`.
SHAPES = re.compile(
    r"""
      \bsk-[A-Za-z0-9_*-]{8,}            # OpenAI, Anthropic, DeepSeek
    | \b(?:gsk|hf|r8|tgp_v1|xai|pa)[_-][A-Za-z0-9_*-]{16,}
    | \broundhouse_[A-Za-z0-9_-]{40,}     # our own, for the server over HTTP
    | \bAIza[A-Za-z0-9_*-]{20,}
    | \bA(?:KI|SI)A[A-Z0-9]{12,}                # AWS, and its tokens that pass
    | \b(?:IQoJb3Jp|FwoGZXIv|FQoGZXIv|ABSK|bedrock-api-key-)[A-Za-z0-9+/=_*-]{16,}
    | (?i:\bbearer\s+)[A-Za-z0-9._~+/*-]{8,}=*
    | (?i:(?<=[?&]key=)|(?<=[?&]api_key=)|(?<=[?&]api-key=))[^\s&"'<>]{8,}
    """,
    re.VERBOSE,
)


class Redactor:
    """Knows every key in use, in the forms they may be echoed in."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._passing: frozenset[str] = frozenset()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Replaces the secrets known so far, but for the passing ones."""
        self._lasting = frozenset(secrets)
        self.remember()

    def meet(self, secrets: Iterable[str]) -> None:
        """Adds secrets that are made on the way, like the ones AWS gives out for an hour. May be
        called from any thread."""
        new = frozenset(secrets) - self._passing
        if new:
            self._passing |= new
            self.remember()

    def remember(self) -> None:
        """The longest forms go first."""
        known = self._lasting | self._passing
        found = {form for secret in known if telling(secret) for form in forms(secret)}
        self._forms = tuple(sorted(found, key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def text(self, text: str) -> str:
        """`text` without any key in it."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return SHAPES.sub(MASK, text)


def telling(secret: str) -> bool:
    """Is it a secret at all? Local servers take any word as a key, and words must stay readable."""
    return len(secret) >= SHORTEST and (len(secret) >= 16 or any(c.isdigit() for c in secret))


def forms(secret: str) -> Iterator[str]:
    """The secret as it is, URL-encoded, and as base64 at each of the three offsets it can have in
    a longer text (the characters that depend on its neighbours cut off)."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    raw = secret.encode()
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        start = -(-offset * 8 // 6)
        end = (offset + len(raw)) * 8 // 6
        yield coded[start:end]
        yield coded[start:end].replace("+", "-").replace("/", "_")


class RedactingFilter(logging.Filter):
    """Takes keys out of every log record, and whatever people wrote: an exception is told by its
    type and place, because its message may repeat a prompt; a record of a library we do not know
    by its place alone, for the same reason."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(record, "redacted", False):
            record.msg, record.args = self.redactor.text(message(record)), ()
            record.exc_text = place_of(record.exc_info[1]) if record.exc_info else None
            record.exc_info = record.stack_info = None
            record.redacted = True
        return True


def message(record: logging.LogRecord) -> str:
    if record.name.split(".")[0] not in KNOWN:
        return f"{record.name} reports a problem at {record.filename}:{record.lineno}"
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def place_of(error: BaseException | None) -> str:
    """`ValueError at calls.py:226 < tools.py:40`, from the inside out. None of its words."""
    if error is None:
        return ""
    frames = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return f"{type(error).__name__} at {' < '.join(frames[-MOST_FRAMES:][::-1])}"
