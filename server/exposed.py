"""Which of the tools a server shows, and what it puts before their names: as it was launched."""

import re
from dataclasses import dataclass

from .errors import ConfigError

TOOLS = (  # in the order clients list them
    "complete",
    "embed",
    "route_for_task",
    "provider_health",
    "cost_report",
    "unload_model",
)
WORD = re.compile(rf"\b({'|'.join(TOOLS)})\b")
PREFIX = re.compile(r"[A-Za-z0-9_.-]{0,40}")


@dataclass(frozen=True, slots=True)
class Exposed:
    names: tuple[str, ...] = TOOLS
    prefix: str = ""

    def written(self, text: str) -> str:
        """Our own words, with the tools in them as they are called here."""
        return WORD.sub(rf"{self.prefix}\1", text) if self.prefix else text


ALL = Exposed()


def exposed(tools: str | None, prefix: str | None) -> Exposed:
    """From the words of the command line: names separated by commas. Raises ConfigError."""
    said = tuple(name.strip() for name in (tools or "").split(",") if name.strip())
    if tools is not None and not said:
        raise ConfigError(f"--tools names no tool. There are {', '.join(TOOLS)}.")
    unknown = next((name for name in said if name not in TOOLS), None)
    if unknown is not None:
        raise ConfigError(f"There is no tool {unknown[:60]!r}. There are {', '.join(TOOLS)}.")
    if not PREFIX.fullmatch(prefix or ""):
        raise ConfigError(
            "--tool-prefix takes at most 40 letters, digits, dots, dashes and underscores."
        )
    return Exposed(tuple(name for name in TOOLS if name in said) or TOOLS, prefix or "")
