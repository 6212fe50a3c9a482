"""Budgets as table rows and as lines of detail, with a forecast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..server import budgets
from ..server.ledger.claims import Hour
from ..server.ledger.watch import Spending, Used
from . import glyphs
from .draw import bar
from .figures import NANO, NOTHING, count_of, dollars, in_words, money, span
from .limits import REMOVED
from .reader import Snapshot, Totals
from .rows import Cells, Column, Look, Row, row_of
from .sieve import Value

SCOPE = Column(key="scope", title="SCOPE", width=14, flex=True)
WINDOW = Column(key="window", title="WINDOW", width=6)
RUNS_OUT = Column(key="out", title="RUNS OUT", width=11)
WIDE = (
    SCOPE,
    WINDOW,
    Column(key="resets", title="RESETS", width=7, align="right"),
    Column(key="spent", title="SPENT", width=8, align="right"),
    Column(key="held", title="HELD", width=7, align="right"),
    Column(key="limit", title="LIMIT", width=8, align="right"),
    Column(key="bar", title="0 %     50 %     100 %", width=22),
    Column(key="pace", title="PACE", width=6, align="right"),
    Column(key="burn", title="$/H", width=6, align="right"),
    RUNS_OUT,
    Column(key="limited", title="AT LIMIT", width=8),
)
NARROW = (
    SCOPE,
    WINDOW,
    Column(key="of", title="SPENT/LIMIT", width=14),
    Column(key="bar", title="0 %     50 %     100 %", width=22),
    RUNS_OUT,
)
TINY = (SCOPE, Column(key="of", title="SPENT/LIMIT", width=14), RUNS_OUT)
BAR_CELLS = 22
OVER = {"15m": "15 min", "6h": "6 h", "window": "this window"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`burn` in nano-dollars per hour, measured over `over`; `runs_out_s` is None when the window
    ends first, with `projected` as what it will have cost by then. `pace` above 1 spends faster
    than time goes."""

    burn: float
    over: str
    pace: float | None
    passed: float | None
    runs_out_s: float | None
    projected: float | None


def columns_for(width: int) -> tuple[Column, ...]:
    return WIDE if width >= 100 else NARROW if width >= 74 else TINY


def belongs(spending: Spending, used: Used | Hour) -> bool:
    """Does this count in the budget?"""
    return budgets.counts(
        spending.scope,
        provider=used.provider,
        model=used.model,
        task=used.task,
        client=used.client,
        project=used.project,
    )


def counted(spending: Spending, used: Iterable[Used]) -> tuple[int, int]:
    """Money and calls among these that count in the budget."""
    inside = [one for one in used if belongs(spending, one)]
    return sum(one.cost_nano for one in inside), sum(one.calls for one in inside)


def burn_rate(spending: Spending, totals: Totals, now: float) -> budgets.Burn:
    """A budget without an end has no window to take the mean of: it burns nothing then."""
    quarter_nano, quarter_calls = counted(spending, totals.quarter)
    six_hours_nano, six_hours_calls = counted(spending, totals.six_hours)
    recent = budgets.Recent(
        quarter_nano=quarter_nano,
        quarter_calls=quarter_calls,
        six_hours_nano=six_hours_nano,
        six_hours_calls=six_hours_calls,
    )
    spent_nano = spending.spent_nano if spending.window_end is not None else 0
    return budgets.burn(recent, spent_nano=spent_nano, start=spending.window_start, now=now)


def forecast(spending: Spending, totals: Totals, now: float) -> Forecast:
    burn = burn_rate(spending, totals, now)
    start, end = spending.window_start, spending.window_end
    empty_at = budgets.runs_out(
        committed_nano=committed(spending),
        limit_nano=spending.limit_nano,
        nano_per_hour=burn.nano_per_hour,
        end=end,
        now=now,
    )
    left = max(0.0, end - now) if end is not None else None
    return Forecast(
        burn=burn.nano_per_hour,
        over=OVER[burn.measured],
        pace=budgets.pace(
            spent_nano=spending.spent_nano,
            limit_nano=spending.limit_nano,
            start=start,
            end=end,
            now=now,
        ),
        passed=(now - start) / (end - start) if end is not None else None,
        runs_out_s=empty_at - now if empty_at is not None else None,
        projected=spending.spent_nano + burn.nano_per_hour * left / 3600
        if left is not None
        else None,
    )


