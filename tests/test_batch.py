"""Many completions from a file: resumable, within budgets, settled when interrupted."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from seats import budget, rows, scripted, settled, stripped, write_config

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.testing.roundhouse import Roundhouse
from roundhouse_mcp.testing.script import Fails, Hangs, Says


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_config(tmp_path / "home", scripted("steady", "text=Yes", more="concurrency = 8"))
    return tmp_path / "home"


def requests(tmp_path: Path, *lines: str | dict[str, Any]) -> Path:
    path = tmp_path / "work.jsonl"
    said = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
    return path


def ask(name: str, **arguments: Any) -> dict[str, Any]:
    return {"custom_id": name, "prompt": f"{name}?", "model": "steady/m", **arguments}


def batch(home: Path, path: Path, *options: str) -> Result:
    environ = {**stripped(), "ROUNDHOUSE_HOME": str(home)}
    return CliRunner().invoke(command_line(), ["batch", str(path), *options], env=environ)


def answers(path: Path) -> list[dict[str, Any]]:
    text = path.with_suffix(".answers.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def called(home: Path) -> list[str]:
    return [row["status"] for row in rows(home, "SELECT status FROM calls ORDER BY id")]


def test_every_line_is_answered_once_however_often_the_command_runs(
    tmp_path: Path, home: Path
) -> None:
    path = requests(tmp_path, *(ask(f"q{n}") for n in range(6)))

    first = batch(home, path, "--concurrency", "3")
    again = batch(home, path)

    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert {row["custom_id"] for row in answers(path)} == {f"q{n}" for n in range(6)}
    assert answers(path)[0]["answer"]["text"] == "Yes"
    assert called(home) == ["ok"] * 6
    assert "6 answers for $0.0000" in first.output
    assert "0 answers for $0.00" in again.output
    assert "6 were there already" in again.output
    found = rows(home, "SELECT DISTINCT client FROM calls")
    assert found == [{"client": "batch"}]


def test_bad_lines_are_told_by_their_number_and_stop_no_other(tmp_path: Path, home: Path) -> None:
    path = requests(
        tmp_path,
        ask("good"),
        "nonsense",
        "",
        "[1]",
        ask("good"),
        ask("odd", colour="red"),
        {"custom_id": "empty", "model": "steady/m"},
        ask("hot", temperature="very"),
        ask("late", call_id="01"),
        {**ask("x"), "custom_id": 5},
        {"prompt": "No name?", "model": "steady/m"},
    )

    result = batch(home, path)

    assert result.exit_code == 1
    left_out = [line for line in result.output.splitlines() if "is left out" in line]
    assert [int(line.split()[1]) for line in left_out] == [2, 4, 5, 6, 7, 8, 9, 10]
    assert "'good' is that of line 1" in left_out[2]
    assert "no argument 'colour'" in left_out[3]
    assert {row["custom_id"] for row in answers(path)} == {"good", "line-11"}


def test_a_full_budget_stops_the_batch_and_more_money_lets_it_go_on(
    tmp_path: Path, home: Path
) -> None:
    path = requests(tmp_path, *(ask(f"q{n}", max_tokens=100) for n in range(6)))
    write_config(home, scripted("steady", "text=Yes"), budget("0.00015"))

    short = batch(home, path, "--concurrency", "1")
    before = len(answers(path))
    write_config(home, scripted("steady", "text=Yes"), budget("1"))
    enough = batch(home, path)

    assert short.exit_code == 3
    assert 0 < before < 6
    assert f"{6 - before} left" in short.output
    assert "over budget" in short.output
    assert enough.exit_code == 0, enough.output
    assert f"{before} were there already" in enough.output
    assert len(answers(path)) == 6
    assert called(home).count("ok") == 6


def test_a_line_that_fails_is_asked_again_by_the_next_run(
    tmp_path: Path, roundhouse: Roundhouse
) -> None:
    path = requests(tmp_path, ask("a", model="ill"), ask("b", model="well"))
    roundhouse.script("ill", Fails(400, "no such thing"), "Better")
    roundhouse.script("well", "Fine")

    first = batch(roundhouse.home, path)
    second = batch(roundhouse.home, path)

    assert (first.exit_code, second.exit_code) == (1, 0)
    assert "line 1 (a) failed" in first.output
    assert "no such thing" in first.output
    assert "lost" not in second.output
    assert [row["answer"]["text"] for row in answers(path)] == ["Fine", "Better"]


def test_a_provider_that_says_when_it_takes_more_is_waited_for(
    tmp_path: Path, roundhouse: Roundhouse
) -> None:
    path = requests(tmp_path, ask("a", model="m"))
    roundhouse.script("m", Fails(429, retry_after_s=1), "Now")
    roundhouse.configure("[retries]\nper_provider = 1\n")

    result = batch(roundhouse.home, path)

    assert result.exit_code == 0, result.output
    assert [row["answer"]["text"] for row in answers(path)] == ["Now"]
    assert [row["status"] for row in roundhouse.calls()] == ["failed", "ok"]


def test_an_answer_of_another_request_is_kept_and_the_line_is_left_out(
    tmp_path: Path, home: Path
) -> None:
    batch(home, requests(tmp_path, ask("a")))
    path = requests(tmp_path, ask("a", max_tokens=7))

    result = batch(home, path)

    assert result.exit_code == 1
    assert "another request has an answer under its custom_id 'a'" in result.output
    assert len(answers(path)) == len(called(home)) == 1


@pytest.mark.parametrize("content", ["shopping list\n", '{"a": 1}\n'])
def test_a_file_that_is_no_batchs_output_is_left_as_it_is(
    tmp_path: Path, home: Path, content: str
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(content, encoding="utf-8")

    result = batch(home, requests(tmp_path, ask("a")), "--output", str(other))

    assert result.exit_code == 2
    assert "name another --output" in result.output
    assert other.read_text(encoding="utf-8") == content


def test_a_line_cut_by_a_crash_is_taken_off_and_asked_again(tmp_path: Path, home: Path) -> None:
    path = requests(tmp_path, ask("a"), ask("b"))
    batch(home, path)
    output = path.with_suffix(".answers.jsonl")
    output.write_bytes(output.read_bytes()[:-10])

    result = batch(home, path)

    assert result.exit_code == 0
    assert "1 had been asked before" in result.output
    assert len(answers(path)) == 2
    assert called(home) == ["ok"] * 3


def test_what_cannot_be_read_or_written_is_one_sentence(tmp_path: Path, home: Path) -> None:
    path = requests(tmp_path, ask("a"))

    absent = batch(home, tmp_path / "absent.jsonl")
    nowhere = batch(home, path, "--output", str(tmp_path / "no" / "where"))
    itself = batch(home, path, "--output", str(path))

    for result in (absent, nowhere, itself):
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1


def started(roundhouse: Roundhouse, path: Path, *options: str) -> subprocess.Popen[str]:
    command: Sequence[str] = [sys.executable, "-m", "roundhouse_mcp.server", "batch", str(path)]
    return subprocess.Popen(
        [*command, *options],
        env=roundhouse.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def half_done(roundhouse: Roundhouse, output: anyio.Path) -> None:
    """Until one answer is written and the other request has arrived at its provider."""
    with anyio.fail_after(20):
        while len(roundhouse.asked) < 2 or not (await output.stat()).st_size:
            await settled(roundhouse.home, "SELECT call_id FROM inflight")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("number", "status", "ended"),
    [(signal.SIGINT, 130, "cancelled"), (signal.SIGKILL, -signal.SIGKILL, "lost")],
)
def test_an_interrupted_batch_is_settled_and_goes_on(
    tmp_path: Path, roundhouse: Roundhouse, number: signal.Signals, status: int, ended: str
) -> None:
    path = requests(tmp_path, ask("a", model="quick"), ask("b", model="slow"))
    roundhouse.script("quick", "Done")
    roundhouse.script("slow", Hangs(), Says("At last"))

    with started(roundhouse, path) as process:
        anyio.run(half_done, roundhouse, anyio.Path(path.with_suffix(".answers.jsonl")))
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    left = batch(roundhouse.home, path)

    assert process.returncode == status
    assert ("1 left; the same command goes on" in said) == (number == signal.SIGINT)
    assert left.exit_code == 0, left.output
    assert sorted(row["answer"]["text"] for row in answers(path)) == ["At last", "Done"]
    assert sorted(called(roundhouse.home)) == sorted(["ok", "ok", ended])
    assert roundhouse.rows("SELECT id FROM reservations WHERE state = 'held'") == []
