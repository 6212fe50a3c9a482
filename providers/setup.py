"""One engine of the user's, as their configuration describes it: part of its provider's row."""

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .engines import Engine

Kind = Literal["llamacpp", "mlx", "transformers", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One engine of the user's. `model` is a path or a Hugging Face id as they wrote it, `alias`
    what callers name it by; `context` is in tokens, None for the engine's own; `slots` is how many
    calls it answers at a time."""

    name: str
    kind: Kind
    model: str
    alias: str
    context: int | None = None
    slots: int = 2
    embeds: bool = False
    idle_s: float = 600.0
    start_s: float = 300.0
    allow_download: bool = False
    check_memory: bool = True
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def engine(self) -> "Engine":
        from .engines import kinds

        return kinds()[self.kind]

    @property
    def mark(self) -> str:
        """The same for the same setup: an engine started from another is not this one."""
        import hashlib

        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:16]
