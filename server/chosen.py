"""The candidates of a running call. Where another call takes the money that a plan counted on,
they are chosen anew: the call goes where it would have gone, had the plan known."""

from collections.abc import Sequence
from dataclasses import replace

from . import approvals, first_uses, refusals
from .candidates import Candidate
from .errors import OverBudget
from .offers import demand_for, planned
from .run import Run
from .strategies import VARYING

MOST_RACES = 8  # then the plan there is must do: others spend faster than we can look


async def candidates(run: Run) -> Sequence[Candidate]:
    """What to try, in order. Raises NoRoute and OverBudget where nothing is left, and what
    `approvals.granted` and `first_uses.vetted` raise."""
    await look(run)
    assert run.plan is not None
    run.plan = await first_uses.vetted(run, run.plan)
    if not run.plan.candidates and (allowed := await approvals.granted(run, run.plan)):
        run.plan = replace(run.plan, candidates=(allowed,))
    if not run.plan.candidates:
        raise refusals.no_route(run)
    return run.plan.candidates if run.desk.settings.routing.fallback else run.plan.candidates[:1]


def overtaken(run: Run) -> bool:
    """Has another call just taken the money for what was tried last?"""
    lost = isinstance(run.refusal, OverBudget) and run.refusal is not run.raced
    return lost and run.races < MOST_RACES


async def candidates_left(run: Run) -> Sequence[Candidate]:
    """The same after a lost race. What has failed already is not tried once more; it stays in
    the plan, which tells the whole story."""
    run.raced, run.races = run.refusal, run.races + 1
    if not run.attempts:
        return await candidates(run)
    if not run.desk.settings.routing.fallback:
        return ()
    before = run.plan
    await look(run)
    assert run.plan is not None
    assert before is not None
    tried = {(attempt.provider, attempt.model) for attempt in run.attempts}
    left = [c for c in run.plan.candidates if c.offer.key not in tried and not c.asks_first]
    run.plan = replace(
        run.plan,
        candidates=(*(c for c in before.candidates if c.offer.key in tried), *left),
        excluded=tuple(e for e in run.plan.excluded if (e.provider, e.model) not in tried),
    )
    return left


async def look(run: Run) -> None:
    """Plan the call as things are now."""
    turn_written(run)
    demand = demand_for(run.desk, run.wish, asked=run.asked, capped=run.capped)
    run.local_only = demand.privacy == "local"
    made = await planned(run.desk, run.wish, demand, run.client)
    run.plan, run.windows, run.rooms = made.plan, made.windows, made.rooms
    run.turn_pending = run.plan.strategy in VARYING
    run.desk.turns_taken += run.turn_pending


def turn_written(run: Run) -> None:
    """The ledger has seen the call's turn, or never will."""
    run.desk.turns_taken -= run.turn_pending
    run.turn_pending = False
