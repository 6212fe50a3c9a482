"""Asking the user before a project's first call to a provider, where they want that: `[approvals]
first_use = true`. What runs on this machine is never asked about.

A plan says so of the model it would try first; after it come those the user has allowed already,
and nobody is asked a second time in one call.
"""

import hashlib
from dataclasses import replace

from . import approvals
from .candidates import Candidate, Excluded, Plan, excluded
from .desk import Desk
from .errors import Declined, LedgerUnavailable
from .ledger import first_uses
from .ledger.approval_rows import FIRST_USE, Question
from .run import Run

ASKS = "the user is asked before this project's first call to it"


class NotApproved(Declined):
    """The user does not want this provider to have calls of this project, or said nothing yet."""

    code = "not_approved"


async def marked(desk: Desk, plan: Plan) -> Plan:
    """The plan as far as the user allows it: pure but for their words, which are looked up."""
    if not desk.settings.approvals.first_use:
        return plan
    try:
        known = await desk.ledger.read(first_uses.known, desk.project)
    except LedgerUnavailable:
        known = {}
    return allowed_part(plan, known)


def allowed_part(plan: Plan, known: dict[str, bool]) -> Plan:
    kept: list[Candidate] = []
    out: list[Excluded] = []
    for candidate in plan.candidates:
        word = word_on(candidate, known)
        if word or (word is None and not kept):
            kept.append(candidate if word else asking(candidate))
        else:
            why = "was not allowed for" if word is False else "is not approved yet for"
            out.append(excluded(candidate.offer, "not_approved", f"{why} this project"))
    askable = plan.askable
    if askable is not None and not plan.candidates:
        word = word_on(askable, known)
        askable = None if word is False else askable if word else asking(askable)
    return replace(plan, candidates=tuple(kept), excluded=(*plan.excluded, *out), askable=askable)


def word_on(candidate: Candidate, known: dict[str, bool]) -> bool | None:
    if candidate.offer.private == "local":
        return True
    return known.get(candidate.offer.provider.name)


def asking(candidate: Candidate) -> Candidate:
    return replace(candidate, asks_first=True, why=f"{candidate.why}; {ASKS}")


async def allowed(run: Run, candidate: Candidate) -> bool:
    """The user's word on the provider. Raises NeedsApproval where the client asks them, and
    NotApproved where nobody answers in time."""
    provider = candidate.offer.provider.name
    approval = await approvals.decided(run, question(run, candidate), candidate)
    if approval.state == "waiting":
        raise NotApproved(
            f"the provider {provider} is new to this project, and was not approved in time",
            next_step=f"The user can allow it with `roundhouse approve {approval.id}`; then ask "
            "the same again.",
            retryable=True,
            facts=(("provider", provider), ("approval", str(approval.id))),
        )
    return approval.state == "approved"


def question(run: Run, candidate: Candidate) -> Question:
    """The same for every call of the project to this provider."""
    provider = candidate.offer.provider.name
    said = "\0".join((FIRST_USE, run.desk.project, provider, run.client.name))
    return approvals.question_about(
        run,
        candidate,
        budget=FIRST_USE,
        amount_nano=0,
        fingerprint=hashlib.blake2b(said.encode(), digest_size=16).hexdigest(),
    )


async def vetted(run: Run, plan: Plan) -> Plan:
    """The plan once the user has been asked about what it begins with, if they want that. Raises
    what `allowed` raises, and NotApproved where they allow nothing that is left."""
    first = next(iter(plan.candidates), plan.askable)
    if first is None or not first.asks_first:
        return plan
    if await allowed(run, first):
        return replace(
            plan,
            candidates=tuple(replace(c, asks_first=False) for c in plan.candidates),
            askable=None if plan.askable is None else replace(plan.askable, asks_first=False),
        )
    refused = excluded(first.offer, "not_approved", "was not allowed for this project")
    rest = tuple(c for c in plan.candidates if not c.asks_first)
    return replace(plan, candidates=rest, excluded=(*plan.excluded, refused), askable=None)
