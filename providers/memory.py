"""Would a model fit in the memory that is free? The figures, and the sentence where it would not.

What is not known counts nothing: a model is refused only where it is sure not to fit.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GB = 1e9
SHOWN = 3
ROOT = Path("/")
UNLIMITED = 1 << 60  # the first cgroups write a huge number where there is no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The bytes a model will take: its weights, and the cache of `tokens` of context; 0 where that
    is not known."""

    weights: int
    cache: int = 0
    tokens: int = 0

    @property
    def bytes(self) -> int:
        return self.weights + self.cache


@dataclass(frozen=True, slots=True)
class Held:
    """What could be unloaded: `provider/model`, and the bytes that would come back, if known."""

    name: str
    size: int | None


def shortage(model: str, need: Need, free: int | None, held: Sequence[Held]) -> str | None:
    """Why the model does not fit, in a sentence with the figures and what could be unloaded; None
    where it fits, or nobody knows."""
    if free is None or need.bytes <= free:
        return None
    parts = f" ({gb(need.weights)} of weights and {gb(need.cache)} for {need.tokens} tokens)"
    return (
        f"{model} needs about {gb(need.bytes)}{parts if need.cache else ''} of memory, and "
        f"{gb(free)} are free; {remedy(need.bytes - free, held)}"
    )


def remedy(missing: int, held: Sequence[Held]) -> str:
    """What to unload, the one that is large enough by the least first."""
    enough = sorted((h for h in held if (h.size or 0) >= missing), key=lambda h: h.size or 0)
    others = sorted((h for h in held if h not in enough), key=lambda h: -(h.size or 0))
    named = [f"{h.name} ({gb(h.size)})" if h.size else h.name for h in (*enough, *others)]
    if not named:
        return "no model is loaded that could be unloaded; name a smaller one"
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return f"unload_model can free {', '.join(named[:SHOWN])}{more}, or name a smaller model"


def gb(size: int) -> str:
    return f"{size / GB:.1f} GB" if size >= GB / 10 else f"{size / 1e6:.1f} MB"


def free(root: Path = ROOT) -> int | None:
    """Bytes a new process of ours could take without anything being swapped out: what the kernel
    calls available, or less where a control group allows less. None where nobody can tell."""
    if root == ROOT and sys.platform != "linux":
        return None
    known = [available(root), *allowed(root)]
    return min((n for n in known if n is not None), default=None)


def available(root: Path = ROOT) -> int | None:
    found = fields(root / "proc/meminfo").get("MemAvailable:")
    return None if found is None else found * 1024


def allowed(root: Path) -> list[int]:
    """Bytes left in each control group around this process that has a limit."""
    left: list[int] = []
    for line in words(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            left += within(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            left += within(root / "sys/fs/cgroup/memory", path, *files)
    return left


def within(mount: Path, path: str, limit: str, usage: str) -> list[int]:
    """Of a group and those around it; in a container the path may not exist, and the mount is it.
    Pages of files that were read count as used, and are given up when they are needed."""
    group = mount / path.strip("/")
    around = [each for each in (group, *group.parents) if each.is_relative_to(mount)]
    left: list[int] = []
    for each in around:
        most, used = whole(words(each / limit)), whole(words(each / usage))
        if most is not None and used is not None and most < UNLIMITED:
            given_up = fields(each / "memory.stat").get("inactive_file", 0)
            left.append(max(0, most - max(0, used - given_up)))
    return left


def whole(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def fields(path: Path) -> Mapping[str, int]:
    """Lines of a name and a number."""
    parts = (line.split() for line in words(path).splitlines())
    return {p[0]: int(p[1]) for p in parts if len(p) > 1 and p[1].isdecimal()}


def words(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
