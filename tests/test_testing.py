"""The pytest plugin for other people's tests of their agents."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult
from seats import text_of

from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.testing.roundhouse import Roundhouse
from roundhouse_mcp.testing.script import BreaksOff, CallsTool, Fails, Hangs, Says


async def complete(client: Client, **arguments: Any) -> CallToolResult:
    with anyio.fail_after(20):
        return await client.call_tool("complete", {"prompt": "Where?", **arguments})


async def test_a_scripted_model_answers_in_turn_and_the_ledger_has_what_it_cost(
    roundhouse: Roundhouse,
) -> None:
    roundhouse.script("writer", Says("Paris", input_tokens=100, output_tokens=50), "Rome")

    async with roundhouse.client("agent") as client:
        said = [await complete(client, model="writer", system="Be brief.") for _ in range(3)]

    assert [text_of(each).splitlines()[0] for each in said] == ["Paris", "Rome", "Rome"]
    assert [row["client"] for row in roundhouse.calls()] == ["agent"] * 3
    assert roundhouse.attempts()[0]["cost_nano"] == 100 * 1000 + 50 * 2000
    assert roundhouse.spent_usd() > Decimal("0.0002")
    assert roundhouse.asked[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert [asked.text for asked in roundhouse.asked] == ["Where?"] * 3


async def test_tool_calls_failures_and_broken_answers_come_as_from_a_real_service(
    roundhouse: Roundhouse,
) -> None:
    roundhouse.script("caller", CallsTool("look", {"at": "the map"}))
    roundhouse.script("broken/model", Fails(503, "down"), Fails(503), BreaksOff("Par"))
    roundhouse.configure('[routing.tasks]\ncode = ["broken/model", "caller"]\n')
    look = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}

    async with roundhouse.client() as client:
        called = await complete(client, model="caller", tools=[look])
        fell_back = await complete(client, task="code", tools=[look])

    for result in (called, fell_back):
        assert result.structured_content is not None
        call = result.structured_content["tool_calls"][0]
        assert (call["name"], call["arguments"]) == ("look", {"at": "the map"})
    outcomes = [(row["provider"], row["http_status"]) for row in roundhouse.attempts()]
    assert outcomes[1:] == [("broken", 503), ("broken", 503), ("scripted", 200)]


async def test_a_silent_model_ends_with_its_caller_and_a_new_budget_refuses_the_next(
    roundhouse: Roundhouse,
) -> None:
    roundhouse.script("silent", Hangs())

    async with roundhouse.client() as client:
        late = await complete(client, model="silent", timeout_s=0.2)
        roundhouse.configure('[[budgets]]\nscope = "global"\nperiod = "day"\nlimit_usd = "0"\n')
        poor = await complete(client)

    assert "deadline_exceeded" in text_of(late)
    assert "over_budget" in text_of(poor)
    assert [row["status"] for row in roundhouse.calls()] == ["timeout", "refused"]
    assert len(roundhouse.asked) == 1


def test_configuration_that_cannot_be_used_is_refused_at_once(roundhouse: Roundhouse) -> None:
    written = (roundhouse.home / "config.toml").read_text(encoding="utf-8")

    with pytest.raises(ConfigError, match="strategy"):
        roundhouse.configure('[routing]\nstrategy = "luck"\n')
    roundhouse.configure("")

    assert (roundhouse.home / "config.toml").read_text(encoding="utf-8").strip() == written.strip()


def test_an_agent_gets_no_key_of_this_machine(
    roundhouse: Roundhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.setenv("ROUNDHOUSE_TIMEZONE", "Mars/Olympus")

    environ = roundhouse.environ
    entry = roundhouse.mcp_json()["mcpServers"]["roundhouse"]

    assert environ.keys() & {"OPENAI_API_KEY", "ROUNDHOUSE_TIMEZONE"} == set()
    assert environ["ROUNDHOUSE_HOME"] == entry["env"]["ROUNDHOUSE_HOME"] == str(roundhouse.home)
    assert roundhouse.calls() == []


def test_a_run_of_pytest_that_does_not_ask_for_it_loads_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys, json\n"
        "def test_what_is_loaded():\n"
        "    ours = sorted(n for n in sys.modules if n.startswith('roundhouse_mcp.'))\n"
        "    print(json.dumps([ours, 'mcp' in sys.modules, 'httpx2' in sys.modules]))\n",
        encoding="utf-8",
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    assert loaded == [["roundhouse_mcp.testing", "roundhouse_mcp.testing.plugin"], False, False]
