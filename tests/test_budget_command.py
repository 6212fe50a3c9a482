"""`roundhouse budget`: what it shows, and what it changes in config.toml."""

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result
from seats import budget, scripted, seated, stripped

from roundhouse_mcp.server.commands.root import root

Run = Callable[[str], Result]
FILE = """\
# My own words.
timezone = "UTC"

[[budgets]] # the one for everything
scope = "global"
limit_usd = "5" # a day
at_limit = "ask"

[[budgets]]
scope = "client:cursor"
period = "month"
limit_usd = "20"

[routing]
fallback = true # kept
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(line: str) -> Result:
        env = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path)}
        return CliRunner().invoke(root, ["budget", *line.split()], env=env)

    return go


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def test_a_budget_is_changed_with_its_comments_kept(run: Run, config: Path) -> None:
    done = run("set global 7.50 --at-limit local")

    assert done.output == "Budget global/day is $7.50.\n"
    said = config.read_text()
    assert said == FILE.replace('"5"', '"7.50"').replace('"ask"', '"local"')


def test_a_budget_may_hold_what_calls_probably_cost(run: Run, config: Path) -> None:
    assert run("set global 5 --reserve expected").exit_code == 0
    refused = run("set global 5 --reserve guess")

    assert 'reserve = "expected"' in config.read_text()
    assert "'guess' is not one of 'bound', 'expected'" in refused.output


def test_a_new_budget_is_added_after_the_others(run: Run, config: Path) -> None:
    assert run("set provider:openai $3 --period week --warn-at 0.5").exit_code == 0

    said = json.loads(run("list --json").output)
    assert [each["budget"] for each in said] == [
        "global/day",
        "client:cursor/month",
        "provider:openai/week",
    ]
    assert said[-1]["limit_usd"] == 3.0
    assert all(line in config.read_text() for line in FILE.splitlines())


def test_the_first_budget_makes_the_file(run: Run, tmp_path: Path) -> None:
    assert run("list").output.startswith("No budgets. Set one with: ")
    assert run("set global 5").exit_code == 0

    assert '[[budgets]]\nscope = "global"' in (tmp_path / "config.toml").read_text()


def test_a_budget_written_on_one_line_is_found_too(run: Run, config: Path) -> None:
    config.write_text('budgets = [{ scope = "global", limit_usd = "5" }]\n')

    assert run("set global 6").exit_code == 0
    assert run("set task:code 1").exit_code == 0

    said = json.loads(run("list --json").output)
    assert [(each["budget"], each["limit_usd"]) for each in said] == [
        ("global/day", 6.0),
        ("task:code/day", 1.0),
    ]


def test_budgets_are_removed_one_by_one(run: Run, config: Path) -> None:
    assert run("remove client:cursor --period month").output.endswith("month is gone.\n")
    assert run("remove global").exit_code == 0

    assert "budgets" not in config.read_text()
    assert "fallback = true # kept" in config.read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("set global much", "'much' is no sum of dollars"),
        ("set global NaN", "'NaN' is no sum of dollars"),
        ("set everything 5", "Nothing was changed."),
        ("set global 5 --warn-at 7", "Nothing was changed."),
        ("set global 5 --period year", "'year' is not one of"),
        ("remove global --period month", "There is no budget global/month in the file"),
    ],
)
def test_a_mistake_changes_nothing(run: Run, config: Path, line: str, words: str) -> None:
    done = run(line)

    assert done.exit_code == 2
    assert words in done.output
    assert config.read_text() == FILE


def test_the_list_shows_what_was_spent_and_when_it_begins_anew(tmp_path: Path, run: Run) -> None:
    async def spend() -> None:
        one = scripted("one", "text=Yes.", price=("1000", "1000"))
        async with seated(tmp_path, one, budget("5", period="day"), budget("9")) as seat:
            await seat.said("complete", prompt="Hi", max_tokens=300)

    anyio.run(spend)
    lines = run("list").output.splitlines()

    assert lines[0].split() == [
        "budget",
        "spent",
        "reserved",
        "limit",
        "resets",
        "in",
        "pace",
        "at",
        "limit",
    ]
    day, total = (line.split() for line in lines[1:])
    assert (day[0], day[2], day[3]) == ("global/day", "$0.00", "$5.00")
    assert day[1] != "$0.00"
    assert total[4] == "never"
    assert all(len(line) <= 110 for line in lines)
