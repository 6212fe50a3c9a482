"""What a scripted model does, one entry for each request it gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Says:
    """A whole answer, word by word. `delay_s` passes before the first word, `pause_s` before every
    further one. Tokens that are not given are counted from the text."""

    text: str
    delay_s: float = 0.0
    pause_s: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CallsTool:
    """The model calls one of the tools it was offered."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Fails:
    """An HTTP error. `retry_after_s` goes out as the header of that name."""

    status: int = 503
    message: str = "the script says so"
    retry_after_s: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BreaksOff:
    """An answer whose connection ends after this text, before the answer does."""

    text: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Hangs:
    """No answer at all, until the caller hangs up."""


Entry = Says | CallsTool | Fails | BreaksOff | Hangs


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the provider got it. `body` is what was sent: `messages`, `tools`,
    `max_tokens` and so on for a chat, `input` for an embedding."""

    provider: str
    model: str
    body: Mapping[str, Any]

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        return self.body.get("messages", ())

    @property
    def text(self) -> str:
        """What the user said last."""
        from ..providers.mock import last_user_text

        return last_user_text(self.messages)


def entry(said: "str | Entry") -> Entry:
    """A bare text is said as it is."""
    return Says(said) if isinstance(said, str) else said


class Script:
    """The entries of one model, taken in turn; the last one stays."""

    def __init__(self, *entries: "str | Entry") -> None:
        self.left = [entry(each) for each in entries]

    def next(self) -> Entry | None:
        """None where nothing was written: the model then repeats what it is told."""
        if len(self.left) > 1:
            return self.left.pop(0)
        return self.left[0] if self.left else None
