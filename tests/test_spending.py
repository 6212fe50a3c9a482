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
from seats import budget, write_config

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.ledger.records import AttemptRow, CallRow, finish
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
    assert said["totals"] == json.loads(run("cost --json").output)["totals"]


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
