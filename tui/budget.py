"""One budget looked at closely: where it stands, who holds its money, what happened to it."""

from dataclasses import dataclass

from ..server.ledger import claims
from ..server.ledger.approval_rows import Approval
from ..server.ledger.claims import DAY_H, Claim, Day, Hour
from ..server.ledger.driver import Connection
from ..server.ledger.watch import HOUR_S, BudgetEvent, Spending
from . import glyphs, questions
from .draw import spark, wrap
from .extra import Extra
from .figures import NANO, count_of, in_words, money, percent, span, time_of_day
from .holders import Holders
from .limits import REMOVED
from .reader import Snapshot
from .rows import Look
from .spending import belongs, committed, forecast, resets

HELD_LINES = 6
EVENT_LINES = 12
DAYS_EVERY_S = 30.0
STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Who holds money now, and the newest questions whether a call may exceed a budget."""

    claims: tuple[Claim, ...] = ()
    questions: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """The last seven days and the last 24 hours, those in which nothing was spent left out."""

    days: tuple[Day, ...] = ()
    hours: tuple[Hour, ...] = ()


def read_money(db: Connection, now: float) -> Money:
    return Money(claims=tuple(claims.held(db)), questions=tuple(claims.questions(db)))


def read_week(db: Connection, now: float) -> Week:
    return Week(days=tuple(claims.days(db, now)), hours=tuple(claims.hours(db, now)))


MONEY = Extra(read=read_money)
WEEK = Extra(read=read_week, every_s=DAYS_EVERY_S)


def detail_lines(
    spending: Spending,
    snapshot: Snapshot,
    money_now: Money,
    week: Week,
    holders: Holders,
    look: Look,
    width: int,
) -> list[str]:
    return [
        *standing_lines(spending, snapshot, look, width),
        *hour_lines(spending, week, look),
        *held_lines(spending, money_now, holders, look, width),
        *event_lines(spending, snapshot, money_now, holders, look),
    ]


def standing_lines(spending: Spending, snapshot: Snapshot, look: Look, width: int) -> list[str]:
    seen = forecast(spending, snapshot.totals, look.now)
    end, spent = spending.window_end, spending.spent_nano
    free = max(0, spending.limit_nano - committed(spending))
    parts = (
        (
            f"{spending.scope}, this {spending.period}" if end else f"{spending.scope}, in total",
            at_limit(spending),
            "never resets" if end is None else f"resets in {resets(spending, look.now)}",
            f"pace {seen.pace:.2f}×" if seen.pace is not None else "no end, so no pace",
        ),
        (
            f"spent {money(spent)} ({percent(spent, spending.limit_nano)})",
            f"burns {seen.burn / NANO:.4f} per hour, measured over {seen.over}",
            ends(spending, seen.runs_out_s, look),
        ),
        (
            f"held  {money(spending.reserved_nano)}",
            f"free {money(free)} of {money(spending.limit_nano)}",
            f"warns at {spending.warn_at:.0%}",
        ),
    )
    wrapped = (wrap([one for one in part if one], width, indent=0, between=" · ") for part in parts)
    return [line for lines in wrapped for line in lines]


def hour_lines(spending: Spending, week: Week, look: Look) -> list[str]:
    """One sign an hour, the last of them this hour; nothing when nothing was spent."""
    this = int(look.now // HOUR_S)
    sums = [0] * DAY_H
    for one in week.hours:
        if 0 <= this - one.hour < DAY_H and belongs(spending, one):
            sums[DAY_H - 1 - (this - one.hour)] += one.cost_nano
    if not any(sums):
        return []
    return [f"24 h  {spark(sums)} at most {money(max(sums))} in an hour"]


def at_limit(spending: Spending) -> str:
    if spending.at_limit == REMOVED:
        return "not in config.toml any more: limits nothing"
    return f"at the limit: {spending.at_limit}"


def ends(spending: Spending, runs_out_s: float | None, look: Look) -> str:
    if committed(spending) >= spending.limit_nano:
        return "used up"
    if runs_out_s is None:
        return ""
    at = time_of_day(look.now + runs_out_s, look.zone) if runs_out_s < 86_400 else ""
    return f"runs out in {in_words(runs_out_s)}" + (f", {at}" if at else "")


def held_lines(
    spending: Spending, money_now: Money, holders: Holders, look: Look, width: int
) -> list[str]:
    """The oldest first. What a dead process holds is presumed spent, never given back."""
    mine = [
        one
        for one in money_now.claims
        if (one.budget, one.window_start) == (spending.budget, spending.window_start)
    ]
    lines: list[str] = []
    for one in mine[:HELD_LINES]:
        fate = holders.fate(one.owner, look.now)
        held = f"held by {one.call_id}#{one.attempt} {money(one.amount_nano)}"
        said = [
            f"{glyphs.LOOK} {held}" if fate else held,
            f"for {span(look.now - one.created)}",
            holders.name(one.owner),
            *([fate, "what the dead hold is presumed spent"] if fate else []),
            f"{one.provider}/{one.model}",
        ]
        lines += wrap(said, width, indent=0, between=", ")
    left = mine[HELD_LINES:]
    if left:
        total = sum(one.amount_nano for one in left)
        lines.append(f"        and {count_of(len(left), 'reservation')} more, {money(total)}")
    return lines


def event_lines(
    spending: Spending, snapshot: Snapshot, money_now: Money, holders: Holders, look: Look
) -> list[str]:
    """The newest first, answers to questions among them."""
    told = [
        (event.at, event_words(event, holders))
        for event in snapshot.budget_events
        if event.budget == spending.budget
    ]
    told += questions.answers_of(money_now.questions, spending.budget, look)
    told.sort(key=lambda pair: pair[0], reverse=True)
    lines = [f"{time_of_day(at, look.zone)} {said}" for at, said in told[:EVENT_LINES]]
    return lines or ["no events: nothing warned, refused or presumed yet"]


def event_words(event: BudgetEvent, holders: Holders) -> str:
    used = event.spent_nano + event.reserved_nano
    by = holders.name(event.by)
    call = f" {event.call_id}" if event.call_id else ""
    amount = money(event.amount_nano)
    match event.kind:
        case "refused":
            free = money(max(0, event.limit_nano - used))
            return f"refused{call}: needed {amount}, free {free} ({by})"
        case "warned":
            return f"warned at {percent(used, event.limit_nano)} ({by})"
        case "presumed":
            return f"presumed spent{call}: {amount}, nobody knows what it cost ({by})"
        case "overrun":
            return f"overrun by{call}: {amount} ({by})"
        case "changed":
            return f"limit set to {amount} ({by})"
        case _:
            return f"{event.kind}{call} {amount} ({by})"


def suggestion(week: Week) -> tuple[Day, int] | None:
    """The dearest day, and a daily limit in nano-dollars that leaves half as much again, rounded
    up to 1, 2 or 5; None where nothing was spent."""
    dearest = max(week.days, key=lambda day: day.cost_nano, default=None)
    if dearest is None or dearest.cost_nano <= 0:
        return None
    wanted = max(dearest.cost_nano * 3 // 2, NANO // 100)
    ten = 10 ** (len(str(wanted)) - 1)
    return dearest, next(step * ten for step in STEPS if step * ten >= wanted)
