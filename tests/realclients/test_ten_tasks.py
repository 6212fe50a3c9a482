"""Ten tasks: in this process with either half of a result, and through other people's agents."""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from dialects import Tool, Turn, Use
from mcp.types import CallToolResult
from programs import PROGRAMS, present, running
from reader import Reader, plain
from seats import budget, scripted, seated, text_of, write_config

Task = dict[str, Any]
TASKS: dict[str, Task] = tomllib.loads(
    Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")
)
CONFIG = (
    scripted("cheap", "text=Yes.", models="small"),
    scripted("paid", "text=Yes.", price=("1", "1000")),
    scripted("gold", "text=Dear.", price=("1000000", "1")),
    scripted("slow", "text=one+two+three+four+five+six&delay_ms=200"),
    budget("1"),
)
each_task = pytest.mark.parametrize("title", TASKS)


def structured(result: CallToolResult) -> str:
    return text_of(result) if result.is_error else json.dumps(result.structured_content)


def judged(task: Task, uses: Sequence[Use], turn: Turn) -> None:
    """Fails where the transcript is not that of the task."""
    assert [use.tool for use in uses] == task["tools"]
    assert set(uses[-1].arguments) <= set(turn.tools[uses[-1].tool].parameters["properties"])
    assert len(turn.results) == len(uses)
    assert re.search(task.get("mistake", ""), plain(turn.results[0]))
    assert task["ends"] in turn.results[-1]
    assert "code: " not in turn.results[-1]


@each_task
@pytest.mark.parametrize("shown", [text_of, structured])
async def test_the_text_we_send_is_enough_to_pick_the_tool_and_to_mend_the_call(
    tmp_path: Path, title: str, shown: Callable[[CallToolResult], str]
) -> None:
    task, results = TASKS[title], list[str]()
    reader = Reader(task["ask"], task["arguments"])
    async with seated(tmp_path, *CONFIG) as seat:
        tools = {
            tool.name: Tool(tool.name, tool.name, tool.description or "", tool.input_schema)
            for tool in (await seat.client.list_tools()).tools
        }
        while not isinstance(step := reader(Turn(tools, results, "")), str):
            results.append(shown(await seat.call(step.tool, **step.arguments)))

    judged(task, reader.used, Turn(tools, results, ""))


@pytest.mark.clients
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@each_task
@pytest.mark.parametrize("name", PROGRAMS)
async def test_what_reaches_a_model_in_a_real_agent_is_enough_too(
    tmp_path: Path, name: str, title: str
) -> None:
    if not present(name):
        pytest.skip("not installed")
    task, home = TASKS[title], tmp_path / "home"
    reader = Reader(task["ask"], task["arguments"])
    write_config(home / "roundhouse", *CONFIG)
    async with running(name, home, reader) as program:
        code = await program.ended()

    assert code == 0
    judged(task, reader.used, program.turns[-1])
