"""Asking the user in their own client (elicitation), whichever protocol era it speaks.

Since 2026-07-28 a result says what is to be asked, and the client comes back with the answer;
before, the server asks while the call waits. A client that cannot ask, or whose user closes the
question without choosing, leaves the answer to `roundhouse approve`.
"""

import logging
from typing import TYPE_CHECKING, Any

from mcp.server.elicitation import AcceptedElicitation, CancelledElicitation
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from pydantic import BaseModel, Field

from .approvals import NeedsApproval
from .ledger import approval_rows

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from .calls import Asks
    from .desk import Desk

logger = logging.getLogger(__name__)

AFTERWARDS = "2026-07-28"  # since this protocol a result asks
KEY = "approval"


class Consent(BaseModel):
    allow: bool = Field(title="Allow it", description="It is paid from your account.")


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "allow": {
            "type": "boolean",
            "title": "Allow it",
            "description": "It is paid from your account.",
        }
    },
    "required": ["allow"],
}


def can_ask(ctx: "Context[Any, Any]") -> bool:
    """Whether the client says that it shows forms; one that names no mode does."""
    said = ctx.client_capabilities
    elicitation = said.elicitation if said is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


async def way(desk: "Desk", ctx: "Context[Any, Any]") -> "Asks":
    """How this client asks its user; an answer that it brings along is noted first."""
    number = answered_number(ctx)
    if number is not None and not await note(desk, ctx, number):
        return None
    if not can_ask(ctx):
        return None
    version = ctx.protocol_version
    if version is not None and version >= AFTERWARDS:
        return "afterwards"

    async def ask(question: str) -> bool | None:
        try:
            said = await ctx.elicit(question, Consent)
        except (MCPError, ValueError) as error:
            logger.warning("the client did not ask its user: %s", type(error).__name__)
            return None
        if isinstance(said, CancelledElicitation):
            return None
        return isinstance(said, AcceptedElicitation) and said.data.allow

    return ask


def answered_number(ctx: "Context[Any, Any]") -> int | None:
    state = ctx.request_state or ""
    answered = ctx.input_responses is not None and KEY in ctx.input_responses
    return int(state) if answered and state.isdecimal() and len(state) < 19 else None


async def note(desk: "Desk", ctx: "Context[Any, Any]", number: int) -> bool:
    """Writes the answer down; a question closed without choosing stays open. Whether the client
    may ask another: a provider was allowed, and a budget may still be in the way."""
    said = (ctx.input_responses or {})[KEY]
    if not isinstance(said, ElicitResult) or said.action == "cancel":
        return False
    allowed = said.action == "accept" and (said.content or {}).get("allow") is True
    client, now = desk.client_of(ctx).name, desk.clock()
    asked = await desk.ledger.read(approval_rows.find, number)
    if asked is None or asked.client != client:
        return False
    by = f"the user of {client}"
    await desk.ledger.write(approval_rows.answer, number, approved=allowed, by=by, now=now)
    return allowed and asked.is_first_use


def asked_for(needed: NeedsApproval) -> InputRequiredResult:
    """The result that has the client ask its user."""
    form = ElicitRequestFormParams(message=needed.question, requested_schema=SCHEMA)
    return InputRequiredResult(
        input_requests={KEY: ElicitRequest(params=form)}, request_state=str(needed.number)
    )
