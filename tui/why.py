"""A routing decision in words: who could take the call, what became of each, who was left out.

Decisions come from servers of any version, so every field may be missing or something else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from ..server.ledger.closeup import Tried
from . import glyphs
from .calls import short_kind
from .figures import NANO, money, span, time_of_day
from .rows import Look

CANDIDATES_TOLD = 6
ALIKE = 2
NOT_YET = "the decision is not written yet"
ADMITTED = frozenset({"circuit_open", "half_open", "cooldown", "hold"})

Data = Mapping[str, Any]


def reasons(why: Any, attempts: Sequence[Tried], look: Look, *, ended: bool) -> list[str]:
    """One part per candidate, in the order of the plan, then those passed by and left out."""
    if not isinstance(why, dict):
        return ["no decision was kept" if ended else NOT_YET]
    decision = cast("Data", why)
    passed = mappings(decision.get("passed_by"))
    candidates = mappings(decision.get("candidates"))
    told = [
        candidate_words(rank, candidate, attempts, passed, look)
        for rank, candidate in enumerate(candidates[:CANDIDATES_TOLD], 1)
    ]
    if len(candidates) > CANDIDATES_TOLD:
        told.append(f"{len(candidates) - CANDIDATES_TOLD} more after them")
    if not candidates:
        told.append(f"{glyphs.FAILED} nobody could take it")
    return [*told, *left_out(mappings(decision.get("excluded")), look)]


def candidate_words(
    rank: int, candidate: Data, attempts: Sequence[Tried], passed: Sequence[Data], look: Look
) -> str:
    """`2 openai/gpt-5: priority 2, about 0.0120 → ✗429 ✓`."""
    name = name_of(candidate)
    said = [reason_of(candidate.get("why"))]
    about = candidate.get("estimated_cost_usd")
    if isinstance(about, int | float) and about > 0:
        said.append(f"about {money(round(about * NANO))}")
    if candidate.get("circuit") not in (None, "closed"):
        said.append("tests its circuit")
    words = f"{rank} {name}: {', '.join(filter(None, said))}"
    became = [outcome for tried in attempts if (outcome := became_of(tried, name))]
    became += [skipped(each, look) for each in passed if name_of(each) == name]
    return f"{words} → {' '.join(became)}" if became else words


def became_of(tried: Tried, name: str) -> str:
    if f"{tried.provider}/{tried.model}" != name:
        return ""
    if tried.outcome == "ok":
        return glyphs.OK
    return f"{glyphs.FAILED}{tried.http_status or short_kind(tried.outcome)}"


def left_out(excluded: Sequence[Data], look: Look) -> list[str]:
    """Each with its reason; many with the same reason, such as no key, on one line."""
    by_reason: dict[str, list[Data]] = {}
    for one in excluded:
        by_reason.setdefault(str(one.get("reason")).replace("_", " "), []).append(one)
    told: list[str] = []
    for reason, members in by_reason.items():
        if len(members) > ALIKE:
            told.append(f"{glyphs.FAILED} {len(members)} others: {reason}")
        else:
            told += [excluded_words(one, look) for one in members]
    return told


def excluded_words(excluded: Data, look: Look) -> str:
    """An entry without a model is a whole group; its reason comes first."""
    why, name = skipped(excluded, look), name_of(excluded)
    said = f"{name}: {why}" if excluded.get("model") else f"{why}: {name}"
    return f"{sign_of(excluded)} {said}"


def sign_of(excluded: Data) -> str:
    return glyphs.OPEN if str(excluded.get("reason")) in ADMITTED else glyphs.FAILED


def skipped(excluded: Data, look: Look) -> str:
    """Why it was left out, and until when, as far as that is told."""
    reason = str(excluded.get("reason")).replace("_", " ")
    said = str(excluded.get("detail") or reason)
    if str(excluded.get("reason")) in ADMITTED and reason not in said:
        said = f"{reason}: {said}"
    return ", ".join(filter(None, (said, until(excluded.get("until"), look))))


def until(moment: Any, look: Look) -> str:
    """`for 19s more` while it lasts, then when it ended."""
    try:
        at = datetime.fromisoformat(str(moment)).timestamp()
    except (ValueError, OverflowError, OSError):
        return ""
    if at > look.now:
        return f"for {span(at - look.now)} more"
    return f"until {time_of_day(at, look.zone)}"


def mappings(value: Any) -> list[Data]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Data", item) for item in items if isinstance(item, dict)]


def name_of(candidate: Data) -> str:
    """Where nothing is said of the model, the provider alone."""
    provider, model = candidate.get("provider"), candidate.get("model")
    return f"{provider}/{model}" if model and model != "*" else str(provider)


def reason_of(why: Any) -> str:
    if isinstance(why, list):
        return ", ".join(str(part) for part in cast("list[Any]", why))
    return str(why or "")
