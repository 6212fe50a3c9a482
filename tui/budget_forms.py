"""What the Budgets view asks before it changes config.toml or answers a call, and doing it.

Everything that blocks runs in a thread, and says in one sentence why it could not.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..server.budgets import Budget
from ..server.errors import ConfigError, Declined
from ..server.ledger import visits
from ..server.ledger.approval_rows import Approval
from ..server.ledger.driver import Connection, Error
from ..server.ledger.gate import GateBusy
from .clean import clean
from .configured import Configured
from .dialogs import Field, Form, Values
from .figures import NANO

PERIODS = ("day", "week", "month", "total")
AT_LIMIT = ("refuse", "cheapest", "local", "ask")
KINDS = ("provider", "model", "task", "client", "project")
WARN_AT = 0.8
WRITE_S = 2.0
MOST_USD = 1e9  # the ledger counts nano-dollars in 64 bits

Done = tuple[bool, str]  # was it done, and in words
SCOPE_HINT = "global, or provider: model: task: client: project: and a name"
LIMIT_HINT = "dollars, like 5 or 2.50"
SHARE_HINT = "a share of the limit, like 0.8 or 80 %"
THEN_HINT = "refuse calls · cheapest or local models only · ask you"


def adding(home: Path, said: Configured, suggested_nano: int | None) -> Form:
    """A form for a budget there is none of yet."""
    limit = dollars_of(suggested_nano) if suggested_nano is not None else ""
    return Form(
        "Add a budget to config.toml",
        (
            Field(name="scope", label="for", value="global", hint=SCOPE_HINT, check=wrong_scope),
            Field(name="period", label="in every", kind="choice", choices=PERIODS, value="day"),
            *limit_fields(limit, WARN_AT, AT_LIMIT[0]),
        ),
        check=lambda values: already(said, values),
        save=lambda values: saved(home, values["scope"], values["period"], values),
        done="Add",
    )


def changing(home: Path, budget: Budget) -> Form:
    """A form for the limit of a budget; its scope and period are what it is."""
    return Form(
        f"Change the budget {clean(budget.id)} in config.toml",
        limit_fields(dollars_of(budget.limit_nano), budget.warn_at, budget.at_limit),
        save=lambda values: saved(home, budget.scope, budget.period, values),
    )


def limit_fields(limit: str, warn_at: float, at_limit: str) -> tuple[Field, ...]:
    return (
        Field(name="limit", label="limit", value=limit, hint=LIMIT_HINT, check=wrong_limit),
        Field(
            name="warn_at",
            label="warn at",
            value=f"{warn_at:g}",
            hint=SHARE_HINT,
            check=wrong_share,
        ),
        Field(
            name="at_limit",
            label="at the limit",
            kind="choice",
            choices=AT_LIMIT,
            value=at_limit,
            hint=THEN_HINT,
        ),
    )


def dollars_of(nano: int) -> str:
    """As one would write it: 5, 2.5, 0.25."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")


def wrong_scope(scope: str) -> str:
    kind, colon, name = scope.partition(":")
    if scope == "global" or (colon and kind in KINDS and name.strip()):
        return ""
    return f"write {SCOPE_HINT}"


def wrong_limit(limit: str) -> str:
    try:
        fine = 0 <= float(limit.removeprefix("$")) < MOST_USD
    except ValueError:
        fine = False
    return "" if fine else f"write {LIMIT_HINT}"


def wrong_share(text: str) -> str:
    share = share_of(text)
    return "" if share is not None and 0 < share <= 1 else f"write {SHARE_HINT}"


def share_of(text: str) -> float | None:
    number, percent, _ = text.partition("%")
    try:
        return float(number) / 100 if percent else float(number)
    except ValueError:
        return None


def already(said: Configured, values: Values) -> str:
    name = f"{values['scope']}/{values['period']}"
    known = any(budget.id == name for budget in said.budgets)
    return f"there is a budget {name} already; change that one" if known else ""


def saved(home: Path, scope: str, period: str, values: Values) -> str:
    """Why nothing was changed, or ""."""
    from ..server.edits import budgets as edits
    from ..server.home import Home

    def change() -> None:
        said: dict[str, Any] = {
            "limit_usd": edits.amount(values["limit"]),
            "warn_at": share_of(values["warn_at"]),
            "at_limit": values["at_limit"],
        }
        edits.set_budget(Home(home), os.environ, scope, period, said)

    return told(change)


def removed(home: Path, budget: Budget) -> Done:
    from ..server.edits import budgets as edits
    from ..server.home import Home

    wrong = told(lambda: edits.remove_budget(Home(home), os.environ, budget.scope, budget.period))
    return not wrong, wrong or f"removed the budget {budget.id}"


def told(change: Callable[[], None]) -> str:
    try:
        change()
    except Declined as declined:
        return f"{declined.message.rstrip('.')}. {declined.next_step}".strip()
    except ConfigError as error:
        return str(error)
    return ""


def answered(home: Path, number: int, *, approved: bool, now: float) -> Done:
    from ..server.ledger import verdicts

    def write(change: Callable[[Connection], Approval | None]) -> Approval | None:
        return visits.write(home / "ledger.db", home / "ledger.gate", change, wait_s=WRITE_S)

    try:
        found = verdicts.answered(write, number, approved=approved, now=now)
        return True, verdicts.outcome(found, now)
    except Declined as declined:
        return False, f"{declined.message}: it was answered, or its time is over"
    except GateBusy:
        return False, f"the ledger is busy: nobody could write for {WRITE_S:g} s; try again"
    except (Error, OSError) as error:
        return False, f"the ledger cannot be written ({error}); see roundhouse doctor"
