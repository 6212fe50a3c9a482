"""Costs as table rows, as a picture above them, and as lines of detail."""

from collections.abc import Sequence
from datetime import date, timedelta

from ..server import bars
from .costs import Costs, Measure, Sums, measured
from .draw import fit, spark, wrap
from .figures import NOTHING, count_of, dollars, money, percent, tokens
from .rows import Cells, Column, row_of
from .rows import Row as TableRow

NAMES = {"model": 22, "hour": 17, "day": 10, "status": 9}
CALLS = Column(key="calls", title="CALLS", width=7, align="right")
ERRORS = Column(key="errors", title="ERR %", width=5, align="right")
OUT = Column(key="out", title="OUT", width=6, align="right")
COST = Column(key="cost", title="COST $", width=9, align="right")
WIDE = (
    CALLS,
    ERRORS,
    Column(key="in", title="IN", width=6, align="right"),
    OUT,
    Column(key="cached", title="CACHED", width=6, align="right"),
    COST,
    Column(key="share", title="SHARE", width=17),
    Column(key="per", title="$/1k OUT", width=8, align="right"),
)
NARROW = (CALLS, ERRORS, OUT, COST, Column(key="share", title="SHARE", width=14))
TINY = (CALLS, COST, Column(key="share", title="SHARE", width=8))
HEIGHT = 8
LEGEND = 32
PARTS = 3
MOST_DAYS = 400
SIGNS = {"$": "COST", "calls": "CALLS", "tokens": "TOKENS", "errors": "ERRORS"}


def columns_for(by: Sequence[str], width: int) -> tuple[Column, ...]:
    """One column per label, then the numbers that fit."""
    numbers = WIDE if width >= 100 else NARROW if width >= 72 else TINY
    first = [
        Column(key=label, title=label.upper(), width=NAMES.get(label, 10), flex=label == by[-1])
        for label in by
    ]
    return (*first, *numbers)


def key_of(row: Sums, by: Sequence[str]) -> str:
    return " ".join(str(row[label]) for label in by)


def words_of(row: Sums, by: Sequence[str]) -> str:
    return " ".join(str(row[label]) for label in by if row[label]) or "(none)"


def cost_row(
    row: Sums, columns: tuple[Column, ...], costs: Costs, measure: Measure, *, plain: bool
) -> TableRow:
    read, wrote, nano = row["input_tokens"], row["output_tokens"], row["cost_nano"]
    part, whole = measured(row, measure), measured(costs.total, measure)
    room = next((column.width for column in columns if column.key == "share"), 8)
    drawn = fit(bars.share(part, whole, room - 7, plain=plain), room - 7) if room > 10 else ""
    unpriced = f"{money(nano)}+?" if row["unpriced"] else f"{nano / 1e9:.4f}"
    cells: Cells = {label: (str(row[label]) or NOTHING, "") for label in costs.question.by}
    cells |= {
        "calls": (f"{row['calls']:,}", ""),
        "errors": (f"{100 * row['errors'] / row['calls']:.1f}" if row["calls"] else NOTHING, ""),
        "in": (tokens(read), ""),
        "out": (tokens(wrote), ""),
        "cached": (f"{100 * row['cached_tokens'] / read:.0f} %" if read else NOTHING, ""),
        "cost": (unpriced, "warn" if row["unpriced"] else ""),
        "share": (f"{drawn}{100 * part / whole if whole else 0:5.0f} %", ""),
        "per": (f"{nano / 1e6 / wrote:.4f}" if wrote and nano else NOTHING, ""),
    }
    return row_of(key_of(row, costs.question.by), cells, columns)


def amount(value: float, measure: Measure) -> str:
    return f"{value:,.2f}" if measure == "$" else tokens(round(value))


def mark(value: float, measure: Measure) -> str:
    """On the axis."""
    if measure != "$":
        return tokens(round(value)) if value >= 1 or not value else f"{value:.1f}"
    return f"${value:,.0f}" if value >= 10 or value == int(value) else f"${value:.2g}"


def summary(costs: Costs, measure: Measure) -> str:
    total, asked = costs.total, costs.question
    where = "".join(f" · {label} {value}" for label, value in asked.where)
    return (
        f"{asked.period} (p) · by {'/'.join(asked.by)} (b) · {measure} (m){where} · "
        f"{dollars(total['cost_nano'])} · {count_of(total['calls'], 'call')} · "
        f"{tokens(total['input_tokens'])} in · {tokens(total['output_tokens'])} out"
    )


def days_of(costs: Costs) -> list[str]:
    """Every day from the first with a call, or from the beginning of the period, to today."""
    if not costs.days:
        return []
    first = date.fromisoformat(next(iter(costs.days)))
    last = max(date.fromisoformat(costs.today), first)
    count = min(MOST_DAYS, (last - first).days + 1)
    return [(last - timedelta(days=back)).isoformat() for back in range(count)][::-1]


def leading(costs: Costs, measure: Measure) -> list[str]:
    """The groups with a shade of their own: by provider where the rows are by provider and model,
    and none where the rows are times."""
    label = costs.question.by[0]
    if label in ("day", "hour"):
        return []
    sums: dict[str, float] = {}
    for row in costs.rows:
        sums[str(row[label])] = sums.get(str(row[label]), 0.0) + measured(row, measure)
    return sorted((name for name in sums if sums[name] > 0), key=lambda n: -sums[n])[:PARTS]


def parts_of(rows: Sequence[Sums], label: str, names: Sequence[str], measure: Measure):
    """What the leading groups and all others have of these rows."""
    parts = dict.fromkeys((*names, ""), 0.0)
    for row in rows:
        name = str(row.get(label, ""))
        parts[name if name in parts else ""] += measured(row, measure)
    return [*(parts[name] for name in names), parts[""]]