def committed(spending: Spending) -> int:
    """What is gone and what running calls hold: the two that no new call may have."""
    return spending.spent_nano + spending.reserved_nano


def needs_look(spending: Spending, seen: Forecast) -> bool:
    """Past its warning, or about to run out with more than half spent."""
    if spending.at_limit == REMOVED:
        return False
    used = committed(spending)
    if used >= spending.limit_nano * spending.warn_at:
        return True
    return seen.runs_out_s is not None and used * 2 > spending.limit_nano


def urgency(spending: Spending, seen: Forecast) -> tuple[float, float, str]:
    """Sorts what runs out first to the top, then what is fullest."""
    full = committed(spending) / max(1, spending.limit_nano)
    lasts = seen.runs_out_s if seen.runs_out_s is not None else float("inf")
    return (lasts, -full, spending.budget)


def by_urgency(
    snapshot: Snapshot, now: float, spendings: Iterable[Spending] | None = None
) -> list[tuple[Spending, Forecast]]:
    """Those of the snapshot, or the ones given."""
    shown = snapshot.spendings if spendings is None else spendings
    seen = [(s, forecast(s, snapshot.totals, now)) for s in shown]
    return sorted(seen, key=lambda pair: urgency(*pair))


def alarms(snapshot: Snapshot, now: float) -> int:
    return sum(needs_look(s, forecast(s, snapshot.totals, now)) for s in snapshot.spendings)


def spending_row(
    spending: Spending, seen: Forecast, columns: tuple[Column, ...], look: Look
) -> Row:
    alarm = needs_look(spending, seen)
    full = committed(spending) >= spending.limit_nano
    removed = spending.at_limit == REMOVED
    tone = "dim" if removed else "err" if full else "warn" if alarm else ""
    shown = bar(
        spent=spending.spent_nano,
        held=spending.reserved_nano,
        limit=spending.limit_nano,
        passed=seen.passed,
        width=BAR_CELLS,
    )
    cells: Cells = {
        "scope": (f"{glyphs.LOOK if alarm else ' '} {spending.scope}", tone),
        "window": (spending.period, ""),
        "resets": (resets(spending, look.now), ""),
        "spent": (money(spending.spent_nano), ""),
        "held": (money(spending.reserved_nano), ""),
        "limit": (f"{spending.limit_nano / 1e9:,.2f}", ""),
        "of": (f"{dollars(spending.spent_nano)}/{spending.limit_nano / 1e9:,.2f}", ""),
        "bar": (shown, tone),
        "pace": (f"{seen.pace:.2f}×" if seen.pace is not None else NOTHING, ""),
        "burn": (f"{seen.burn / 1e9:.2f}", ""),
        "out": (runs_out(spending, seen), tone),
        "limited": (spending.at_limit, "dim" if removed else ""),
    }
    return row_of(spending.budget, cells, columns)


def resets(spending: Spending, now: float) -> str:
    return "never" if spending.window_end is None else span(spending.window_end - now)


def runs_out(spending: Spending, seen: Forecast) -> str:
    if committed(spending) >= spending.limit_nano:
        return "used up"
    if seen.runs_out_s is not None:
        return f"in {in_words(seen.runs_out_s)}"
    return "no" if seen.projected is None else f"no ≈ {seen.projected / 1e9:.2f}"


def fields_of(spending: Spending) -> dict[str, Value]:
    return {
        "budget": spending.budget,
        "scope": spending.scope,
        "period": spending.period,
        "spent": spending.spent_nano / NANO,
        "held": spending.reserved_nano / NANO,
        "limit": spending.limit_nano / NANO,
        "used": committed(spending) / max(1, spending.limit_nano),
        "state": spending.at_limit,
    }


def summary(seen: Sequence[tuple[Spending, Forecast]]) -> str:
    return f"{count_of(len(seen), 'budget')}, most urgent first · {glyphs.MARK} = time passed"
