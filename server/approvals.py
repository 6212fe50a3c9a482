"""Asking the user whether a call may exceed a budget whose `at_limit` is `ask`, and whether a
project may use a provider (first_uses.py).

The question is a row of the ledger. It can be answered in the client, where that can ask its user
(elicitation, in both protocol eras), and from outside with `roundhouse approve`, while the call
waits. An answer that comes after the call gave up is good for the same request, for ten minutes.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from . import waiting
from .candidates import Candidate, Plan
from .errors import Declined, OverBudget
from .ledger import approval_rows
from .ledger.approval_rows import Approval, Question
from .money import dollars
from .run import Run

LOOK_S = 0.25
BEFORE_DEADLINE_S = 10.0

Elicit = Callable[[str], Awaitable[bool | None]]


class NeedsApproval(Declined):
    """The client is to ask its user, and to come back with the answer to question `number`."""

    code = "approval_needed"

    def __init__(self, number: int, question: str) -> None:
        super().__init__(question, retryable=True)
        self.number = number
        self.question = question


def question_words(approval: Question) -> str:
    """The same for the same call, whatever else is spent meanwhile: clients match the answer to
    the question, letter by letter."""
    if approval.is_first_use:
        return (
            f"{approval.client} wants to send a prompt of the project {approval.project} to "
            f"{approval.provider}, for the first time. Allow this provider for this project?"
        )
    return (
        f"{approval.provider}/{approval.model} may cost up to {dollars(approval.amount_nano)}, "
        f"which budget {approval.budget} does not cover. Allow this one call?"
    )


def fingerprint(run: Run) -> str:
    said = repr((run.wish, run.asked)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(said, digest_size=16, key=run.client.name.encode()[:64]).hexdigest()


async def granted(run: Run, plan: Plan) -> Candidate | None:
    """What the user lets the call spend on; None where no budget asks. Raises OverBudget where
    they do not, or say nothing in time, and NeedsApproval where the client asks them."""
    candidate, budget = plan.askable, plan.asking
    if candidate is None or budget is None:
        return None
    question = question_about(
        run,
        candidate,
        budget=budget,
        amount_nano=candidate.bound_nano or 0,
        fingerprint=fingerprint(run),
    )
    approval = await decided(run, question, candidate)
    if approval.state != "approved":
        raise refusal(run, approval)
    run.approval = approval.id
    return replace(candidate, why=f"approved by {approval.by}, over budget {budget}")


def question_about(
    run: Run, candidate: Candidate, *, budget: str, amount_nano: int, fingerprint: str
) -> Question:
    now = run.desk.clock()
    return Question(
        call_id=run.call_id,
        budget=budget,
        client=run.client.name,
        project=run.desk.project,
        provider=candidate.offer.provider.name,
        model=candidate.offer.model,
        amount_nano=amount_nano,
        fingerprint=fingerprint,
        asked_at=now,
        waits_until=now + patience_s(run),
    )


def patience_s(run: Run) -> float:
    return max(0.0, run.remaining_s() - BEFORE_DEADLINE_S)


async def decided(run: Run, question: Question, candidate: Candidate) -> Approval:
    """The question as it is answered; still `waiting` where nobody does. Raises NeedsApproval
    where the client is to ask."""
    approval = await run.desk.ledger.write(approval_rows.ask, question)
    if approval.state != "waiting":
        return approval
    if run.asks == "afterwards":
        raise NeedsApproval(approval.id, question_words(approval))
    waiting.wait_for_user(run, candidate, approval.id)
    return await answered(run, approval, patience_s(run))


async def answered(run: Run, approval: Approval, patience_s: float) -> Approval:
    """The question as it stands when it is answered, or when time is up."""
    run.awaits = approval.id
    try:
        with anyio.move_on_after(patience_s):
            async with anyio.create_task_group() as group:
                if callable(run.asks):
                    group.start_soon(elicited, run, run.asks, approval)
                while approval.state == "waiting":
                    await anyio.sleep(LOOK_S)
                    found = await run.desk.ledger.read(approval_rows.find, approval.id)
                    approval = found or replace(approval, state="denied", by="nobody")
                group.cancel_scope.cancel()
    finally:
        run.awaits = None
        run.desk.ledger.write_soon(approval_rows.gave_up, approval.id, run.desk.clock())
    return approval


async def elicited(run: Run, ask: Elicit, approval: Approval) -> None:
    """Asks the user in their client. One who does not choose may still answer from outside."""
    said = await ask(question_words(approval))
    if said is not None:
        await run.desk.ledger.write(
            approval_rows.answer,
            approval.id,
            approved=said,
            by=f"the user of {run.client.name}",
            now=run.desk.clock(),
        )


def refusal(run: Run, approval: Approval) -> OverBudget:
    room, denied = run.rooms[approval.budget], approval.state == "denied"
    what = f"was not allowed by {approval.by}" if denied else "was not approved in time"
    command = f"roundhouse approve {approval.id}"
    return OverBudget(
        f"{approval.provider}/{approval.model} does not fit budget {approval.budget}, and {what}",
        next_step="Lower max_tokens, or name a cheaper or local model."
        if denied
        else f"The user can allow it with `{command}`; then ask the same again within 10 minutes.",
        budget=approval.budget,
        needed_nano=approval.amount_nano,
        free_nano=room.free_nano,
        resets_at=room.resets_at,
        facts=(
            ("budget", approval.budget),
            ("needed", dollars(approval.amount_nano)),
            ("left", dollars(room.free_nano)),
            ("approval", str(approval.id)),
        ),
    )
