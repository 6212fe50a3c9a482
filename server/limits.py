"""What becomes of a plan when a budget is at its limit. Pure.

A budget is at its limit for a call when it has no room for what would have been tried first. Then
its `at_limit` decides who may take the call instead:

refuse     whatever else fits, in its usual order
cheapest   whatever else fits, the cheapest for this very call first
local      only what runs on this machine
ask        whatever else fits; where nothing does, somebody is asked (approvals.py)

A model the call names is replaced only under `cheapest` and `local`: these the user set so that
work goes on. A provider it names, and the models of a task or rule with `only`, are never replaced;
nor is a model that embeds, since vectors of two models do not compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .candidates import Candidate, Excluded, Plan
from .reasons import Reason
from .settings import AtLimit
from .strategies import cheapest, ordered

STAND_IN = 3  # the group of offers that nobody meant, and that fit
STRICTEST: Sequence[AtLimit] = ("local", "cheapest", "ask", "refuse")
REPLACING: frozenset[AtLimit] = frozenset({"local", "cheapest"})
OVER: Reason = "over_budget"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A candidate whose worst case has no room; `short` are the budgets that lack it."""

    candidate: Candidate
    excluded: Excluded
    short: Mapping[str, AtLimit]

    @property
    def policy(self) -> tuple[AtLimit, str]:
        """What its budgets say, the strictest first, and which of them says so."""
        found = min(self.short.items(), key=lambda pair: (STRICTEST.index(pair[1]), pair[0]))
        return found[1], found[0]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The candidates that remain, in order, and those that must stay out."""

    ranked: list[Candidate]
    excluded: list[Excluded]
    budget: str | None = None


def first_unfit(kept: Sequence[Candidate], unfit: Sequence[Unfit], strategy: str) -> Unfit | None:
    """What would have been tried first, if only a budget keeps it out."""
    if not unfit:
        return None
    of_candidate = {id(each.candidate): each for each in unfit}
    everyone = [*kept, *(each.candidate for each in unfit)]
    return of_candidate.get(id(ordered(everyone, strategy)[0]))


def choose(kept: Sequence[Candidate], unfit: Sequence[Unfit], strategy: str) -> Chosen:
    """Puts what fits in order, as the budget that is at its limit says."""
    first = first_unfit(kept, unfit, strategy)
    policy, budget = first.policy if first else ("refuse", None)
    if policy == "cheapest":
        return Chosen(cheapest(kept), [], budget)
    if policy == "local":
        here = [c for c in kept if c.offer.private == "local"]
        out = [not_here(c, first) for c in kept if first and c.offer.private != "local"]
        return Chosen(ordered(here, strategy), out, budget)
    return Chosen(ordered(kept, strategy), [], None)


def not_here(candidate: Candidate, first: Unfit) -> Excluded:
    budget = first.policy[1]
    return Excluded(
        provider=candidate.offer.provider.name,
        model=candidate.offer.model,
        reason=OVER,
        detail=f"is not on this machine, and budget {budget} is at its limit (at_limit = local)",
        until=first.excluded.until,
        budget=budget,
        needed_nano=first.excluded.needed_nano,
    )


def asked_about(unfit: Sequence[Unfit], strategy: str) -> tuple[Candidate | None, str | None]:
    """The first that the user may allow, and the tightest budget it lacks: every budget without
    room has to be one that asks."""
    able = {id(u.candidate): u for u in unfit if set(u.short.values()) == {"ask"}}
    if not able:
        return None, None
    first = ordered([u.candidate for u in able.values()], strategy)[0]
    return first, able[id(first)].excluded.budget


def replaceable(plan: Plan) -> bool:
    """Is nothing left but what a budget keeps out, so that others are worth a look?"""
    return not plan.candidates and any(each.reason == OVER for each in plan.excluded)


def stood_in(named: Plan, wider: Plan, policies: Mapping[str, AtLimit]) -> Plan:
    """The plan for what was named, with those that fit beside it: to take its place where its
    budget says so, else to be told of. `wider` is the plan with every model on offer."""
    replacing = {policies.get(e.budget) for e in named.excluded if e.budget} & REPLACING
    fitting = tuple(cheapest(c for c in wider.candidates if c.offer.group == STAND_IN))
    if "local" in replacing:
        fitting = tuple(c for c in fitting if c.offer.private == "local")
    if not replacing:
        return replace(named, fitting=fitting)
    budget = next(e.budget for e in named.excluded if policies.get(e.budget or "") in REPLACING)
    stand_ins = tuple(replace(c, why=f"fits budget {budget}") for c in fitting)
    return replace(named, candidates=stand_ins, at_limit=budget)


def notices(plan: Plan, chosen: Candidate) -> list[str]:
    """What a caller is told whose own model was replaced."""
    if plan.at_limit is None or chosen.offer.group != STAND_IN:
        return []
    first = next(each for each in plan.excluded if each.reason == OVER)
    return [
        f"{first.provider}/{first.model} does not fit budget {plan.at_limit}: "
        f"{chosen.offer.provider.name}/{chosen.offer.model} took the call"
    ]
