"""What was spent, as the ledger's totals give it and as a user reads it."""

import csv
import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from seats import budget, rows, scripted, write_config

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.budgets import Window
from roundhouse_mcp.server.ledger.records import AttemptRow, CallRow, finish
from roundhouse_mcp.server.ledger.reservations import presume, reserve
from roundhouse_mcp.server.ledger.store import Ledger

Run = Callable[..., Result]
NOW = time.time()
CALL = CallRow(
    call_id="c1",
    tool="complete",
    server="s",
    client="editor",
    project="/p",
    status="ok",
    started=NOW,
    ended=NOW,
    provider="openai",
    model="gpt-4o",
)
GOOD = AttemptRow(
    call_id="c1",
    n=2,
    provider="openai",
    model="gpt-4o",
    started=NOW,
    ended=NOW,
    outcome="ok",
    input_tokens=1_000,
    output_tokens=500,
    cost_nano=4_000_000,
    cost_kind="actual",
)
BROKEN = replace(GOOD, n=1, outcome="interrupted", cost_nano=1_000_000, cost_kind="estimated")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def go(line: str) -> Result:
        env = {"ROUNDHOUSE_HOME": str(home)}
        return CliRunner().invoke(command_line(), line.split(), env=env)

    return go


def keep(home: Path, *ended: tuple[CallRow, list[AttemptRow]]) -> None:
    with closing(Ledger(home)) as ledger:
        for call, attempts in ended:
            ledger.write_blocking(finish, call, attempts)


def test_money_is_reported_with_what_fallbacks_cost_extra(run: Run, home: Path) -> None:
    write_config(home)
    keep(home, (CALL, [BROKEN, GOOD]))

    said = json.loads(run("cost --by provider --json").output)
    shown = run("cost").output

    assert said["totals"]["cost_usd"] == 0.005
    assert said["totals"]["failed_usd"] == 0.001
    assert "of which attempts that failed: $0.001000" in shown
    assert "openai gpt-4o" in shown


def test_calls_are_grouped_by_how_they_ended(run: Run, home: Path) -> None:
    write_config(home)
    unpriced = replace(GOOD, call_id="c2", cost_nano=None, cost_kind="unknown")
    presumed = replace(GOOD, call_id="c3", outcome="timed_out", cost_kind="presumed")
    keep(
        home,
        (CALL, [BROKEN, GOOD]),
        (replace(CALL, call_id="c2"), [unpriced]),
        (replace(CALL, call_id="c3", status="timeout"), [presumed]),
        (replace(CALL, call_id="c4", status="refused", provider=None, model=None), []),
    )

    said = json.loads(run("cost --by status --json").output)

    groups = {group["status"]: group for group in said["groups"]}
    assert {status: group["calls"] for status, group in groups.items()} == {
        "ok": 2,
        "timeout": 1,
        "refused": 1,
    }
    assert groups["ok"]["cost_usd"] == 0.005
    assert (said["totals"]["unpriced_calls"], said["totals"]["presumed_calls"]) == (1, 1)
    for other in ("cost --json", "cost --by client --json"):  # every rollup has the same sums
        assert said["totals"] == json.loads(run(other).output)["totals"]


