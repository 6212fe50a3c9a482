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


async def test_scripted_models_answer_in_turn_call_tools_fail_and_break_off(
    roundhouse: Roundhouse,
) -> None:
    roundhouse.script("writer", Says("Paris", input_tokens=100, output_tokens=50), "Rome")
    roundhouse.script("caller", CallsTool("look", {"at": "the map"}))
    roundhouse.script("broken/model", Fails(503, "down"), BreaksOff("Par"))
    roundhouse.configure('[routing.tasks]\ncode = ["broken/model", "caller"]\n')
    look = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}

    async with roundhouse.client("agent") as client:
        said = [await complete(client, model="writer", system="Be brief.") for _ in range(3)]
        fell_back = await complete(client, task="code", tools=[look])

    assert [text_of(each).splitlines()[0] for each in said] == ["Paris", "Rome", "Rome"]
    assert fell_back.structured_content is not None
    call = fell_back.structured_content["tool_calls"][0]
    assert (call["name"], call["arguments"]) == ("look", {"at": "the map"})
    assert [row["client"] for row in roundhouse.calls()] == ["agent"] * 4
    attempts = roundhouse.attempts()
    assert attempts[0]["cost_nano"] == 100 * 1000 + 50 * 2000
    assert [(row["model"], row["outcome"]) for row in attempts[3:]] == [
        ("model", "faulted"),
        ("model", "interrupted"),
        ("caller", "ok"),
    ]
    assert roundhouse.spent_usd() > Decimal("0.0002")
    assert roundhouse.asked[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert {asked.text for asked in roundhouse.asked} == {"Where?"}


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

    without = (f"-pno:{name}" for name in ("cacheprovider", "xdist", "hypothesispytest"))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qs", *without, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    assert loaded == [["roundhouse_mcp.testing", "roundhouse_mcp.testing.plugin"], False, False]
