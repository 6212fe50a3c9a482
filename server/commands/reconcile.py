"""`roundhouse reconcile`: the true cost of a call, when its bill is known."""

import time
from contextlib import closing
from decimal import Decimal, InvalidOperation

import click

from ...providers.prices import per_million
from ..home import Home
from ..ledger import adjustments
from ..ledger.adjustments import Correction
from ..ledger.store import Ledger
from ..money import dollars
from .reading import read
from .why import one_of
from .workbench import workbench

MOST_USD = 1_000_000


@click.command()
@click.argument("call_id")
@click.option("--cost", required=True, metavar="USD", help="What it really cost.")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt, if it has several.")
@click.option("--why", default="", metavar="TEXT", help="Kept with the correction.")
def command(call_id: str, cost: str, attempt: int | None, why: str) -> None:
    """Correct what the call CALL_ID cost. The call's own row stays as it is; budgets and reports
    follow. The beginning or end of an id is enough."""
    nano = nano_of(cost)
    home: Home = workbench().home
    whole = read(home, lambda db: one_of(db, call_id.strip()), call_id)
    correction = Correction(
        call_id=whole, attempt=attempt, cost_nano=nano, why=why[:200], by="cli", now=time.time()
    )
    with closing(Ledger(home.path)) as ledger:
        done = ledger.write_blocking(adjustments.correct, correction)
    before = "unknown" if done.before_nano is None else dollars(done.before_nano)
    click.echo(
        f"Call {whole}, attempt {done.attempt}: {before} is now {dollars(nano)}; "
        f"budgets that follow: {done.windows}."
    )


def nano_of(cost: str) -> int:
    try:
        usd = Decimal(cost.strip().lstrip("$"))
    except InvalidOperation:
        raise click.BadParameter(f"{cost[:20]!r} is no amount; write it like 0.0312") from None
    if not usd.is_finite() or not 0 <= usd <= MOST_USD:
        raise click.BadParameter("it must lie between 0 and 1000000")
    return per_million(usd)
