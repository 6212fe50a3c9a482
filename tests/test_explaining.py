"""What the commands `route`, `why` and `circuit list` say of where calls go and went."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from seats import (
    budget,
    chain,
    launch,
    rows,
    scripted,
    seated,
    served,
    settled,
    started,
    stripped,
    write_config,
)
from upstream import answer, in_turn, spoken, upstream

from roundhouse_mcp.server import explain
from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.ledger.stories import Story

NOW = 1_000_000.0
CONFIG = (
    chain("bad", "good"),
    scripted("bad", "status=503"),
    scripted("good", "text=Hello"),
    scripted("dear", price=("1000", "1000")),
    budget("0.5"),
    "[circuits]\nfailure_threshold = 1\n[retries]\nper_provider = 1\n",
)
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(line: str, *more: str) -> Result:
        env = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path)}
        return CliRunner().invoke(command_line(), [*line.split(), *more], env=env)

    return go


@pytest.fixture
def ready(run: Run, tmp_path: Path) -> Run:
    write_config(tmp_path, *CONFIG)
    return run


def candidates(plan: dict[str, Any]) -> list[str]:
    return [f"{each['provider']}/{each['model']}" for each in plan["candidates"]]


# route


def test_route_numbers_the_candidates_and_gives_every_other_a_reason(ready: Run) -> None:
    said = ready("route", "--input-tokens", "6000", "--output-tokens", "1000")

    assert said.exit_code == 0
    lines = said.output.splitlines()
    assert lines[0] == "Strategy priority:"
    assert lines[1] == "  1. bad/m: priority 0; about $0.0065, at most $0.007"
    assert lines[2] == "  2. good/m: priority 1; about $0.0065, at most $0.007"
    assert "  dear/m: over_budget, may cost $7.00, budget global/total has $0.50 left" in lines
    assert any(line.startswith("  key_missing: openai, anthropic, gemini") for line in lines)
    assert max(map(len, lines)) <= 100


def test_route_is_the_very_plan_a_call_then_executes(ready: Run) -> None:
    asked = {"prompt": "How are you?", "task": "summarization"}
    for _ in range(2):  # before the circuit of the first opens, and after
        route = json.loads(ready("route --json --task summarization", "How are you?").output)
        ready("call complete", *(f"{name}={value}" for name, value in asked.items()))
        told = json.loads(ready("why --json last").output)

        assert candidates(route) == candidates(told["decision"])
        assert route["strategy"] == told["decision"]["strategy"] == told["strategy"]
        costs = [
            [(each["estimated_cost_usd"], each["max_cost_usd"]) for each in plan["candidates"]]
            for plan in (route, told["decision"])
        ]
        assert costs[0] == costs[1]


def test_route_says_how_long_each_takes_and_until_when_others_are_left_out(ready: Run) -> None:
    ready("call complete", "prompt=Hi", "max_tokens=10")

    said = ready("route", "Hi").output

    assert "  1. good/m: priority 1; " in said
    assert " s\n" in said.split("\n")[1] + "\n"
    assert "  bad/m: circuit_open, has 1 failures in a row, last faulted, until 20" in said


def test_route_where_nothing_can_take_the_call_says_why_and_fails(ready: Run) -> None:
    said = ready("route --provider dear --max-cost 0.01 --output-tokens 1000", "Hi")

    assert said.exit_code == 1
    assert said.output.startswith("Nothing can take this call now.\nLeft out:\n  dear/m: max_cost,")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--needs tulips", "'tulips' is no need. Known: images, tools, schema"),
        ("--task cod", "Did you mean 'code'?"),
        ("--strategy bset", "Did you mean 'best'?"),
        ("--provider goodd", "There is no provider 'goodd'. Did you mean 'good'?"),
        ("--max-cost -1", "max_cost_usd must lie between"),
        ("--privacy none", "'none' is not one of"),
    ],
)
def test_route_refuses_what_makes_no_sense(ready: Run, line: str, sentence: str) -> None:
    said = ready(f"route {line}")

    assert said.exit_code == 2
    assert sentence in said.output


def test_route_understands_needs_preferences_and_privacy(ready: Run) -> None:
    tools = json.loads(ready("route --json --needs tools,images --prefer cheapest").output)
    local = ready("route --json --privacy local")

    assert tools["strategy"] == "cheapest"
    assert local.exit_code == 1
    reasons = {e["provider"]: e["reason"] for e in json.loads(local.output)["excluded"]}
    assert reasons["good"] == "privacy"


# why


def test_why_tells_the_plan_the_attempts_the_money_and_the_circuits(ready: Run) -> None:
    ready("call complete", "prompt=Hi", "max_tokens=100")

    said = ready("why last").output
    lines = said.splitlines()

    assert " ok: good/m answered, " in lines[0]
    assert lines[0].endswith(", $0.000009")
    assert lines[1].startswith("  complete for command-line 0.1.0, pid ")
    first, second, third = lines[lines.index("Where it could go, strategy priority:") + 1 :][:3]
    assert first.startswith("  1. bad/m: priority 0; about $")
    assert first.endswith(" -> faulted")
    assert second.endswith(" -> ok")
    assert third.endswith(" -> not tried")
    assert "What happened:\n  1. bad/m faulted (HTTP 503), " in said
    assert "     circuit bad/m: closed -> open (faulted)\n" in said
    assert "  2. good/m ok, " in said
    assert max(map(len, lines)) <= 100


async def test_why_tells_what_a_call_waited_for(tmp_path: Path, run: Run) -> None:
    busy = answer('{"error":{"message":"slow down"}}', status=429, retry_after="0.6")
    async with (
        upstream(in_turn(busy, spoken("Now."))) as server,
        seated(tmp_path, served("one", server.url)) as seat,
    ):
        call_id = (await seat.said("complete", prompt="Hi"))["call_id"]

    said = run("why", call_id[-8:].lower()).output

    assert "  1. one/m throttled (HTTP 429), " in said
    assert ": slow down" in said
    assert "  2. waited 0.6 s (retry-after), then one/m ok, " in said


def test_why_tells_of_a_call_that_was_refused(ready: Run) -> None:
    ready("call complete", f"prompt={'Hi ' * 500}", "model=dear/m")

    said = ready("why last").output

    assert " refused (over_budget): nothing was sent, " in said
    assert "Where it could go, strategy priority:\n  nowhere\nLeft out:\n  dear/m: " in said


async def test_why_tells_of_a_call_that_still_runs(tmp_path: Path, run: Run) -> None:
    said, pause = anyio.Event(), anyio.Event()
    lines: list[str] = []
    async with upstream(spoken("So far ", "good.", said=said, pause=pause)) as server:
        write_config(tmp_path, served("one", server.url))
        with anyio.fail_after(20):
            async with started(tmp_path) as seat, anyio.create_task_group() as group:
                group.start_soon(lambda: seat.said("complete", prompt="Hi"))
                await said.wait()
                (running,) = await settled(tmp_path, "SELECT call_id FROM inflight")
                how = launch(tmp_path)
                line = [how.command, "-m", "roundhouse_mcp.server", "why", running["call_id"]]
                lines += (await anyio.run_process(line, env=how.env)).stdout.decode().splitlines()
                pause.set()
    (call,) = rows(tmp_path, "SELECT call_id FROM calls")

    assert lines[0].startswith(f"{call['call_id']} is running: one/m, attempt 1, ")
    assert "  Its decision is kept when it ends." in lines


def test_why_finds_a_call_by_the_beginning_or_end_of_its_id(ready: Run) -> None:
    for _ in range(2):
        ready("call complete", "prompt=Hi", "max_tokens=10")
    first = json.loads(ready("why --json last").output)["call_id"]

    by_end = ready("why", first[-10:])
    several = ready("why", first[:4])
    nobody = ready("why", "100%_")

    assert by_end.output.startswith(first)
    assert several.exit_code == nobody.exit_code == 2
    assert f"'{first[:4]}' fits several calls. For example {first}, " in several.output
    assert f"There is no call '100%_'. The latest: {first} (good, ok), " in nobody.output


def test_why_without_a_ledger_or_a_call_says_so(ready: Run, tmp_path: Path) -> None:
    nothing = ready("why last")
    made = (tmp_path / "ledger.db").exists()
    (tmp_path / "ledger.db").touch()
    empty = ready("why last")
    (tmp_path / "ledger.db").write_bytes(b"certainly not a database")
    broken = ready("why last")

    assert not made
    assert "There are no calls yet." in nothing.output
    assert "There are no calls yet." in empty.output
    assert "is not a database" in broken.output
    assert (nothing.exit_code, empty.exit_code, broken.exit_code) == (2, 2, 1)


def test_why_refuses_a_ledger_of_a_version_it_cannot_read(ready: Run, tmp_path: Path) -> None:
    ready("call complete", "prompt=Hi", "max_tokens=10")
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = 99 WHERE key = 'min_reader'")

    said = ready("why last")

    assert said.exit_code == 1
    assert "was written by a newer Roundhouse" in said.output


def story(decision: str | None, **call: Any) -> Story:
    row = {
        "call_id": "01X",
        "tool": "complete",
        "client": "cursor",
        "server": "s1",
        "status": "ok",
        "started": NOW,
        "ended": NOW + 1.5,
        "cost_nano": 5_000,
        "cost_kind": "actual",
    }
    return Story(
        call=row | call,
        host={},
        running=False,
        decision=decision,
        attempts=(),
        events=(),
        adjustments=(),
    )


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (None, "No decision was kept that can be read."),
        ("[1, 2", "No decision was kept that can be read."),
        ("[1, 2]", "No decision was kept that can be read."),
        ("{}", "Where it could go:\n  nowhere"),
        (
            '{"candidates": 7, "excluded": {"a": 1}, "strategy": "new"}',
            ", strategy new:\n  nowhere",
        ),
        ('{"candidates": ["x", {"provider": "p"}]}', "  1. p: price unknown -> not tried"),
        ('{"candidates": [{"provider": "p", "estimated_cost_usd": "x"}]}', "p: price unknown"),
        (
            '{"candidates": [{"provider": "p", "model": "m", "max_cost_usd": 2, "moon": "full"}]}',
            "  1. p/m: price unknown, at most $2.00 -> not tried",
        ),
        ('{"excluded": [{"provider": "p"}]}', "Left out:\n  p: ?"),
    ],
)
def test_decisions_of_other_versions_are_told_as_far_as_they_go(
    decision: str | None, words: str
) -> None:
    lines = explain.explained(explain.data_of(story(decision)))

    assert lines[0] == "01X ok: nobody answered, 1.5 s, $0.000005"
    assert words in "\n".join(lines)


def test_what_strangers_wrote_is_shown_without_control_characters_in_100_columns() -> None:
    evil = "\x1b]52;c;AAAA\x07\u202e\n" + "wide " * 60
    decision = json.dumps({"candidates": [{"provider": evil, "model": evil, "why": evil}]})

    told = explain.data_of(story(decision, client=evil, error=evil, model=evil, provider="p"))
    lines = explain.explained(told)

    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ({"cost_nano": None, "cost_kind": "unknown"}, "cost unknown (unknown)"),
        ({"cost_nano": 5_000_000, "cost_kind": "presumed"}, "$0.005 (presumed)"),
        ({"cost_nano": 0, "cost_kind": "none"}, "no cost"),
    ],
)
def test_a_cost_says_how_sure_it_is(cost: dict[str, Any], words: str) -> None:
    assert explain.explained(explain.data_of(story("{}", **cost)))[0].endswith(words)


# circuit list


def test_circuit_list_says_what_each_waits_for(ready: Run) -> None:
    before = ready("circuit list").output
    ready("call complete", "prompt=Hi", "max_tokens=10")
    ready("circuit hold good --for 90m")
    ready("circuit hold dear")

    said = ready("circuit list").output.splitlines()
    data = json.loads(ready("circuit list --json").output)

    assert before == "All circuits are closed: nothing has failed yet.\n"
    assert re.fullmatch(r"bad/m +open +open for \d\d s, 1 of 1 failures, last faulted", said[0])
    assert said[1].split() == ["dear", "hold", "manual", "by", "cli"]
    assert said[2].split() == ["good", "hold", "manual", "by", "cli", "for", "90", "min"]
    assert max(map(len, said)) <= 100
    assert [(row["provider"], row["model"], row["shown"]) for row in data] == [
        ("bad", "m", "open"),
        ("dear", "*", "hold"),
        ("good", "*", "hold"),
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trip goood", "There is no provider 'goood'. Did you mean 'good'?"),
        ("trip goood/m", "There is no provider 'goood'. Did you mean 'good'?"),
        ("trip good/mm", "Did you mean good/m? Known: m."),
        ("trip m", "'m' is a model; say whose. Did you mean "),
        ("hold good --for soon", "'soon' is no length of time; write 30s, 10m, 2h or 1d"),
        ("hold good --for 0m", "'0m' is no length of time"),
        ("hold good --for 900d", "more than a year away"),
    ],
)
def test_circuit_refuses_what_makes_no_sense(ready: Run, line: str, sentence: str) -> None:
    said = ready(f"circuit {line}")

    assert said.exit_code == 2
    assert sentence in said.output
