"""Budgets in config.toml: set one, remove one."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import tomlkit
from tomlkit.items import AoT

from ..errors import BadRequest, NotFound
from ..home import Home
from .document import Tables, edit


def set_budget(
    home: Home, environ: Mapping[str, str], scope: str, period: str, values: Mapping[str, Any]
) -> None:
    """Sets the budget of `scope` (global, provider:NAME, ...) and `period`; values (limit_usd,
    warn_at, at_limit, reserve) that are None or absent stay as they were. Raises ConfigError, and
    then the file is as before."""
    kept = {name: value for name, value in values.items() if value is not None}

    def change(tables: Tables) -> None:
        rows = rows_in(tables)
        at = [n for n, row in enumerate(rows) if is_meant(row, scope, period)]
        for n in at[1:][::-1]:
            del rows[n]
        if at:
            rows[at[0]].update(kept)
            return
        empty = tomlkit.table() if isinstance(tables["budgets"], AoT) else tomlkit.inline_table()
        made = cast("dict[str, Any]", empty)
        made.update({"scope": scope, "period": period, **kept})
        rows.append(made)

    edit(home, environ, change)


def remove_budget(home: Home, environ: Mapping[str, str], scope: str, period: str) -> None:
    """Raises NotFound where the file has no such budget."""

    def change(tables: Tables) -> None:
        rows = rows_in(tables)
        at = [n for n, row in enumerate(rows) if is_meant(row, scope, period)]
        if not at:
            raise NotFound(
                f"there is no budget {scope}/{period} in the file",
                next_step="`roundhouse budget list` shows those there are.",
            )
        for n in at[::-1]:
            del rows[n]
        if not rows:
            del tables["budgets"]

    edit(home, environ, change)


def amount(limit: str) -> str:
    """The sum as it goes into the file: a string, so that nothing rounds it. Raises BadRequest."""
    try:
        value = Decimal(limit.removeprefix("$"))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise BadRequest(
            f"{limit[:40]!r} is no sum of dollars", next_step="Write it like 5 or 2.50."
        )
    return str(value)


def rows_in(tables: Tables) -> list[dict[str, Any]]:
    """The budgets in the file, made where there are none."""
    if "budgets" not in tables:
        tables["budgets"] = tomlkit.aot()
    return tables["budgets"]


def is_meant(row: Mapping[str, Any], scope: str, period: str) -> bool:
    return row.get("scope") == scope and row.get("period", "day") == period