def test_days_are_those_of_the_users_clocks(run: Run, home: Path) -> None:
    write_config(home)
    file = home / "config.toml"
    file.write_text('timezone = "Asia/Tokyo"\n' + file.read_text("utf-8"), "utf-8")
    late = datetime(2026, 3, 1, 20, tzinfo=UTC).timestamp()
    keep(home, (replace(CALL, ended=late), [replace(GOOD, ended=late)]))

    said = run("cost --since 2026-03-01 --until 2026-03-05 --by day --json").output

    assert [group["day"] for group in json.loads(said)["groups"]] == ["2026-03-02"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_calculates_no_name(run: Run, home: Path, name: str) -> None:
    write_config(home)
    keep(home, (replace(CALL, task=name), [GOOD]))

    rows = list(csv.DictReader(run("cost --by task --csv").output.splitlines()))

    assert rows[0]["task"] == f"'{name}"
    assert rows[0]["cost_usd"] == "0.004"


def test_local_calls_are_compared_with_a_cloud(run: Run, home: Path) -> None:
    write_config(home, '[prices."openai/dear"]\ninput = "1"\noutput = "2"\n')
    here = replace(GOOD, provider="ollama", model="qwen3", cost_nano=0)
    keep(home, (CALL, [here]), (replace(CALL, call_id="c2"), [replace(GOOD, call_id="c2")]))

    said = json.loads(run("cost --as openai/dear --json").output)["local_as"]
    shown = run("cost --as openai/dear").output

    assert (said["input_tokens"], said["output_tokens"]) == (1_000, 500)
    assert said["cost_usd"] == 0.002
    assert "at openai/dear $0.002000" in shown
    assert run("cost --as openai/gpt-99").exit_code == 2


def test_budgets_are_shown_with_what_they_have_left(run: Run, home: Path) -> None:
    write_config(home, budget("5.00", period="month"))
    keep(home)

    assert run("cost").exit_code == 0
    assert "0 calls" in run("cost").output


HELD = 3_000_000


def presumed(home: Path) -> None:
    """A call that was presumed to cost $0.003, in one budget."""
    window = Window(
        budget="global/total",
        scope="global",
        period="total",
        start=0.0,
        end=None,
        limit_nano=5_000_000_000,
        warn_at=0.8,
        at_limit="refuse",
    )
    lost = replace(GOOD, n=1, outcome="timed_out", cost_nano=HELD, cost_kind="presumed")
    with closing(Ledger(home)) as ledger:
        ledger.write_blocking(
            reserve,
            reservation="r1",
            call_id="c1",
            attempt=1,
            owner="o",
            amount_nano=HELD,
            windows=[window],
            now=NOW,
            lease_until=NOW + 60,
        )
        ledger.write_blocking(presume, "r1", NOW)
        ledger.write_blocking(finish, replace(CALL, status="timeout"), [lost])


def spent(home: Path) -> int:
    return rows(home, "SELECT spent_nano FROM budget_windows")[0]["spent_nano"]


def test_a_bill_that_is_known_later_corrects_budgets_and_reports(run: Run, home: Path) -> None:
    write_config(home)
    presumed(home)

    said = run("reconcile c1 --cost 0.001 --why invoice")
    report = json.loads(run("cost --json").output)

    assert said.exit_code == 0
    assert "$0.003 is now $0.001; budgets that follow: 1" in said.output
    assert spent(home) == 1_000_000
    assert rows(home, "SELECT delta_nano, why FROM adjustments") == [
        {"delta_nano": -2_000_000, "why": "invoice"}
    ]
    assert rows(home, "SELECT cost_nano FROM attempts") == [{"cost_nano": HELD}]
    totals = report["totals"]
    assert (totals["cost_usd"], totals["presumed_usd"], totals["presumed_calls"]) == (0.001, 0, 0)
    assert (report["adjustments"], report["adjusted_usd"]) == (1, -0.002)
    for by in ("status", "task"):
        assert json.loads(run(f"cost --by {by} --json").output)["totals"] == totals


def test_a_correction_can_be_corrected_and_repeated(run: Run, home: Path) -> None:
    write_config(home)
    presumed(home)

    for usd in ("0.001", "0.002", "0.002", "0.004"):
        assert run(f"reconcile c1 --cost {usd}").exit_code == 0

    assert spent(home) == 4_000_000
    assert rows(home, "SELECT count(*) n FROM adjustments") == [{"n": 3}]
    assert json.loads(run("cost --json").output)["totals"]["cost_usd"] == 0.004


def test_a_correction_says_which_attempt_it_means(run: Run, home: Path) -> None:
    write_config(home)
    unpriced = replace(GOOD, cost_nano=None, cost_kind="unknown")
    keep(home, (CALL, [BROKEN, unpriced]))

    several = run("reconcile c1 --cost 1")
    none = run("reconcile c1 --cost 1 --attempt 7")
    done = run("reconcile c1 --cost 0.5 --attempt 2")
    totals = json.loads(run("cost --json").output)["totals"]

    assert "Name one with --attempt: 1 (openai/gpt-4o), 2 (openai/gpt-4o)" in several.output
    assert "has no attempt 7" in none.output
    assert "unknown is now $0.50" in done.output
    assert (totals["cost_usd"], totals["unpriced_calls"]) == (0.501, 0)


@pytest.mark.parametrize("cost", ["much", "-1", "NaN", "1e12"])
def test_a_correction_is_an_amount(run: Run, home: Path, cost: str) -> None:
    write_config(home)
    keep(home, (CALL, [GOOD]))

    assert run(f"reconcile c1 --cost {cost}").exit_code == 2
    assert rows(home, "SELECT count(*) n FROM adjustments") == [{"n": 0}]


def test_the_cost_table_shows_every_rate_and_where_it_is_from(run: Run, home: Path) -> None:
    price = '[prices."one/m"]\ninput = "1.5"\noutput = "6"\nper_request = "0.005"\n'
    write_config(home, scripted("one", price=None), price)

    heading, row, *_ = run("models --prices").output.splitlines()

    assert heading.endswith("in       out    cached  to cache  from")
    assert " ".join(row.split()) == "one/m 1.5 6 1.5 1.5 config, and $0.005 a request"