def picture(costs: Costs, measure: Measure, *, width: int, plain: bool) -> list[str]:
    """Stacked bars by day, and beside them what the shades mean and how the month goes."""
    names, label, days = leading(costs, measure), costs.question.by[0], days_of(costs)
    columns = [parts_of(costs.days.get(day, ()), label, names, measure) for day in days]
    drawn = bars.stacked(
        columns,
        [day[-2:] for day in days],
        height=HEIGHT,
        width=width - LEGEND - 3,
        scale=lambda value: mark(value, measure),
        plain=plain,
    )
    beside = [*legend(costs, measure, names, plain=plain), "", *pace(costs)]
    beside += [""] * (len(drawn) - len(beside))
    room = width - LEGEND - 2
    lines = [f" {fit(line, room)} {said}" for line, said in zip(drawn, beside, strict=False)]
    return ["", *lines, *notes(costs, width), ""]


def legend(costs: Costs, measure: Measure, names: Sequence[str], *, plain: bool) -> list[str]:
    shades = bars.PLAIN_SHADES if plain else bars.SHADES
    label, whole = costs.question.by[0], measured(costs.total, measure)
    sums = parts_of(costs.rows, label, names, measure)
    lines: list[str] = []
    for shade, name, value in zip(shades, [*names, "others"], sums, strict=False):
        if value > 0:
            said = "all" if not names else name or NOTHING
            lines.append(
                f"{shade} {fit(said, 14)} {amount(value, measure):>8} {percent_of(value, whole):>5}"
            )
    return lines


def percent_of(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else NOTHING


def pace(costs: Costs) -> list[str]:
    days = max(1, len(days_of(costs)))
    lines = [
        f"{'today':<16} {costs.today_nano / 1e9:>8.2f}",
        f"{'mean / day':<16} {costs.total['cost_nano'] / 1e9 / days:>8.2f}",
        f"{'month so far':<16} {costs.month_nano / 1e9:>8.2f}",
    ]
    if costs.month_goes > 0:
        ahead = costs.month_nano / 1e9 / costs.month_goes
        lines.append(f"{'at this pace':<16} {ahead:>8.2f} {costs.month_ends}")
    return lines


def small_picture(costs: Costs, measure: Measure, width: int) -> list[str]:
    """One line, for small screens."""
    days = days_of(costs)[-30:]
    values = [sum(measured(row, measure) for row in costs.days.get(day, ())) for day in days]
    if not values:
        return []
    most = max(range(len(values)), key=values.__getitem__)
    line = (
        f" {measure}/day {spark(values)}  max {amount(values[most], measure)} on {days[most][5:]},"
        f" today {costs.today_nano / 1e9:.2f}, month {costs.month_nano / 1e9:.2f}"
    )
    said = " · ".join(remarks(costs))
    return [fit(line, width), *([fit(f" {said}", width)] if said else [])]


def notes(costs: Costs, width: int) -> list[str]:
    lines = wrap(remarks(costs), width - 2, indent=1, between=" · ")
    return [f" {line}" for line in lines]


def remarks(costs: Costs) -> list[str]:
    """What is apart from the sums, or part of them and worth knowing."""
    total = costs.total
    said: list[str] = []
    if total["unpriced"]:
        said.append(f"! {count_of(total['unpriced'], 'attempt')} without a known price, not summed")
    if total["presumed_nano"]:
        said.append(f"presumed {money(total['presumed_nano'])} ({total['presumed']})")
    if total["failed_nano"]:
        said.append(f"extra for attempts that failed {money(total['failed_nano'])}")
    if costs.elsewhere is not None:
        at = costs.elsewhere
        said.append(f"free calls at {at.model} prices {at.nano / 1e9:,.2f}")
    return said


def detail_lines(row: Sums, costs: Costs) -> list[str]:
    total, nano = costs.total, row["cost_nano"]
    return [
        f"{words_of(row, costs.question.by)} · {costs.question.period}",
        f"${nano / 1e9:.4f}, {percent(nano, total['cost_nano'])} of all · "
        f"{count_of(row['calls'], 'call')}, {row['errors']:,} failed · "
        f"{count_of(row['attempts'], 'attempt')}",
        f"{row['input_tokens']:,} tokens in, of which {row['cached_tokens']:,} cached ·"
        f" {row['output_tokens']:,} out",
        f"presumed {money(row['presumed_nano'])} ({row['presumed']}) ·"
        f" extra for attempts that failed {money(row['failed_nano'])} ·"
        f" without a known price {row['unpriced']}",
    ]


def record_of(row: Sums, by: Sequence[str]) -> dict[str, object]:
    """For export: exact, the names those of `roundhouse cost --csv`."""
    return {
        **{label: row[label] for label in by},
        "calls": row["calls"],
        "errors": row["errors"],
        "attempts": row["attempts"],
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "cached_tokens": row["cached_tokens"],
        "cost_usd": row["cost_nano"] / 1e9,
        "presumed_usd": row["presumed_nano"] / 1e9,
        "presumed_calls": row["presumed"],
        "unpriced_calls": row["unpriced"],
        "failed_usd": row["failed_nano"] / 1e9,
    }


def fields_of(row: Sums, by: Sequence[str]) -> dict[str, str | float]:
    """What the filter line looks in."""
    return {
        **{label: str(row[label]) for label in by},
        "cost": row["cost_nano"] / 1e9,
        "calls": row["calls"],
        "errors": row["errors"],
        "in": row["input_tokens"],
        "out": row["output_tokens"],
    }
