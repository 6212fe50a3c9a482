"""What a caller asks for, made from tool arguments: checked, bounded, in the words of providers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..providers.prices import NANO
from ..providers.types import Call, EmbedCall, Tool
from . import schemas
from .errors import BadRequest
from .settings import Privacy

REQUEST_BYTES = 8 * 1024 * 1024
TEXTS = 10_000
MAX_COST_USD = 1_000_000.0
Prefer = Literal["local_preferred", "cloud_preferred", "best_quality", "cheapest", "fastest"]
Tried = Literal["complete", "embed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where a call should go: what the caller named, and what they prefer."""

    tool: Tried = "complete"
    task: str | None = None
    model: str | None = None
    provider: str | None = None
    prefer: Prefer | None = None
    strategy: str | None = None
    privacy: Privacy = "any"
    max_cost_nano: int | None = None
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A checked request. `capped`: the caller set the output cap. `key`: their idempotency key."""

    wish: Wish
    call: Call
    capped: bool
    timeout_s: float | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedAsk:
    wish: Wish
    call: EmbedCall
    query: str | None = None
    timeout_s: float | None = None


def model_name(name: str | None) -> str | None:
    """Raises BadRequest for a name no model has: nothing like it goes into an address."""
    if name and not (name.isprintable() and len(name.split()) == 1):
        raise BadRequest(
            f"{name[:80]!r} is no model's name: it has spaces or control characters",
            next_step="Name it as provider/model.",
        )
    return name


def tool_choice(choice: str | None, tools: Sequence[Tool]) -> str | None:
    if choice is None:
        return None
    if not tools:
        raise BadRequest("tool_choice needs tools")
    if choice not in ("auto", "none", "required", *(tool.name for tool in tools)):
        raise BadRequest(
            f"tool_choice {choice[:60]!r} is none of auto, none, required or a tool's name"
        )
    return choice


def money(usd: float | None) -> int | None:
    """Dollars as nano-dollars. Raises BadRequest for a sum that is no sum."""
    if usd is None:
        return None
    if not math.isfinite(usd) or usd < 0 or usd > MAX_COST_USD:
        raise BadRequest(f"max_cost_usd must lie between 0 and {MAX_COST_USD:,.0f}")
    return round(usd * NANO)


def check(call: Call) -> None:
    """Raises BadRequest for what no provider could take."""
    check_size(call)
    if call.output_schema is not None:
        schemas.check(call.output_schema)


def check_size(call: Call | EmbedCall) -> None:
    """Refuses what no provider takes, before any work is done with it."""
    if isinstance(call, EmbedCall):
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in call.texts)
    else:
        size = sum(
            len(m.text.encode("utf-8", "surrogatepass")) + sum(len(i.data) for i in m.images)
            for m in call.messages
        )
    if size > REQUEST_BYTES:
        raise BadRequest(
            f"the request has {size / 1024 / 1024:.1f} MiB, the limit is {REQUEST_BYTES >> 20} MiB",
            next_step="Send less, or several smaller calls.",
        )


def embed_call(
    texts: Sequence[str],
    dimensions: int | None,
    input_type: Literal["query", "document"] | None,
    query: str | None = None,
) -> EmbedCall:
    """The texts as a call; the query is checked with them and embedded by `Calls.embed`."""
    if query is not None and not query.strip():
        raise BadRequest("the query is empty", next_step="Say what to rank by, or leave it out.")
    if not texts:
        raise BadRequest("texts is empty", next_step="Give at least one text.")
    if len(texts) > TEXTS:
        raise BadRequest(f"there are {len(texts)} texts, the limit is {TEXTS}")
    blank = next((n for n, text in enumerate(texts) if not text.strip()), None)
    if blank is not None:
        raise BadRequest(f"texts.{blank} is empty", next_step="Leave empty texts out.")
    call = EmbedCall(texts=tuple(texts), dimensions=dimensions, input_type=input_type)
    check_size(call)
    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a call would be, for planning without one."""

    prompt: str = ""
    tokens: int | None = None
    cap: int | None = None


def needs(call: Call) -> frozenset[str]:
    """What the shape of a call requires of a model."""
    wanted = {
        "images": any(message.images for message in call.messages),
        "tools": bool(call.tools),
        "schema": call.output_schema is not None,
    }
    return frozenset(need for need, is_needed in wanted.items() if is_needed)
